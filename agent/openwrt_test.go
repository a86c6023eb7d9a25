package main

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
	"github.com/lanseal/lanseal/agent/lab/owrt"
)

// standin is where the router keeps the programs that stand in for OpenWrt's.
const standin = "/run/standin"

// openWrtRouter makes the lab's router an OpenWrt of 23.05, with the real
// dnsmasq behind its init script, and returns its /etc/config.
func openWrtRouter(t *testing.T, l *lab.Lab) map[string]string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{}
	for _, name := range []string{"network", "dhcp", "firewall"} {
		text, err := os.ReadFile(filepath.Join("openwrt/testdata/23.05/etc/config", name))
		must(err)
		// dnsmasq takes the documentation's addresses, which the lab is made of,
		// for private ones.
		files[name] = strings.NewReplacer("'eth1'", "'wan'", "rebind_protection '1'", "rebind_protection '0'", "	option localservice '1'\n", "	option localservice '1'\n	option confdir '/run/dnsmasq.d'\n").Replace(string(text))
		must(l.Router.WriteFile("/etc/config/"+name, files[name], 0o644))
	}
	state, err := json.Marshal([]owrt.Interface{
		{Interface: "lan", Up: true, L3: "br-lan", Proto: "static", Assigned: []owrt.Address{{Address: "2001:db8:100:1::", Mask: 64}}},
		{Interface: "wan", Up: true, L3: "wan", Proto: "dhcp", Route: []owrt.Route{{Target: "0.0.0.0", Nexthop: lab.Gateway4}}},
	})
	must(err)
	for path, text := range map[string]string{
		"/etc/openwrt_release":  "DISTRIB_RELEASE='23.05.5'\n",
		"/run/netifd.json":      string(state),
		"/run/resolv.conf.auto": "nameserver " + lab.ISPResolver4 + "\n",
		"/run/dnsmasq.args": "--conf-file=/dev/null --user=root --interface=br-lan --bind-interfaces --no-hosts --cache-size=0 " +
			"--address=/nas.lan/192.168.1.77",
	} {
		must(l.Router.WriteFile(path, text, 0o644))
	}
	must(l.Router.Do(func() error { return owrt.Install(standin, "/", "dnsmasq", "odhcpd", "firewall") }))
	out, err := l.Router.Command(t.Context(), "/etc/init.d/dnsmasq", "restart").CombinedOutput()
	if err != nil {
		t.Fatalf("starting dnsmasq: %v: %s", err, out)
	}
	return files
}

