package kernel

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// TestIPTablesWays: every device goes its own way and no other, with one rule
// a device and with sets.
func TestIPTablesWays(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		for _, sets := range []bool{true, false} {
			name := map[bool]string{true: "sets", false: "rules"}[sets]
			t.Run(name, func(t *testing.T) {
				l := iptNewLab(t)
				fw := l.iptOpen(t, variant)
				if !sets {
					fw.ipset = ""
				}
				// Without a lock everything leaves by the WAN: the lab leaks.
				if n := l.showed(l.send(t, "53")); n["wan"] < 4 {
					t.Fatalf("only %v of 4 packets passed an open router", n)
				}
				l.apply(t, fw, iptFirewall())
				if sets && !fw.options.IPSets {
					iptCannot(t, "needs ipset hash:ip")
				}
				for _, c := range []struct {
					why, network, src, dst string
					port                   int
					want                   string
				}{
					{"default", "udp", "192.168.1.50", iptTarget4, iptEchoPort, "se 10.64.0.2"},
					{"default", "tcp", "192.168.1.50", iptTarget4, iptEchoPort, "se 10.64.0.2"},
					{"default, IPv6", "udp", "fd01::50", iptTarget6, iptEchoPort, "se fd64::2"},
					{"default, IPv6", "tcp", "fd01::50", iptTarget6, iptEchoPort, "se fd64::2"},
					{"device", "udp", "192.168.1.51", iptTarget4, iptEchoPort, "no 10.65.0.2"},
					{"exit without IPv6", "udp", "fd01::51", iptTarget6, iptEchoPort, "refused"},
					{"exit without IPv6", "tcp", "fd01::51", iptTarget6, iptEchoPort, "refused"},
					{"direct", "udp", "192.168.1.52", iptTarget4, iptEchoPort, "wan 192.168.1.52"},
					{"direct", "tcp", "fd01::52", iptTarget6, iptEchoPort, "wan fd01::52"},
					{"blocked", "udp", "192.168.1.53", iptTarget4, iptEchoPort, "refused"},
					{"blocked", "tcp", "192.168.1.53", iptTarget4, iptEchoPort, "refused"},
					{"blocked, IPv6", "tcp", "fd01::53", iptTarget6, iptEchoPort, "refused"},
					{"exception", "udp", "192.168.1.53", iptTarget4, 5000, "wan 192.168.1.53"},
					{"exception, IPv6", "udp", "fd01::53", iptTarget6, 5000, "wan fd01::53"},
					{"not the exception's protocol", "tcp", "192.168.1.53", iptTarget4, 5000, "refused"},
					{"LAN to LAN", "udp", "192.168.1.53", "192.168.2.50", iptEchoPort, "guest 192.168.1.53"},
					{"LAN to LAN", "tcp", "fd01::51", "fd02::50", iptEchoPort, "guest fd01::51"},
					{"DNS", "udp", "192.168.1.50", "8.8.8.8", 53, "se 10.64.0.2"},
					{"DNS", "tcp", "192.168.1.51", "192.168.1.1", 53, "no 10.65.0.2"},
					{"DNS, IPv6", "udp", "fd01::50", "fd01::1", 53, "se fd64::2"},
					{"no resolver for IPv6", "udp", "fd01::51", "fd01::1", 53, "refused"},
					{"no resolver for IPv6", "tcp", "fd01::51", iptTarget6, 53, "refused"},
					{"DNS of the blocked", "udp", "192.168.1.53", "192.168.1.1", 53, "refused"},
					{"DNS of the blocked", "tcp", "192.168.1.53", "192.168.1.1", 53, "refused"},
					{"DNS of the blocked, LAN", "udp", "192.168.1.53", "192.168.2.50", 53, "refused"},
					{"DNS of the direct", "udp", "192.168.1.52", iptTarget4, 53, "wan 192.168.1.52"},
					{"DoT", "tcp", "192.168.1.50", iptTarget4, 853, "refused"},
					{"DoQ, IPv6", "udp", "fd01::50", iptTarget6, 853, "refused"},
					{"DoH", "tcp", "192.168.1.50", "1.1.1.1", 443, "refused"},
					{"not DoH", "tcp", "192.168.1.50", iptTarget4, 443, "se 10.64.0.2"},
				} {
					if got := l.ask(t, l.client, c.network, c.src, c.dst, c.port, 0); got != c.want {
						t.Errorf("%s: %s %s → %s:%d: %s, want %s", c.why, c.network, c.src, c.dst, c.port, got, c.want)
					}
				}
			})
		}
	})
}

