package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lanseal/lanseal/rules"
)

// iptForeign are rules of somebody else, also in our way.
const iptForeign = `
iptables -P FORWARD ACCEPT
iptables -N theirs; iptables -A theirs -s 192.0.2.0/24 -j DROP
iptables -A FORWARD -m comment --comment "not lanseal's" -j theirs
iptables -A INPUT -p tcp --dport 22 -j ACCEPT
iptables -t nat -A POSTROUTING -o wan0 -s 192.168.9.0/24 -j MASQUERADE
iptables -t mangle -A PREROUTING -i eth9 -j MARK --set-xmark 0x1/0xff
iptables -t raw -A PREROUTING -i eth9 -j ACCEPT
ip6tables -A FORWARD -s 2001:db8:dead::/48 -j DROP
ip6tables -t mangle -A FORWARD -i eth9 -j ACCEPT
`

// saved is what is there, without counters and dates.
func (l *iptLab) saved(t *testing.T, variant string) string {
	t.Helper()
	text := l.shell(t, variant, "iptables-save; ip6tables-save; ipset list -n 2>&1 || true")
	text = regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(text, "")
	return regexp.MustCompile(`\[\d+:\d+\]`).ReplaceAllString(text, "")
}

// foreign is the part of saved that is not lanseal's.
func (l *iptLab) foreign(t *testing.T, variant string) string {
	t.Helper()
	return regexp.MustCompile(`(?mi)^.*lanseal-.*\n`).ReplaceAllString(l.saved(t, variant), "")
}

// TestIPTablesGuest: others' rules are the same byte for byte through apply,
// replacement and removal, and nothing of ours stays.
func TestIPTablesGuest(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		fw := l.iptOpen(t, variant)
		// Every table and one of ours' sets' kind exist before, so that only rules differ.
		l.shell(t, variant, iptForeign+"for t in filter nat mangle raw; do iptables -t $t -S >/dev/null; ip6tables -t $t -S >/dev/null; done")
		l.apply(t, fw, iptFirewall())
		l.apply(t, fw, nil)
		before := l.saved(t, variant)
		if strings.Contains(strings.ToLower(before), "lanseal-") {
			t.Fatalf("remains: %s", before)
		}
		other := iptFirewall()
		other.Default, other.Members = rules.WayBlock, nil
		for i, want := range []*rules.Firewall{iptFirewall(), iptFirewall(), other, iptFirewall(), nil, other, nil} {
			l.apply(t, fw, want)
			if got := l.foreign(t, variant); got != before {
				t.Errorf("step %d: others' rules changed:\n%s\nbefore:\n%s", i, got, before)
			}
			if found := l.differs(t, fw, want); len(found) > 0 {
				t.Errorf("step %d: differs after apply: %q", i, found)
			}
			if want != nil {
				fresh := l.iptOpen(t, variant)
				if found := l.differs(t, fresh, want); len(found) > 0 {
					t.Errorf("step %d: differs for a fresh process: %q", i, found)
				}
				if got := l.saved(t, variant); strings.Contains(got, "-R ") {
					t.Errorf("step %d: remains of the reference: %s", i, got)
				}
			}
		}
		if got := l.saved(t, variant); got != before {
			t.Errorf("not as before after removal:\n%s\nbefore:\n%s", got, before)
		}
	})
}

