package rules_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lanseal/lanseal/rules"
)

// iptStory is one golden case: its sentence is the first line of its files.
type iptStory struct {
	name, sentence string
	policy         func(p *rules.Policy)
	facts          func(f *rules.Facts)
	options        rules.IPTablesOptions
}

func iptStories() []iptStory {
	ip, prefix := netip.MustParseAddr, netip.MustParsePrefix
	devices := func(p *rules.Policy) {
		p.Devices = []rules.Device{
			{Name: "tv", MACs: []string{"aa:bb:cc:dd:ee:01", "aa:bb:cc:dd:ee:02"}, IPs: []netip.Addr{ip("192.168.1.51")}, Via: []string{"no"}},
			{Name: "console", IPs: []netip.Addr{ip("192.168.1.52"), ip("fd01::52")}, Via: []string{rules.ViaDirect}},
			{Name: "camera", MACs: []string{"aa:bb:cc:dd:ee:03"}, Via: []string{rules.ViaBlock}},
		}
	}
	return []iptStory{
		{name: "usual", sentence: "One LAN, two exits, everybody by the first, which carries both families."},
		{name: "devices", sentence: "Devices by MAC and by address, one rule each: by another exit, direct, blocked.", policy: devices},
		{name: "sets", sentence: "The same devices and DoH resolvers by sets, one rule a way and kind.",
			policy: func(p *rules.Policy) {
				devices(p)
				p.BlockDoH = true
			}, options: rules.IPTablesOptions{IPSets: true, MACSets: true}},
		{name: "exceptions", sentence: "Exceptions: for all by port, more ports than one match takes, ICMP, and for one device.",
			policy: func(p *rules.Policy) {
				devices(p)
				many := rules.Exception{Name: "many", Dest: []netip.Prefix{prefix("198.51.100.7/32")}, Proto: "tcp"}
				for n := uint16(1); n <= 9; n++ {
					many.Ports = append(many.Ports, rules.PortRange{First: n * 1000, Last: n*1000 + 1})
				}
				p.Exceptions = []rules.Exception{
					{Name: "iptv", Dest: []netip.Prefix{prefix("192.168.100.0/24"), prefix("2001:db8:100::/48")}, Proto: "udp", Ports: []rules.PortRange{{First: 5000, Last: 5999}, {First: 7000, Last: 7000}}},
					many,
					{Name: "ping", Dest: []netip.Prefix{prefix("198.51.100.8/32"), prefix("2001:db8:8::/48")}, Proto: "icmp"},
					{Name: "tvonly", Devices: []string{"tv"}, Dest: []netip.Prefix{prefix("198.51.100.9/32")}, Proto: "any"},
				}
			}},
		{name: "redirect", sentence: "The router's own resolver answers those on the default exit; DoT and DoH are refused; no table raw.",
			policy: func(p *rules.Policy) {
				devices(p)
				p.BlockDoT, p.BlockDoH = true, true
			},
			facts:   func(f *rules.Facts) { f.Resolver = true },
			options: rules.IPTablesOptions{NoRaw: true}},
		{name: "block", sentence: "No exit is up: nothing of the LAN leaves, and DNS is refused at once.",
			facts: func(f *rules.Facts) { f.Up = nil }},
		{name: "time", sentence: "No exit is up and the clock is not synchronised: the router alone may ask for the time.",
			facts: func(f *rules.Facts) { f.Up, f.TimeUnknown = nil, true }},
		{name: "ipv4only", sentence: "ipv6 'block', with a direct device and a management network; the router uses the WAN.",
			policy: func(p *rules.Policy) {
				devices(p)
				p.BlockIPv6, p.RouterDirect, p.WAN = true, true, []string{"wan"}
			},
			facts: func(f *rules.Facts) {
				f.Links["mgmt"] = rules.Link{Up: true, Prefixes: []netip.Prefix{prefix("10.1.2.3/24")}}
			}},
		{name: "open", sentence: "via 'direct': devices without a rule are not protected.",
			policy: func(p *rules.Policy) {
				devices(p)
				p.Via = []string{rules.ViaDirect}
			}},
	}
}

func (s iptStory) firewall() *rules.Firewall {
	prefix := netip.MustParsePrefix
	p := rules.Policy{
		Enabled: true, KillSwitch: true, LAN: []string{"br-lan"}, Via: []string{"se", "no"}, DNS: rules.DNSTunnel,
		Exits: []rules.Exit{
			{Name: "se", Number: 1, Enabled: true, Device: "ls-se", Addresses: []netip.Prefix{prefix("10.64.0.2/32"), prefix("fd64::2/128")},
				Allowed: []netip.Prefix{prefix("0.0.0.0/0"), prefix("::/0")}, Resolvers: []netip.Addr{netip.MustParseAddr("10.64.0.1"), netip.MustParseAddr("fd64::1")}},
			{Name: "no", Number: 2, Enabled: true, Device: "ls-no", Addresses: []netip.Prefix{prefix("10.65.0.2/32")},
				Allowed: []netip.Prefix{prefix("0.0.0.0/0")}, Resolvers: []netip.Addr{netip.MustParseAddr("10.65.0.1")}},
		},
	}
	f := rules.Facts{
		Links:   map[string]rules.Link{"br-lan": {Up: true}, "wan": {Up: true}, "ls-se": {Up: true}, "ls-no": {Up: true}},
		Uplinks: []string{"wan"}, Up: map[string]bool{"se": true, "no": true},
	}
	if s.policy != nil {
		s.policy(&p)
	}
	if s.facts != nil {
		s.facts(&f)
	}
	return rules.Compile(p, f).Firewall
}