// TestIPTablesRouter: the router itself leaves by the tunnels or, marked as
// transport, by the WAN, and nobody at a tunnel's end reaches it or the LAN.
func TestIPTablesRouter(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		fw := l.iptOpen(t, variant)
		l.server(t, l.router)
		l.server(t, l.client)
		want := iptFirewall()
		l.apply(t, fw, want)
		// Rules that count what reaches the router under a tunnel's address:
		// silence alone would not say whether the question or the answer was
		// dropped.
		const reached = "iptables -A INPUT -d 10.64.0.2 ! -i ls-se; ip6tables -A INPUT -d fd64::2 ! -i ls-se"
		l.shell(t, variant, reached)
		for _, c := range []struct {
			why          string
			from         *iptNS
			network, src string
			dst          string
			port, mark   int
			want         string
		}{
			{"the router itself", l.router, "udp", "", iptTarget4, iptEchoPort, 0, "refused"},
			{"the router itself", l.router, "tcp", "", iptTarget6, iptEchoPort, 0, "refused"},
			{"transport", l.router, "udp", "", iptTarget4, iptEchoPort, int(rules.MarkTransport), "wan 198.51.100.2"},
			{"transport", l.router, "tcp", "", iptTarget6, iptEchoPort, int(rules.MarkTransport), "wan 2001:db8:1::2"},
			{"the router to the LAN", l.router, "udp", "", "192.168.2.50", iptEchoPort, 0, "guest 192.168.2.1"},
			{"the router to a tunnel's end", l.router, "tcp", "", "10.64.0.1", iptEchoPort, 0, "se 10.64.0.2"},
			{"the router's question goes to the exit's resolver", l.router, "udp", "", "10.65.0.99", 53, 0, "no 10.65.0.2"},
			{"the LAN to the router", l.client, "tcp", "192.168.1.53", "192.168.1.1", iptEchoPort, 0, "router 192.168.1.53"},
			{"a tunnel's end to the router", l.se, "tcp", "", "10.64.0.2", iptEchoPort, 0, "silence"},
			{"a tunnel's end to the router, IPv6", l.se, "udp", "", "fd64::2", iptEchoPort, 0, "silence"},
			{"a tunnel's address from the LAN (CVE-2019-14899)", l.client, "udp", "192.168.1.50", "10.64.0.2", iptEchoPort, 0, "silence"},
			{"a tunnel's address from the WAN (CVE-2019-14899)", l.wan, "udp", "198.51.100.1", "10.64.0.2", iptEchoPort, 0, "silence"},
			{"a tunnel's address from the WAN, IPv6", l.wan, "udp", "2001:db8:1::1", "fd64::2", iptEchoPort, 0, "silence"},
			{"the WAN to the LAN", l.wan, "udp", "198.51.100.1", "192.168.1.50", iptEchoPort, 0, "silence"},
			{"the WAN to a direct device", l.wan, "tcp", "198.51.100.1", "192.168.1.52", iptEchoPort, 0, "client 198.51.100.1"},
			{"the WAN to a direct device, IPv6", l.wan, "udp", "2001:db8:1::1", "fd01::52", iptEchoPort, 0, "client 2001:db8:1::1"},
		} {
			if got := l.ask(t, c.from, c.network, c.src, c.dst, c.port, c.mark); got != c.want {
				t.Errorf("%s: %s: %s, want %s", c.why, c.dst, got, c.want)
			}
		}
		for line := range strings.Lines(l.shell(t, variant, "iptables-save -c; ip6tables-save -c")) {
			if strings.Contains(line, "-A INPUT -d") && !strings.HasPrefix(line, "[0:0]") {
				t.Errorf("packets reached a tunnel's address from elsewhere: %s", line)
			}
		}
		l.shell(t, variant, strings.ReplaceAll(reached, "-A", "-D"))
		// With the router's traffic on the WAN only the LAN is held.
		want.RouterDirect = true
		l.apply(t, fw, want)
		if got := l.ask(t, l.router, "udp", "", iptTarget4, iptEchoPort, 0); got != "wan 198.51.100.2" {
			t.Errorf("router_traffic 'wan': %s", got)
		}
		// On the default exit the router's own resolver answers; a tunnel's
		// address never leaves elsewhere, however it comes to be the source.
		want = iptFirewall()
		want.Redirect, want.RouterDirect = true, true
		l.apply(t, fw, want)
		for dst, answer := range map[string]string{"8.8.8.8": "router 192.168.1.50", iptTarget6: "router fd01::50"} {
			src := map[string]string{"8.8.8.8": "192.168.1.50", iptTarget6: "fd01::50"}[dst]
			if got := l.ask(t, l.client, "udp", src, dst, 53, 0); got != answer {
				t.Errorf("redirect: %s, want %s", got, answer)
			}
		}
		before := l.strayed()
		fromTunnel := func(when string) {
			t.Helper()
			for _, src := range []string{"10.64.0.2", "fd64::2"} {
				dst := map[string]string{"10.64.0.2": iptTarget4, "fd64::2": iptTarget6}[src]
				if got := l.ask(t, l.router, "udp", src, dst, iptEchoPort, int(rules.MarkTransport)); got == "wan "+src {
					t.Errorf("%s: %s left by the WAN", when, src)
				}
			}
			if n := l.strayed(); n != before {
				t.Errorf("%s: a tunnel's address showed elsewhere: %d frames, before %d", when, n, before)
			}
		}
		fromTunnel("tracked")
		const untracked = "iptables -t raw -A OUTPUT -o wan0 -j CT --notrack; ip6tables -t raw -A OUTPUT -o wan0 -j CT --notrack"
		l.shell(t, variant, untracked)
		fromTunnel("untracked")
		l.shell(t, variant, strings.ReplaceAll(untracked, "-A", "-D"))
		// Somebody else's SNAT to the tunnel's address: its first packet is
		// past us before its source is rewritten, the others are not.
		l.shell(t, variant, "iptables -t nat -I POSTROUTING 2 -o wan0 -j SNAT --to-source 10.64.0.2")
		l.client.do(func() {
			c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(192, 168, 1, 52)}, &net.UDPAddr{IP: net.ParseIP(iptTarget4), Port: iptEchoPort})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for range 5 {
				_, _ = c.Write([]byte("?"))
				time.Sleep(5 * time.Millisecond)
			}
		})
		time.Sleep(50 * time.Millisecond)
		if n := l.strayed() - before; n > 1 {
			t.Errorf("%d frames left under the tunnel's address", n)
		}
	})
}