// TestIPTablesDiffers: every kind of damage is found, and Apply repairs it.
func TestIPTablesDiffers(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		fw := l.iptOpen(t, variant)
		want := iptFirewall()
		l.apply(t, fw, want)
		jump := func(table, chain string) string {
			text := l.shell(t, variant, "iptables -t "+table+" -S "+chain)
			for line := range strings.Lines(text) {
				if strings.Contains(line, "-j LANSEAL-") {
					return strings.TrimSpace(strings.TrimPrefix(line, "-A "))
				}
			}
			t.Fatalf("no jump in %s %s: %s", table, chain, text)
			return ""
		}
		for _, c := range []struct{ damage, script, says string }{
			{"deleted jump", "iptables -D {filter FORWARD}", "jump to LANSEAL-FORWARD-G is missing"},
			{"deleted IPv6 jump", "ip6tables -D {filter OUTPUT}", "IPv6 filter OUTPUT: jump to LANSEAL-OUTPUT-G is missing"},
			{"jump not first", "iptables -I FORWARD 1 -i lan0 -j ACCEPT", "IPv4 filter FORWARD: jump to LANSEAL-FORWARD-G is not first"},
			{"mark jump not first", "ip6tables -t mangle -I PREROUTING 1 -j ACCEPT", "IPv6 mangle PREROUTING: jump to LANSEAL-MARK-G is not first"},
			{"jump made conditional", "iptables -R FORWARD 1 -i eth9 -j LANSEAL-FORWARD-G", "foreign jump"},
			{"deleted rule", "iptables -D LANSEAL-FROM_LAN-G 1", "LANSEAL-FROM_LAN: rule is missing"},
			{"added accept", "iptables -I LANSEAL-FORWARD-G 1 -j ACCEPT", "LANSEAL-FORWARD: foreign rule: -j ACCEPT"},
			{"rules swapped", "r=$(iptables -S LANSEAL-REJECT-G | sed -n '2s/-A//p'); iptables -D LANSEAL-REJECT-G 1; eval iptables -A $r", "LANSEAL-REJECT: rules are in another order"},
			{"flushed chain", "ip6tables -F LANSEAL-INTO_LAN-G", "IPv6 filter LANSEAL-INTO_LAN: rule is missing"},
			{"flushed table", "iptables -F; iptables -X", "IPv4 filter LANSEAL-FORWARD: chain is missing"},
			{"flushed nat", "iptables -t nat -F", "IPv4 nat LANSEAL-LEAVING: rule is missing"},
			{"removed masquerade", "iptables -t nat -D LANSEAL-LEAVING-G 1", "nat LANSEAL-LEAVING: rule is missing"},
			{"removed IPv6 masquerade", "ip6tables -t nat -D LANSEAL-LEAVING-G 1", "IPv6 nat LANSEAL-LEAVING: rule is missing"},
			{"foreign chain", "iptables -N LANSEAL-MINE-G", "LANSEAL-MINE: foreign chain"},
			{"remains of a crash", "iptables -N LANSEAL-FORWARD-F; iptables -A FORWARD -j LANSEAL-FORWARD-F", "remains of generation F"},
			{"jump to a reference", "iptables -N LANSEAL-FORWARD-R; iptables -A FORWARD -j LANSEAL-FORWARD-R", "remains of generation R"},
			{"everything gone", "for f in iptables ip6tables; do for t in filter nat mangle raw; do $f -t $t -F; $f -t $t -X; done; done", "the firewall lock is missing"},
			{"emptied set", "ipset flush lanseal-e2-ip4-G", "set lanseal-e2-ip4-G: member is missing: 192.168.1.51"},
			{"enlarged set", "ipset add lanseal-direct-ip6-G fd01::66", "set lanseal-direct-ip6-G: foreign member: fd01::66"},
		} {
			if strings.Contains(c.damage, " set") && !fw.options.IPSets {
				continue
			}
			for _, process := range []string{"own", "fresh"} {
				if found := l.differs(t, fw, want); len(found) > 0 {
					t.Fatalf("before %s: %q", c.damage, found)
				}
				generation := jump("filter", "FORWARD")
				generation = generation[len(generation)-1:]
				script := regexp.MustCompile(`\{(\w+) (\w+)\}`).ReplaceAllStringFunc(c.script, func(m string) string {
					table, chain, _ := strings.Cut(strings.Trim(m, "{}"), " ")
					return jump(table, chain)
				})
				script = regexp.MustCompile(`((?:LANSEAL|lanseal)-[\w-]+)-G`).ReplaceAllString(script, "$1-"+generation)
				l.shell(t, variant, script)
				look := fw
				if process == "fresh" {
					look = l.iptOpen(t, variant)
				}
				found := l.differs(t, look, want)
				says := regexp.MustCompile(`-G\b`).ReplaceAllString(c.says, "-"+generation)
				if !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, says) }) {
					t.Errorf("%s, %s process: found %q, want %q", c.damage, process, found, says)
				}
				l.shell(t, variant, "iptables -D FORWARD -i lan0 -j ACCEPT 2>/dev/null || true; ip6tables -t mangle -D PREROUTING -j ACCEPT 2>/dev/null || true")
				l.apply(t, fw, want)
			}
		}
		if found := l.differs(t, fw, nil); len(found) == 0 {
			t.Error("nothing is found where nothing should be there")
		}
		l.apply(t, fw, nil)
		if found := l.differs(t, fw, nil); len(found) > 0 {
			t.Errorf("after removal: %q", found)
		}
	})
}

