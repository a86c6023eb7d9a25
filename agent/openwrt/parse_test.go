package openwrt

import (
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanseal/lanseal/agent/lab/owrt"
)

func TestRelease(t *testing.T) {
	for text, want := range map[string]Release{
		"DISTRIB_ID='OpenWrt'\nDISTRIB_RELEASE='21.02.7'\n": {21, 2},
		"DISTRIB_RELEASE=\"25.12.0-rc1\"\n":                 {25, 12},
		"DISTRIB_RELEASE='24.10-SNAPSHOT'\n":                {24, 10},
		"DISTRIB_RELEASE='SNAPSHOT'\n":                      {},
		"":                                                  {},
	} {
		if got := parseRelease(text); got != want {
			t.Errorf("%q: %v, not %v", text, got, want)
		}
	}
	if !(Release{23, 5}).before(24, 10) || (Release{24, 10}).before(24, 10) || (Release{}).before(21, 2) || !(Release{21, 2}).before(21, 3) {
		t.Error("releases are in a wrong order")
	}
}

// On anything that is not OpenWrt there is no guest.
func TestElsewhereThereIsNoGuest(t *testing.T) {
	b := newBox(t, "24.10")
	if _, ok := Find(t.TempDir(), "", ""); ok {
		t.Error("no openwrt_release, and found")
	}
	t.Setenv("PATH", t.TempDir())
	if _, ok := Find(b.root, "", ""); ok {
		t.Error("no ubus and uci, and found")
	}
}

