package openwrt

import (
	"os"
	"strings"
	"testing"
)

// Somebody edits a file while lanseal is on: disarming undoes lanseal's own
// options, keeps theirs, and says so.
func TestOthersChangesMeanwhile(t *testing.T) {
	b := newBox(t, "24.10").within()
	if r := b.turn(armed()); r.Error != "" {
		t.Fatal(r.Error)
	}
	b.edit("etc/config/network", "option ipaddr '192.168.1.1'", "option ipaddr '192.168.5.1'")
	b.write("etc/config/network", b.read("etc/config/network")+"\nconfig interface 'iot'\n\toption proto 'none'\n")
	b.edit("etc/config/dhcp", "option localuse '1'", "option localuse '0'")
	if r := b.turn(armed()); r.Error != "" || !strings.Contains(strings.Join(r.Notes, "\n"), "cfg01411c.localuse") {
		t.Fatalf("%+v", r)
	}
	if !strings.Contains(b.read("etc/config/dhcp"), "option localuse '1'") {
		t.Error("the router asks the ISP's resolver again")
	}
	r := b.turn(disarmed())
	if r.Error != "" || !strings.Contains(strings.Join(r.Notes, "\n"), "/etc/config/network has been changed by others") {
		t.Fatalf("%+v", r)
	}
	now := b.read("etc/config/network")
	for _, want := range []string{"192.168.5.1", "config interface 'iot'"} {
		if !strings.Contains(now, want) {
			t.Errorf("%s is gone:\n%s", want, now)
		}
	}
	if !strings.Contains(b.read("etc/config/dhcp"), "option localuse '0'") {
		t.Errorf("the user's own value is gone:\n%s", b.read("etc/config/dhcp"))
	}
	for _, not := range []string{"lanseal", "ip6class", "noresolv"} {
		if strings.Contains(now+b.read("etc/config/dhcp"), not) {
			t.Errorf("%s was left behind", not)
		}
	}
}

// A change of what is wanted undoes what is no longer wanted, and nothing else.
func TestWishChanges(t *testing.T) {
	b := newBox(t, "24.10").within()
	b.write("etc/config/network", b.read("etc/config/network")+"\nconfig interface 'guest'\n\toption device 'br-guest'\n\toption proto 'static'\n\toption ip6assign '64'\n")
	found := b.etc()
	two := armed()
	two.LAN = []string{"lan", "guest"}
	if r := b.turn(two); r.Error != "" || strings.Join(r.LAN, " ") != "br-lan br-guest" {
		t.Fatalf("%+v", r)
	}
	if !strings.Contains(b.read("etc/config/network"), "lanseal_block6_guest") {
		t.Error("the second LAN has no persistent lock")
	}
	one := armed()
	if r := b.turn(one); r.Error != "" {
		t.Fatal(r.Error)
	}
	now := b.read("etc/config/network")
	if strings.Contains(now, "_guest") || !strings.Contains(now, "lanseal_block4_lan") || strings.Count(now, "ip6class") != 1 {
		t.Errorf("one LAN:\n%s", now)
	}
	soft := armed()
	soft.Hold, soft.DNS = false, false // killswitch '0'
	if r := b.turn(soft); r.Error != "" || r.Resolver != "" {
		t.Fatalf("%+v", r)
	}
	if text := b.read("etc/config/network") + b.read("etc/config/dhcp"); strings.Contains(text, "lanseal") || strings.Contains(text, "noresolv") || strings.Contains(text, "ip6class") {
		t.Errorf("without the kill switch:\n%s", text)
	}
	b.turn(one)
	b.turn(disarmed())
	b.same("disarmed", found)
}

// An uplink without its default route, a netifd or a dnsmasq that is being
// restarted: no reason to write to flash, or to undo anything.
func TestPassingTroublesChangeNothing(t *testing.T) {
	b := newBox(t, "22.03").within()
	b.turn(armed())
	b.told()
	before := b.etc()
	state := b.read("run/netifd.json")
	for name, trouble := range map[string]func(){
		"no default route": func() { b.edit("run/netifd.json", `"target":"0.0.0.0"`, `"target":"10.0.0.0"`) },
		"no netifd":        func() { b.write("run/netifd.json", "") },
		"no dnsmasq":       func() { b.write("run/dnsmasq.stopped", "") },
	} {
		trouble()
		if r := b.turn(armed()); r.Resolver != "" && name != "no default route" {
			t.Errorf("%s, and the LAN is sent to the router's resolver", name)
		}
		b.same(name, before)
		if told := b.told(); told != "" {
			t.Errorf("%s: told %s", name, told)
		}
		b.write("run/netifd.json", state)
		_ = os.Remove(b.path("run/dnsmasq.stopped"))
		if r := b.turn(armed()); r.Error != "" || r.Resolver != "ls-se" {
			t.Errorf("after %s: %+v", name, r)
		}
	}
}

// No exit is up: the resolver is told of no upstream, and refuses. Another
// exit is: it asks there.
func TestUpstreamFollowsTheExit(t *testing.T) {
	b := newBox(t, "24.10").within()
	b.turn(armed())
	file := "tmp/dnsmasq.cfg01411c.d/lanseal.conf"
	if text := b.read(file); !strings.Contains(text, "server=10.64.0.1@ls-se\n") || !strings.Contains(text, "address=/use-application-dns.net/\n") ||
		!strings.Contains(text, "address=/mask.icloud.com/\n") || !strings.Contains(text, "address=/mask-h2.icloud.com/\n") {
		t.Errorf("up:\n%s", text)
	}
	b.told()
	down := armed()
	down.Upstream = Upstream{}
	if r := b.turn(down); r.Error != "" || r.Resolver != "" {
		t.Errorf("%+v", r)
	}
	if text := b.read(file); strings.Contains(text, "server=") {
		t.Errorf("down:\n%s", text)
	}
	if told := b.told(); told != "dnsmasq restart" {
		t.Errorf("told: %s", told)
	}
	// A restart of the machine empties /tmp.
	b.again()
	b.within()
	if err := b.disk.remove(b.path(file)); err != nil {
		t.Fatal(err)
	}
	if r := b.turn(armed()); r.Resolver != "ls-se" || !strings.Contains(b.read(file), "server=10.64.0.1@ls-se") {
		t.Errorf("after a restart: %+v", r)
	}
}