// TestIPTablesVerifyIsNoChange: while one process compares, for which it loads
// a reference that nothing leads to, another finds nothing to repair.
func TestIPTablesVerifyIsNoChange(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		agent, verify := l.iptOpen(t, variant), l.iptOpen(t, variant)
		want := iptFirewall()
		l.apply(t, agent, want)
		reference := false
		verify.call = func(what string) error { // in the router, as verify is
			found, err := agent.Differs(context.Background(), want)
			if err != nil || len(found) > 0 {
				t.Errorf("before verify calls %s the agent finds %q, %v", what, found, err)
			}
			s, err := agent.survey(context.Background())
			reference = reference || err == nil && slices.Contains(s.generations(), scratch)
			return nil
		}
		if found := l.differs(t, verify, want); len(found) > 0 {
			t.Errorf("verify finds %q", found)
		}
		if !reference {
			t.Error("there was no reference to be seen, and the test proves nothing")
		}
	})
}

// TestIPTablesManyDevices: 250 devices cost as many calls as none, with and
// without sets. Programs are counted by wrappers in PATH.
func TestIPTablesManyDevices(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		l.iptOpen(t, variant) // skips
		bin := t.TempDir()
		log := filepath.Join(bin, "log")
		for _, name := range []string{"iptables", "ip6tables"} {
			for _, suffix := range []string{"", "-restore", "-save"} {
				iptWrap(t, bin, log, name+suffix, name+"-"+variant+suffix)
			}
		}
		iptWrap(t, bin, log, "ipset", "ipset")
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		var err error
		var fw *IPTables
		l.router.do(func() { fw, err = NewIPTables("") })
		if err != nil {
			t.Fatal(err)
		}
		if fw.nft != (variant == "nft") {
			t.Errorf("variant %s: nft = %v", variant, fw.nft)
		}
		count := func(want *rules.Firewall) int {
			t.Helper()
			if err := os.WriteFile(log, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			l.apply(t, fw, want)
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Count(string(text), "\n")
		}
		few, many := iptFirewall(), iptFirewall()
		for i := range 250 {
			w := []rules.Way{1 << 24, 2 << 24, rules.Way(rules.MarkDirect), rules.WayBlock}[i%4]
			many.Members = append(many.Members,
				rules.Member{Device: fmt.Sprint("d", i), MAC: fmt.Sprintf("02:00:00:00:01:%02x", i), Way: w},
				rules.Member{Device: fmt.Sprint("d", i), IP: netip.AddrFrom4([4]byte{192, 168, 3, byte(i)}), Way: w},
				rules.Member{Device: fmt.Sprint("d", i), IP: netip.AddrFrom16([16]byte{0xfd, 3, 15: byte(i)}), Way: w})
		}
		for _, ipset := range []string{fw.ipset, ""} {
			fw.ipset, fw.probed, fw.options = ipset, false, rules.IPTablesOptions{}
			l.apply(t, fw, few) // probes
			n := count(few)
			m := count(many)
			if back := count(many); max(m, back) > n+8 || back != count(many) {
				t.Errorf("%d calls for few devices, %d and %d for many", n, m, back)
			}
			t.Logf("sets %v: %d calls for few devices, %d for many", fw.options.IPSets, n, m)
		}
	})
}