// TestIPTablesGolden compares every text with its file. UPDATE_GOLDEN=1 writes
// the files anew.
func TestIPTablesGolden(t *testing.T) {
	for _, s := range iptStories() {
		fw := s.firewall()
		texts := map[string]string{
			"v4": rules.IPTables(fw, 4, "A", s.options),
			"v6": rules.IPTables(fw, 6, "A", s.options),
		}
		if sets := rules.IPSets(fw, "A", s.options); sets != "" {
			texts["ipset"] = sets
		}
		for ext, text := range texts {
			file := filepath.Join("testdata", "iptables", s.name+"."+ext)
			text = "# " + s.sentence + "\n" + text
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Error(err)
				continue
			}
			if text == string(want) {
				continue
			}
			got, expect := strings.Split(text, "\n"), strings.Split(string(want), "\n")
			for i := range max(len(got), len(expect)) {
				if i >= len(got) || i >= len(expect) || got[i] != expect[i] {
					t.Errorf("%s differs first in line %d:\n got  %q\n want %q", file, i+1, at(got, i), at(expect, i))
					break
				}
			}
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}

// TestIPTablesAccepted: both iptables take every text, with the jumps of the
// boot seal too.
func TestIPTablesAccepted(t *testing.T) {
	cannot := func(format string, args ...any) {
		t.Helper()
		if os.Getenv("LANSEAL_LAB") == "require" {
			t.Fatalf(format, args...)
		}
		t.Skipf(format, args...)
	}
	if os.Geteuid() != 0 {
		cannot("needs root to ask iptables-restore")
	}
	for _, variant := range []string{"legacy", "nft"} {
		for _, tool := range []string{"iptables-" + variant + "-restore", "ip6tables-" + variant + "-restore", "unshare"} {
			if _, err := exec.LookPath(tool); err != nil {
				cannot("needs %s", tool)
			}
		}
		for _, s := range iptStories() {
			options := s.options
			options.MACSets = false // kernels here have no hash:mac, and the test no way to make one
			fw := s.firewall()
			for family, tool := range map[int]string{4: "iptables", 6: "ip6tables"} {
				for name, text := range map[string]string{"chains": rules.IPTables(fw, family, "A", options), "guard": rules.IPTablesGuard(fw, family)} {
					script := ""
					if options.IPSets {
						script = "ipset restore <<'EOF'\n" + rules.IPSets(fw, "A", options) + "EOF\n"
					}
					// --test, and in earnest: the kernel has its own opinion.
					restore := fmt.Sprintf("%s-%s-restore --noflush -w 10", tool, variant)
					script += restore + " --test <<'EOF'\n" + text + "EOF\n" + restore + " <<'EOF'\n" + text + "EOF\n"
					cmd := exec.Command("unshare", "-n", "sh", "-ec", script)
					if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
						t.Errorf("%s, %s, IPv%d, %s: %v: %s", s.name, name, family, variant, err, out)
					}
				}
			}
		}
	}
}

// TestIPTablesNames: names fit the kernel's limits, every rule says why, and
// every chain that is gone to exists.
func TestIPTablesNames(t *testing.T) {
	jump := regexp.MustCompile(`-[jg] (LANSEAL-\S+)`)
	for _, s := range iptStories() {
		fw := s.firewall()
		fw.Exits[0].Name = "abcdefghijkl" // the longest
		for _, family := range []int{4, 6} {
			text := rules.IPTables(fw, family, "A", s.options)
			chains := map[string]bool{}
			for line := range strings.Lines(text) {
				if name, ok := strings.CutPrefix(line, ":"); ok {
					name, _, _ = strings.Cut(name, " ")
					chains[name] = true
					if len(name) > 28 {
						t.Errorf("%s: chain %s is too long", s.name, name)
					}
				}
			}
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "-A ") && !strings.Contains(line, ` -m comment --comment "`) {
					t.Errorf("%s: no reason: %s", s.name, line)
				}
				if m := jump.FindStringSubmatch(line); m != nil && !chains[m[1]] {
					t.Errorf("%s: no chain %s", s.name, m[1])
				}
			}
			for _, j := range rules.IPTablesJumps("A") {
				if !chains[j.Target] && !(s.options.NoRaw && j.Table == "raw") {
					t.Errorf("%s: no chain %s for a jump", s.name, j.Target)
				}
			}
		}
	}
}

// TestIPTablesComment: no name of the user's can end a comment early.
func TestIPTablesComment(t *testing.T) {
	fw := iptStories()[1].firewall()
	fw.Members[0].Device = "a\" -j ACCEPT\n-A FORWARD -j ACCEPT \\"
	if text := rules.IPTables(fw, 4, "A", rules.IPTablesOptions{}); !strings.Contains(text, `--comment "device a_ -j ACCEPT_-A FORWARD -j ACCEPT _"`) {
		t.Errorf("the name is not contained: %s", text)
	}
}