// lateFlow makes a flow of the TV's that left by the WAN, and says whether the
// kernel still knows it.
func lateFlow(t *testing.T, router *lab.Host) (known func() bool) {
	t.Helper()
	tuple := func(src, dst string, sport, dport uint16) netlink.IPTuple {
		return netlink.IPTuple{SrcIP: net.ParseIP(src).To4(), DstIP: net.ParseIP(dst).To4(), SrcPort: sport, DstPort: dport, Protocol: unix.IPPROTO_UDP}
	}
	flow := netlink.ConntrackFlow{FamilyType: unix.AF_INET, TimeOut: 600,
		Forward: tuple(lab.TV4, lab.Echo4b, 4711, 4712), Reverse: tuple(lab.Echo4b, lab.WAN4, 4712, 4711)}
	if err := router.Do(func() error { return netlink.ConntrackCreate(netlink.ConntrackTable, unix.AF_INET, &flow) }); err != nil {
		t.Fatal(err)
	}
	return func() (there bool) {
		err := router.Do(func() error {
			all, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
			for _, f := range all {
				there = there || f.Forward.SrcPort == 4711 && f.Forward.DstPort == 4712
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return there
	}
}

// A router that knows its LAN by the name of a network alone is protected; its
// resolver asks by the tunnel; clients forget the ISP's prefix; and unsealing
// leaves OpenWrt's configuration as it was, to the byte.
func TestGuestOfOpenWrt(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t), ClientRA: true})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	files := openWrtRouter(t, l)
	l.Zone.Set("site.example.test", netip.MustParseAddr(lab.Echo4))
	until := func(what string, f func() bool) {
		t.Helper()
		for !f() {
			select {
			case <-ctx.Done():
				t.Fatalf("it never came to be that %s", what)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	router := func(argv ...string) string {
		t.Helper()
		out, err := l.Router.Command(ctx, argv...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
		return string(out)
	}
	resolves := func(by, name string) string {
		got, err := l.TV.Resolve(by, name, "A")
		if err != nil || len(got) == 0 {
			return ""
		}
		return got[0].String()
	}

	// Before: the ISP's resolver answers through the router, and the TV has an
	// address of the ISP's.
	if err := l.Router.SendRA("br-lan", lab.RA{RouterLifetime: time.Hour, Prefixes: []lab.RAPrefix{{
		Prefix: netip.MustParsePrefix("2001:db8:100:1::/64"), Preferred: time.Hour, Valid: 2 * time.Hour}}}); err != nil {
		t.Fatal(err)
	}
	tvAddresses := func() (preferred, deprecated bool) {
		out, err := l.TV.Command(ctx, "ip", "-6", "-o", "addr", "show", "dev", "eth0", "dynamic").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "2001:db8:100:1:") {
				preferred, deprecated = !strings.Contains(line, "deprecated"), strings.Contains(line, "deprecated")
			}
		}
		return preferred, deprecated
	}
	until("the TV has an address of the ISP's prefix", func() bool { p, _ := tvAddresses(); return p })
	asked := time.Now()
	until("the router's resolver answers", func() bool { return resolves(lab.RouterLAN4, "site.example.test") == lab.Echo4 })
	if len(l.ISPDNS().Questions(asked)) == 0 {
		t.Fatal("the ISP's resolver was not asked before: the test would prove nothing")
	}

	a, err := l.StartAgent(lab.AgentConfig{
		Tunnels: map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{}), "no": l.VPN2.ClientFile(lab.ClientOptions{})},
		UCI: "config lanseal 'main'\n\toption enabled '1'\n\tlist lan_network 'lan'\n\tlist wan_network 'wan'\n\tlist via 'se'\n\tlist via 'no'\n" +
			"config tunnel 'no'\n\toption file '@TUNNELS@/no.conf'\nconfig tunnel 'se'\n\toption file '@TUNNELS@/se.conf'\n",
		NoStart: true,
		Env:     []string{"PATH=" + standin + ":" + os.Getenv("PATH"), "LANSEAL_STANDIN_NET=1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	// The boot seal comes before netifd, and knows the LAN from its configuration.
	router("mv", "/run/netifd.json", "/run/netifd.later")
	if err := a.Guard(); err != nil {
		t.Fatal(err)
	}
	if seal := router("nft", "list", "set", "inet", "lanseal_guard", "lan"); !strings.Contains(seal, "\"br-lan\"") {
		t.Errorf("the boot seal holds %s", seal)
	}
	router("mv", "/run/netifd.later", "/run/netifd.json")
	if out, errs, exit, err := a.Run(ctx, "check"); err != nil || exit != 0 {
		t.Errorf("check exits %d, %v: %s%s", exit, err, out, errs)
	}
	if out, errs, exit, err := a.Run(ctx, "plan"); err != nil || exit != 0 || !strings.Contains(out, "iif br-lan unreachable") {
		t.Errorf("plan exits %d, %v: %s%s", exit, err, out, errs)
	}
	for name, text := range files {
		if now, err := l.Router.ReadFile("/etc/config/" + name); err != nil || now != text {
			t.Errorf("guard, check and plan changed %s: %v\n%s", name, err, now)
		}
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	guest := func() (d openwrtDoc) {
		t.Helper()
		s, err := a.Status(ctx)
		var all struct{ OpenWrt openwrtDoc }
		if err == nil {
			err = json.Unmarshal(s.Raw, &all)
		}
		if err != nil {
			t.Fatal(err)
		}
		return all.OpenWrt
	}
	// A flow that the switch holds on to after it was forgotten shows up again,
	// on the wrong way, and is forgotten once more.
	until("hardware offload is noticed", func() bool { return strings.Contains(strings.Join(guest().Notes, "\n"), "in hardware") })
	late := lateFlow(t, l.Router)
	until("the flow in hardware is forgotten", func() bool { return !late() })
	until("the router's resolver serves the default exit", func() bool { return guest().Resolver })
	if d := guest(); d.Error != "" || len(d.LAN) != 1 || d.LAN[0] != "br-lan" || len(d.WAN) != 1 || d.WAN[0] != "wan" {
		t.Errorf("the status says %+v", d)
	}
	until("the TV's address is deprecated", func() bool { _, d := tvAddresses(); return d })

	mark, asked := l.MarkAll(), time.Now()
	tv := l.Traffic(l.TV, lab.UDP4, lab.TCP4)
	if err := tv.WaitFlow(ctx); err != nil {
		t.Errorf("%v", err)
	}
	for _, by := range []string{lab.RouterLAN4, lab.Resolver4} {
		if got := resolves(by, "site.example.test"); got != lab.Echo4 {
			t.Errorf("asked by %s, the site is %q", by, got)
		}
		if got := resolves(by, "nas.lan"); got != "192.168.1.77" {
			t.Errorf("asked by %s, a name of the LAN is %q", by, got)
		}
		if _, err := l.TV.Resolve(by, "use-application-dns.net", "A"); err == nil || !strings.Contains(err.Error(), "NameError") {
			t.Errorf("asked by %s, the canary says %v", by, err)
		}
	}
	if n := len(l.VPN1.DNS.Questions(asked)); n < 2 {
		t.Errorf("the tunnel's resolver was asked %d times", n)
	}
	if q := append(l.ISPDNS().Questions(asked), l.PublicDNS().Questions(asked)...); len(q) > 0 {
		t.Errorf("others were asked: %v", q)
	}
	for _, family := range []string{"-4", "-6"} {
		if n := strings.Count(router("ip", family, "rule", "show", "prio", "520"), "iif br-lan unreachable"); n != 2 {
			t.Errorf("%d of netifd's and the plan's rules in family %s", n, family)
		}
	}
	if _, exit := verify(t, a); exit != 0 {
		t.Errorf("verify exits %d", exit)
	}

	// The exit changes, and the resolver's upstream with it.
	if err := l.VPN1.Silence(); err != nil {
		t.Fatal(err)
	}
	asked = time.Now()
	until("the other exit's resolver answers the router's", func() bool {
		return guest().Resolver && resolves(lab.RouterLAN4, "nas.lan") != "" && resolves(lab.RouterLAN4, "site.example.test") == lab.Echo4 &&
			len(l.VPN2.DNS.Questions(asked)) > 0
	})
	tv.Stop()
	l.NoLeak(t, mark, tv)

	if out, errs, exit, err := a.Run(ctx, "unseal", "--yes"); err != nil || exit != 0 {
		t.Fatalf("unseal exits %d, %v: %s%s", exit, err, out, errs)
	}
	for name, text := range files {
		if now, err := l.Router.ReadFile("/etc/config/" + name); err != nil || now != text {
			t.Errorf("%s was\n%s\nand is, %v\n%s", name, text, err, now)
		}
	}
	for _, path := range []string{"/run/dnsmasq.d/lanseal.conf", a.Persist + "/openwrt.json", a.Persist + "/guard.nft"} {
		if _, err := l.Router.ReadFile(path); err == nil {
			t.Errorf("%s was left behind", path)
		}
	}
	until("no rule of lanseal's is left", func() bool {
		return !strings.Contains(router("ip", "rule")+router("ip", "-6", "rule"), "\n5")
	})
	asked = time.Now()
	until("the ISP's resolver answers again", func() bool {
		return resolves(lab.RouterLAN4, "site.example.test") == lab.Echo4 && len(l.ISPDNS().Questions(asked)) > 0
	})
}