// iptWrap makes a program that notes its call and is another one.
func iptWrap(t *testing.T, dir, log, name, is string) {
	t.Helper()
	path, err := exec.LookPath(is)
	if err != nil {
		return
	}
	script := fmt.Sprintf("#!/bin/sh\necho %s >>%s\nexec %s \"$@\"\n", name, log, path)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestIPTablesFingerprint: legacy tables show changes without a program being
// run; those over nf_tables send events instead.
func TestIPTablesFingerprint(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		fw := l.iptOpen(t, variant)
		read := func() string {
			t.Helper()
			var s string
			var err error
			l.router.do(func() { s, err = fw.Fingerprint() })
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := read(); s != "" {
			t.Errorf("without any table: %q", s)
		}
		l.apply(t, fw, iptFirewall())
		last := read()
		if variant == "nft" {
			if last != "" {
				t.Errorf("over nf_tables: %q, want nothing", last)
			}
			return
		}
		if n := strings.Count(last, "\n"); n != 8 || last != read() {
			t.Errorf("%d tables, or not stable: %q", n, last)
		}
		for _, script := range []string{
			"iptables -I FORWARD 1 -j ACCEPT", "ip6tables -t nat -F", "iptables -t raw -F", "ip6tables -t mangle -A FORWARD -i eth9", "iptables -F",
		} {
			l.shell(t, variant, script)
			now := read()
			if now == last {
				t.Errorf("%s: not noticed", script)
			}
			last = now
		}
	})
}

// TestIPTablesTools: what is missing is said at once.
func TestIPTablesTools(t *testing.T) {
	if _, err := NewIPTables("ebtables"); err == nil {
		t.Error("variant ebtables is taken")
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := NewIPTables(""); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("without iptables: %v", err)
	}
}

// TestIPTablesParse: odd output is an error, not an empty firewall.
func TestIPTablesParse(t *testing.T) {
	for _, text := range []string{
		"*filter\n[x:0] -A FORWARD -j ACCEPT\n",
		"*filter\n[0:0] FORWARD\n",
		"# Table `filter' is incompatible, use 'nft' tool.\n",
	} {
		if ts, err := parseSave(text); err == nil {
			t.Errorf("%q is taken for %+v", text, ts)
		}
	}
	ts, err := parseSave("# Generated\n*filter\n:FORWARD ACCEPT [1:2]\n:LANSEAL-FORWARD-B - [0:0]\n:theirs - [0:0]\n" +
		"[3:4] -A FORWARD -m comment --comment \"it's -j DROP\" -j LANSEAL-FORWARD-B\nCOMMIT\n")
	if err != nil || len(ts.rules) != 1 || !slices.Equal(ts.chains["filter"], []string{"LANSEAL-FORWARD-B"}) {
		t.Fatalf("%+v, %v", ts, err)
	}
	r := ts.rules[0]
	if g, ok := r.refers(); r.packets != 3 || r.bytes != 4 || r.target() != "LANSEAL-FORWARD-B" || !ok || g != "B" || r.comment() != "it's -j DROP" {
		t.Errorf("%+v refers to %q, %v; comment %q", r, g, ok, r.comment())
	}
}

// TestIPTablesContext: a call whose time is over changes nothing.
func TestIPTablesContext(t *testing.T) {
	l := iptNewLab(t)
	fw := l.iptOpen(t, "legacy")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l.router.do(func() {
		if err := fw.Apply(ctx, iptFirewall()); err == nil {
			t.Error("applied after its time")
		}
	})
	if got := l.saved(t, "legacy"); strings.Contains(got, "LANSEAL") {
		t.Errorf("there is something: %s", got)
	}
}