// TestIPTablesBlocked: what is refused is counted once, and nothing else is.
func TestIPTablesBlocked(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		fw := l.iptOpen(t, variant)
		l.apply(t, fw, iptFirewall())
		read := func() (b Blocked) {
			t.Helper()
			var err error
			l.router.do(func() { b, err = fw.Blocked(context.Background()) })
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		for _, c := range []struct {
			why, network, src, dst string
			port                   int
			want                   uint64
		}{
			{"blocked device", "udp", "192.168.1.53", iptTarget4, iptEchoPort, 1},
			{"blocked device, IPv6", "tcp", "fd01::53", iptTarget6, iptEchoPort, 1},
			{"exit without IPv6", "udp", "fd01::51", iptTarget6, iptEchoPort, 1},
			{"DoT", "tcp", "192.168.1.50", iptTarget4, 853, 1},
			{"DNS of the blocked to the router", "udp", "192.168.1.53", "192.168.1.1", 53, 1},
			{"DNS of the blocked to the world", "udp", "192.168.1.53", iptTarget4, 53, 1},
			{"DNS without resolver", "udp", "fd01::51", iptTarget6, 53, 1},
			{"LAN to LAN", "udp", "192.168.1.53", "192.168.2.50", iptEchoPort, 0},
			{"LAN to LAN, IPv6", "tcp", "fd01::51", "fd02::50", iptEchoPort, 0},
			{"to the router", "udp", "192.168.1.53", "192.168.1.1", iptEchoPort, 0},
			{"broadcast", "udp", "192.168.1.53", "192.168.1.255", iptEchoPort, 0},
			{"through the exit", "tcp", "192.168.1.50", iptTarget4, iptEchoPort, 0},
		} {
			before := read().Packets
			l.ask(t, l.client, c.network, c.src, c.dst, c.port, 0)
			if got := read().Packets - before; got != c.want {
				t.Errorf("%s: counted %d, want %d", c.why, got, c.want)
			}
		}
		// By hardware address, where the device has one in the configuration.
		mac := ""
		l.client.do(func() { mac = iptMAC(t) })
		want := iptFirewall()
		want.Members = []rules.Member{{Device: "laptop", MAC: mac, Way: rules.WayBlock}}
		l.apply(t, fw, want)
		for range 3 {
			l.ask(t, l.client, "udp", "192.168.1.50", iptTarget4, iptEchoPort, 0)
		}
		if b := read(); b.Packets != 3 || b.ByMAC[mac] != 3 || b.Bytes == 0 {
			t.Errorf("blocked = %+v, want 3 packets of %s", b, mac)
		}
	})
}

