package main

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/agent/crypt"
	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/agent/store"
	"github.com/lanseal/lanseal/rules"
	"github.com/lanseal/lanseal/webui"
)

func TestWebPlaces(t *testing.T) {
	link := func(ps ...string) (l rules.Link) {
		for _, p := range ps {
			l.Prefixes = append(l.Prefixes, netip.MustParsePrefix(p))
		}
		return l
	}
	f := rules.Facts{Links: map[string]rules.Link{
		"br-lan": link("192.168.1.1/24", "fd00::1/64", "fe80::1/64"), "wan": link("203.0.113.2/24"), "ls-se": link("10.64.0.2/32"), "lo": link("127.0.0.1/8")}}
	p := rules.Policy{LAN: []string{"br-lan", "br-guest"}}
	for _, c := range []struct {
		listen string
		off    bool
		want   string
	}{
		{"", false, "br-lan 192.168.1.1:8053, br-lan [fd00::1]:8053"},
		{"192.168.1.1:80", false, "br-lan 192.168.1.1:80"},
		{"0.0.0.0:81", false, "br-lan 192.168.1.1:81, br-lan [fd00::1]:81"},
		{"127.0.0.1:8053", false, "lo 127.0.0.1:8053"},
		{"203.0.113.2:8053", false, ""}, // the WAN's address is none of the LAN's
		{"10.64.0.2:8053", false, ""},   // nor is the tunnel's
		{"", true, ""},
	} {
		cfg := &config.Config{WebUI: !c.off}
		if c.listen != "" {
			cfg.WebUIListen = netip.MustParseAddrPort(c.listen)
		}
		var got []string
		for _, at := range webPlaces(cfg, p, f) {
			got = append(got, at.device+" "+at.at.String())
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("webui_listen %q: %s, want %s", c.listen, s, c.want)
		}
	}
	if len(webPlaces(nil, p, f)) != 2 {
		t.Error("without a valid configuration the page is not there to say so")
	}
}