func TestDevices(t *testing.T) {
	const network = `package network
config interface 'lan'
	option device 'br-lan'
config interface 'guest'
	option device '@lan'
config interface 'old'
	option type 'bridge'
	option ifname 'eth0 eth2'
config interface 'wan'
	option device 'eth1'
config interface 'loop'
	option device '@loop'
config interface 'none'
	option proto 'none'
config interface 'odd'
	option device 'a,b'
`
	conf, err := parseExport(network)
	if err != nil {
		t.Fatal(err)
	}
	now := []Network{{Name: "lan", Device: "br-home", Up: true}, {Name: "wan", Device: "pppoe-wan", Default: true}, {Name: "vpn"}}
	for _, c := range []struct {
		name     string
		lan, wan []string
		now      []Network
		want     Devices
	}{
		{"netifd knows best", []string{"lan"}, nil, now, Devices{LAN: []string{"br-home"}}},
		{"without netifd", []string{"lan", "guest", "old"}, nil, nil, Devices{LAN: []string{"br-lan", "br-old"}}},
		{"named uplinks", []string{"lan"}, []string{"wan"}, now, Devices{LAN: []string{"br-home"}, WAN: []string{"pppoe-wan"}}},
		{"what is both is protected", []string{"lan"}, []string{"guest"}, nil, Devices{LAN: []string{"br-lan"}}},
		{"no such network", []string{"lna"}, []string{"wna"}, now, Devices{Missing: []string{"lna", "wna"}}},
		{"no device now", []string{"none", "loop", "odd", "vpn"}, nil, now, Devices{Waiting: []string{"none", "loop", "odd", "vpn"}}},
	} {
		if diff := cmp.Diff(c.want, devices(c.lan, c.wan, c.now, conf)); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
	if diff := cmp.Diff([]string{"lan", "guest"}, networksOn(nil, conf, []string{"br-lan"})); diff != "" {
		t.Error(diff)
	}
}

// Before netifd is there: the configuration and the last seal, or OpenWrt's
// own default.
func TestKnownBeforeNetifd(t *testing.T) {
	b := newBox(t, "25.12").within()
	if d := b.Known(t.Context(), []string{"lan"}, nil, []string{"br-lan", "br-guest"}); strings.Join(d.LAN, " ") != "br-lan br-guest" {
		t.Errorf("%+v", d)
	}
	b.write("etc/config/network", "config interface 'lan'\n\tnonsense\n")
	if d := b.Known(t.Context(), []string{"lan"}, nil, nil); strings.Join(d.LAN, " ") != "br-lan" {
		t.Errorf("unreadable: %+v", d)
	}
	if d := b.Known(t.Context(), nil, nil, []string{"br-old"}); len(d.LAN) > 0 {
		t.Errorf("no network is named, and %+v", d)
	}
}

// netifd does not answer: an error, and what the configuration knows.
func TestNetifdIsSilent(t *testing.T) {
	b := newBox(t, "25.12").within()
	if err := os.Remove(b.path("run/netifd.json")); err != nil {
		t.Fatal(err)
	}
	if r := b.turn(Wish{LAN: []string{"lan"}}); r.Error == "" || strings.Join(r.LAN, " ") != "br-lan" {
		t.Errorf("%+v", r)
	}
}

func TestDump(t *testing.T) {
	text, err := os.ReadFile("testdata/24.10/run/netifd.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseDump([]byte(`{"interface":` + string(text) + `}`))
	want := []Network{
		{Name: "lan", Device: "br-lan", Up: true, Proto: "static", Offered: []netip.Prefix{netip.MustParsePrefix("2001:db8:100::/60")}},
		{Name: "loopback", Device: "lo", Up: true, Proto: "static"},
		{Name: "wan", Device: "pppoe-wan", Up: true, Proto: "pppoe", Default: true},
		{Name: "wan6", Device: "pppoe-wan", Up: true, Proto: "dhcpv6", Default: true, Own: []netip.Prefix{netip.MustParsePrefix("2001:db8:ffff::10/64")}},
	}
	prefix := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, got, prefix); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// The bytes of RFC 4861, sections 4.2 and 4.6.2: a router of no lifetime, and a
// prefix with the flags on-link and autonomous whose lifetimes are zero.
func TestAdvertisement(t *testing.T) {
	got := hex.EncodeToString(advertisement(0, []netip.Prefix{netip.MustParsePrefix("2001:db8:100::/64")}))
	want := "86000000" + "4000" + "0000" + "00000000" + "00000000" +
		"030440c0" + "00000000" + "00000000" + "00000000" + "20010db8010000000000000000000000"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := advertisement(30*time.Minute, nil); got[6] != 0x07 || got[7] != 0x08 {
		t.Errorf("a router of 1800 s: %x", got[6:8])
	}
}

// Values that people and programs write come back from uci as they were.
func TestEveryValueSurvives(t *testing.T) {
	b := newBox(t, "24.10")
	from, err := b.Guest.read(t.Context(), "dhcp")
	if err != nil {
		t.Fatal(err)
	}
	to := from.Config.clone()
	for i, v := range []string{"plain", "two words", "it's", `"quoted"`, `back\slash`, "#hash", "a=b", "ä", "$HOME `x`", "' '"} {
		to.set("lan", "o"+string(rune('a'+i)), one(v))
	}
	to.set("lan", "many", list("one", "it's two", "#3"))
	to.set("lan", "leasetime", list("12h"))
	to.set("lan", "ra_flags", one("none"))
	data, err := b.edited(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	b.write("etc/config/dhcp", string(data))
	now, err := b.Guest.read(t.Context(), "dhcp")
	if err != nil || batch("x", now.Config, to) != "" || batch("x", to, now.Config) != "" {
		t.Errorf("%v:\n%s", err, data)
	}
}

func FuzzExport(f *testing.F) {
	for _, release := range releases {
		for _, pkg := range packages {
			out, err := owrt.Call(filepath.Join("testdata", release), "", "uci", "-n", "export", pkg)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(out))
		}
	}
	f.Add("config a 'b'\n\toption c 'it'\\''s\nmore'\n\tlist d ''\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseExport(text)
		if err != nil || !unique(c) {
			return
		}
		if out, kept := theirs(c, changes(c, c)); len(kept) > 0 || batch("x", c, out) != "" {
			t.Errorf("no change, and a difference in %q", text)
		}
		wanted := wantNetwork(c, armed(), []string{"lan"}, []string{"wan"}, true, "fd00::/48")
		made := changes(c, wanted)
		if back, kept := theirs(wanted, made); len(kept) > 0 || batch("x", back, c) != "" || batch("x", c, back) != "" {
			t.Errorf("undone, %q is %+v, kept %v", text, back, kept)
		}
	})
}

// unique says whether every section and option has its name for itself, as in
// what uci exports.
func unique(c Config) bool {
	ids := map[string]bool{}
	for _, s := range c.Sections {
		if ids[s.ID] || s.ID == "" || strings.HasPrefix(s.ID, "lanseal_") {
			return false
		}
		ids[s.ID] = true
		names := map[string]bool{}
		for _, o := range s.Options {
			if names[o.Name] || o.Name == "" {
				return false
			}
			names[o.Name] = true
		}
	}
	return true
}

func FuzzAnswers(f *testing.F) {
	for _, release := range releases {
		for _, ask := range [][]string{{"ubus", "call", "network.interface", "dump"}, {"ubus", "call", "service", "list"}} {
			out, err := owrt.Call(filepath.Join("testdata", release), "", ask...)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(out)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if all, err := parseDump(data); err == nil {
			for _, n := range all {
				if n.Device != "" && !validDevice(n.Device) {
					t.Errorf("took %q for a device", n.Device)
				}
				for _, p := range append(n.Offered, n.Own...) {
					if !p.IsValid() || !isGlobal(p.Addr()) {
						t.Errorf("took %s for a prefix of an ISP", p)
					}
				}
			}
		}
		_, _ = parseServices(data)
		_ = listeners(string(data))
	})
}