// TestIPTablesRefused: with one LAN a blocked packet is refused by the router,
// though the routing lock would not let it come so far, and reaches no service
// of the router's.
func TestIPTablesRefused(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		fw := l.iptOpen(t, variant)
		l.server(t, l.router)
		want := iptFirewall()
		want.LAN = want.LAN[:1]
		l.apply(t, fw, want)
		l.router.do(func() {
			rule := netlink.NewRule() // the routing lock, silent here
			rule.Family, rule.Priority, rule.IifName, rule.Type = netlink.FAMILY_V4, 520, want.LAN[0], unix.FR_ACT_BLACKHOLE
			if err := netlink.RuleAdd(rule); err != nil {
				t.Error(err)
			}
		})
		for _, c := range []struct {
			why, network, src, dst string
			port                   int
			want                   string
		}{
			{"blocked", "udp", "192.168.1.53", iptTarget4, iptEchoPort, "refused"},
			{"blocked", "tcp", "192.168.1.53", iptTarget4, iptEchoPort, "refused"},
			{"DNS of the blocked", "udp", "192.168.1.53", iptTarget4, 53, "refused"},
			{"DNS of the blocked", "tcp", "192.168.1.53", iptTarget4, 53, "refused"},
			{"blocked, to the router", "tcp", "192.168.1.53", "192.168.1.1", iptEchoPort, "router 192.168.1.53"},
			{"private, so perhaps the LAN's", "tcp", "192.168.1.53", "10.1.2.3", iptEchoPort, "silence"},
			{"default", "tcp", "192.168.1.50", iptTarget4, iptEchoPort, "se 10.64.0.2"},
		} {
			if got := l.ask(t, l.client, c.network, c.src, c.dst, c.port, 0); got != c.want {
				t.Errorf("%s: %s %s → %s:%d: %s, want %s", c.why, c.network, c.src, c.dst, c.port, got, c.want)
			}
		}
	})
}

// TestIPTablesHolds: what is left of a lock after a flush is not taken for it.
func TestIPTablesHolds(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		fw := l.iptOpen(t, variant)
		want := iptFirewall()
		holds := func(lan ...string) (ok bool) {
			l.router.do(func() { ok = fw.holds(context.Background(), lan) })
			return ok
		}
		for _, c := range []string{
			"iptables -F LANSEAL-FORWARD-G", "iptables -F LANSEAL-FROM_LAN-G", "ip6tables -F LANSEAL-REFUSE-G", "iptables -F LANSEAL-REJECT-G",
			"ip6tables -F LANSEAL-OUTPUT-G", "iptables -F FORWARD", "iptables -t mangle -F", "iptables -I FORWARD -j ACCEPT",
		} {
			if holds(want.LAN...) {
				t.Errorf("before %s: holds without a lock", c)
			}
			l.apply(t, fw, want)
			if !holds(want.LAN...) || holds("other0") {
				t.Errorf("before %s: a whole lock is not seen, or for a LAN that is not its", c)
			}
			generation, ok := "", false
			l.router.do(func() {
				if s, err := fw.survey(context.Background()); err == nil {
					generation, _ = fw.inForce(s)
					ok = generation != ""
				}
			})
			if !ok {
				t.Fatal("no generation in force")
			}
			l.shell(t, variant, strings.ReplaceAll(c, "-G", "-"+generation))
		}
	})
}