func TestDevicesOf(t *testing.T) {
	ip := netip.MustParseAddr
	f := lanFacts{
		policy: rules.Policy{Enabled: true, Via: []string{"se"}, Devices: []rules.Device{
			{Name: "tv", MACs: []string{"02:00:00:00:00:01"}, Via: []string{"no"}},
			{Name: "console", IPs: []netip.Addr{ip("192.168.1.60")}, Via: []string{"direct"}},
			{Name: "camera", IPs: []netip.Addr{ip("192.168.1.70")}, Via: []string{"block"}}}},
		labels: map[string]string{"tv": "Living-room TV", "console": "console", "camera": "camera"},
		firewall: &rules.Firewall{Default: rules.Way(1 << 24), Exits: []rules.FirewallExit{{Name: "se", Mark: 1 << 24}, {Name: "no", Mark: 2 << 24}},
			Members: []rules.Member{{MAC: "02:00:00:00:00:01", Way: 2 << 24}, {IP: ip("192.168.1.60"), Way: rules.Way(rules.MarkDirect)}, {IP: ip("192.168.1.70"), Way: rules.WayBlock}}},
		neighbours: []kernel.Neighbour{{IP: ip("192.168.1.50"), MAC: "02:00:00:00:00:01", Online: true}, {IP: ip("fe80::1"), MAC: "02:00:00:00:00:01"},
			{IP: ip("fd00::50"), MAC: "02:00:00:00:00:01"}, {IP: ip("192.168.1.60"), MAC: "b8:27:eb:00:00:02"}, {IP: ip("192.168.1.254"), MAC: "02:6c:73:00:00:00"}},
		counted: kernel.Blocked{ByMAC: map[string]uint64{"02:00:00:00:00:01": 3}, Sent: map[string]uint64{"02:00:00:00:00:01": 100},
			Received: map[string]uint64{"192.168.1.50": 10, "fd00::50": 5}},
		counts: true,
	}
	got := devicesOf(f, []lease{{mac: "3c:07:54:00:00:03", ip: ip("192.168.1.80"), hostname: "tablet"}})
	want := webui.Devices{Counted: true, Default: []string{"se"}, Devices: []webui.Device{
		{Name: "camera", Label: "camera", IPs: []string{"192.168.1.70"}, Via: []string{"block"}, Exit: "block"},
		{MAC: "b8:27:eb:00:00:02", Name: "console", Label: "console", Vendor: "Raspberry Pi", IPs: []string{"192.168.1.60"}, Via: []string{"direct"}, Exit: "direct"},
		{MAC: "02:00:00:00:00:01", Name: "tv", Label: "Living-room TV", Vendor: "private address", IPs: []string{"192.168.1.50", "fd00::50"}, Online: true,
			Via: []string{"no"}, Exit: "no", Rx: 15, Tx: 100, Blocked: 3},
		{MAC: "3c:07:54:00:00:03", Hostname: "tablet", Vendor: "Apple", IPs: []string{"192.168.1.80"}, Via: []string{}, Exit: "se"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	f.policy.Enabled = false
	if d := devicesOf(f, nil); d.Devices[0].Exit != "direct" {
		t.Errorf("switched off, and %+v", d.Devices[0])
	}
}

func TestPasswd(t *testing.T) {
	g := globals{persist: t.TempDir(), stdout: io.Discard, stderr: io.Discard}
	for _, short := range []string{"", "\n", "short\n"} {
		g.stdin = strings.NewReader(short)
		if _, err := cmdPasswd(t.Context(), g, nil); err == nil {
			t.Errorf("%q was taken", short)
		}
	}
	a := findAccounts(g)
	if a.HavePassword() {
		t.Error("there is a password before one was set")
	}
	g.stdin = strings.NewReader("long enough\n")
	if status, err := cmdPasswd(t.Context(), g, nil); err != nil || status != 0 {
		t.Fatal(status, err)
	}
	info, err := os.Stat(filepath.Join(g.persist, passwordFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if !a.HavePassword() || !a.Check("long enough") || a.Check("long enougi") || a.Check("") {
		t.Error("the password that was set is not the one that counts")
	}
}

func TestShadow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shadow")
	hash, err := crypt.Hash("router password")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text, password string
		have, right    bool
	}{
		{"daemon:*:0:0:99999:7:::\nroot:" + hash + ":19000:0:99999:7:::\n", "router password", true, true},
		{"root::0:0:99999:7:::\n", "", false, false}, // as OpenWrt is installed: nobody may sign in yet
		{"root:!:0:0:99999:7:::\n", "!", false, false},
		{"rootx:" + hash + ":0\n", "router password", false, false},
		{"", "", false, false},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		a := accounts{func() string { return shadowHash(path) }}
		if a.HavePassword() != c.have || a.Check(c.password) != c.right {
			t.Errorf("%q: %v %v", c.text, a.HavePassword(), a.Check(c.password))
		}
	}
}

func TestInvalidNamesTheField(t *testing.T) {
	problems := []config.Problem{{Section: "device 'tv'", Option: "via", Message: "no exit named \"x\""}, {Section: "lanseal 'main'", Option: "dns", Message: "is wrong"}}
	got := invalid(problems, []webui.Edit{{Name: "tv"}})
	want := webui.Invalid{{Error: "no exit named \"x\"", Field: "via"}, {Error: "lanseal 'main': is wrong", Field: "main.dns"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What passed is what counters show more than before: each device's, nothing
// twice, and nothing lost when a firewall begins anew or a device's address
// becomes known late.
func TestTallyOfDevices(t *testing.T) {
	const tv, pc = "02:00:00:00:00:01", "02:00:00:00:00:02"
	counts := func(sent, received, blocked uint64) kernel.Blocked {
		return kernel.Blocked{ByMAC: map[string]uint64{tv: blocked}, Sent: map[string]uint64{tv: sent, pc: 1},
			Received: map[string]uint64{"192.168.1.50": received, "fd00::50": 3, "192.168.1.60": 40}}
	}
	macs := map[string]string{"192.168.1.50": tv, "fd00::50": tv}
	var x tally
	for i, c := range []struct {
		loaded  bool
		counted kernel.Blocked
		known   string // an address of the other device
		want    map[string]store.Counter
	}{
		{false, counts(100, 50, 5), "", map[string]store.Counter{}}, // of an agent before this one
		{false, counts(150, 70, 5), "", map[string]store.Counter{tv: {Tx: 50, Rx: 20}}},
		{false, counts(150, 70, 5), "", map[string]store.Counter{}},
		{true, counts(160, 80, 9), "", map[string]store.Counter{tv: {Tx: 160, Rx: 83, Blocked: 9}, pc: {Tx: 1}}},
		{false, counts(10, 5, 1), "192.168.1.60", map[string]store.Counter{tv: {Tx: 10, Rx: 5, Blocked: 1}, pc: {Rx: 40}}}, // by somebody else
		{false, kernel.Blocked{}, "", map[string]store.Counter{}},
	} {
		if c.loaded {
			x.loaded([]rules.Step{{Kind: rules.StepFirewall}})
		}
		if c.known != "" {
			macs[c.known] = pc
		}
		if diff := cmp.Diff(c.want, x.grown(c.counted, macs)); diff != "" {
			t.Errorf("look %d: %s", i+1, diff)
		}
	}
}