// A file that cannot be read is told of, and does not keep the others from
// being restored; put right, it is restored as well.
func TestUnreadableFile(t *testing.T) {
	b := newBox(t, "24.10").within()
	found := b.etc()
	b.turn(armed())
	armedDHCP := b.read("etc/config/dhcp")
	b.write("etc/config/dhcp", "config dnsmasq\n\tnonsense here\n")
	if r := b.turn(disarmed()); !strings.Contains(r.Error, "/etc/config/dhcp") {
		t.Errorf("%+v", r)
	}
	if network := "-rw-r--r-- " + b.read("etc/config/network"); network != found["etc/config/network"] {
		t.Errorf("not restored:\n%s", network)
	}
	b.write("etc/config/dhcp", armedDHCP)
	if _, err := b.Restore(t.Context()); err != nil {
		t.Error(err)
	}
	b.same("put right", found)
}

// A service that fails is told again, also by the next process.
func TestServicesAreToldAgain(t *testing.T) {
	b := newBox(t, "22.03")
	if err := b.disk.remove(b.path("etc/init.d/dnsmasq")); err != nil {
		t.Fatal(err)
	}
	b.write("etc/init.d/dnsmasq", "not a program")
	if r := b.turn(armed()); r.Error == "" || r.Resolver != "" {
		t.Errorf("a service failed, and the report is %+v", r)
	}
	b.told()
	b.again()
	b.within()
	if r := b.turn(armed()); r.Error != "" || r.Resolver != "ls-se" {
		t.Errorf("%+v", r)
	}
	if told := b.told(); told != "dnsmasq restart\nodhcpd reload" {
		t.Errorf("told: %s", told)
	}
}

// What is asked for by hand in UCI stays: classlessroute, upstreams of single
// domains; and plain upstreams go.
func TestWants(t *testing.T) {
	b := newBox(t, "22.03").within()
	b.turn(armed())
	dhcp, network, firewall := b.read("etc/config/dhcp"), b.read("etc/config/network"), b.read("etc/config/firewall")
	if strings.Contains(dhcp, "8.8.8.8") || !strings.Contains(dhcp, "list server '/corp.example/192.168.1.9'") {
		t.Errorf("upstreams:\n%s", dhcp)
	}
	if !strings.Contains(network, "option classlessroute '0'") {
		t.Errorf("the uplink takes routes from its DHCP server:\n%s", network)
	}
	// The user switched fw4's automatic includes off: there is a zone instead.
	for _, want := range []string{"config zone 'lanseal_zone'", "list device 'ls-+'", "config forwarding 'lanseal_from1'\n\toption src 'lan'\n\toption dest 'lanseal'"} {
		if !strings.Contains(firewall, want) {
			t.Errorf("no %s:\n%s", want, firewall)
		}
	}

	b = newBox(t, "22.03").within()
	b.edit("etc/config/network", "option proto 'dhcp'", "option proto 'dhcp'\n\toption classlessroute '1'")
	b.edit("etc/config/firewall", "	option auto_includes	0\n", "")
	found := b.read("etc/config/firewall")
	w := armed()
	w.IPv6 = true
	b.turn(w)
	if !strings.Contains(b.read("etc/config/network"), "option classlessroute '1'") {
		t.Error("the user's own classlessroute was changed")
	}
	if b.read("etc/config/firewall") != found {
		t.Error("the firewall was changed, although the snippet is in force")
	}
	if !strings.Contains(b.read("etc/config/dhcp"), "option ra_default '1'") {
		t.Error("an exit carries IPv6, and the router announces no default route")
	}

	b = newBox(t, "23.05").within() // relays the ISP's advertisements; hardware offload
	b.edit("etc/config/network", "	option ip6assign '60'\n", "	option ip6addr '2001:db8:7::1/64'\n")
	r := b.turn(armed())
	if !r.Hardware {
		t.Error("hardware offload was not noticed")
	}
	if !strings.Contains(strings.Join(r.Notes, "\n"), "network lan has a global IPv6 address") {
		t.Errorf("a fixed prefix was not noticed: %v", r.Notes)
	}
	if text := b.read("etc/config/network"); !strings.Contains(text, "option ip6assign '60'") || !strings.Contains(text, "list ip6class 'local'") {
		t.Errorf("clients get no prefix of the router's own:\n%s", text)
	}
	if dhcp := b.read("etc/config/dhcp"); strings.Contains(dhcp, "relay") || !strings.Contains(dhcp, "option ra 'server'") || strings.Contains(dhcp, "ndp") {
		t.Errorf("the ISP's advertisements are still relayed:\n%s", dhcp)
	}

	b = newBox(t, "24.10").within()
	w = armed()
	w.Withdraw = false // via 'direct': devices without a rule keep the ISP's addresses
	b.turn(w)
	if text := b.read("etc/config/network"); strings.Contains(text, "ip6class") || !strings.Contains(text, "lanseal_block4_lan") {
		t.Errorf("via 'direct':\n%s", text)
	}
}
