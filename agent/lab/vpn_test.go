package lab

import (
	"net/netip"
	"testing"
	"time"
)

// The servers really work: a hand-made client carries every kind of traffic,
// the wire shows only transport, and the internet sees the server.
func TestServersCarryTraffic(t *testing.T) {
	l := ForTest(t, Options{})
	start := time.Now()
	c, err := l.StartPlainClient(l.VPN1, "plain0", "198.51.100.0/24", "2001:db8:5::/64")
	if err != nil {
		t.Fatal(err)
	}
	kinds := Without(AllKinds(), DNSRouter, DNSISP, DNSISPTCP)
	mark := l.WAN.MarkTime()
	tr := l.Traffic(l.TV, kinds...)
	if err := tr.WaitFlow(within(t, 10*time.Second), Without(kinds, DNSISPFar)...); err != nil {
		t.Fatalf("%v\n%s", err, tr)
	}
	if err := l.VPN1.WaitHandshake(within(t, time.Second), start); err != nil {
		t.Error(err)
	}
	for _, k := range []Kind{UDP4, UDP6, TCP4, TCPNew6, Fragment4} {
		for a := range tr.Of(k).Sources {
			if !l.VPN1.Public(a) {
				t.Errorf("%s was seen as %s", k, a)
			}
		}
	}
	if n := l.WAN.Count(Transport, mark); n == 0 {
		t.Error("the wire showed no transport")
	}
	if n := l.WAN.Count(Leak, mark); n != 0 {
		t.Errorf("%d leaks: %v", n, l.WAN.Leaks(mark)[0])
	}
	if a, err := l.TV.STUN(Echo4); err != nil || !l.VPN1.Public(a.Addr()) {
		t.Errorf("STUN says %v, %v", a, err)
	}
	tr.Stop()

	// The tunnel's own resolver answers and remembers who asked.
	if err := l.Router.routeMetric(l.VPN1.Resolver4()+"/32", "", "plain0", 0); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if a, err := l.Laptop.Resolve(l.VPN1.Resolver4(), "vpn2.lab.test", "A"); err != nil || len(a) != 1 || a[0].String() != VPN2v4 {
		t.Errorf("the resolver in the tunnel says %v, %v", a, err)
	}
	if q := l.VPN1.DNS.Questions(before); len(q) != 1 || q[0].Name != "vpn2.lab.test" || q[0].From.Addr() != l.VPN1.Client4() {
		t.Errorf("the resolver in the tunnel heard %+v", q)
	}

	// Without protection the tunnel's end is a leak: the other control.
	mark = l.WAN.MarkTime()
	c.Kill()
	tr = l.Traffic(l.TV, UDP4, UDP6)
	if err := tr.WaitFlow(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, _ := tr.Betrayed(); n == 0 || l.WAN.Count(Leak, mark) == 0 {
		t.Error("killing the tunnel of an unprotected router leaked nothing")
	}
}

// A silent server answers nobody, then everybody; a killed one answers nobody,
// and starts again for a client that begins anew (an old client would need
// fifteen seconds to notice, which is WireGuard's own timer).
func TestServerFaults(t *testing.T) {
	l := ForTest(t, Options{})
	c, err := l.StartPlainClient(l.VPN2, "plain0", "198.51.100.0/24")
	if err != nil {
		t.Fatal(err)
	}
	tr := l.Traffic(l.Laptop, UDP4, ICMP4, TCPNew4)
	flows := func() {
		t.Helper()
		if err := tr.WaitFlow(within(t, 10*time.Second)); err != nil {
			t.Fatalf("%v\n%s", err, tr)
		}
	}
	dead := func(what string) {
		t.Helper()
		tr.Mark()
		if err := tr.WaitSent(within(t, 5*time.Second), 5); err != nil {
			t.Fatal(err)
		}
		for _, s := range tr.Stats() {
			if s.Answered > 0 {
				t.Errorf("%s: %s was answered", what, s.Kind)
			}
		}
	}
	flows()
	if err := l.VPN2.Silence(); err != nil {
		t.Fatal(err)
	}
	dead("silence")
	if err := l.VPN2.Resume(); err != nil {
		t.Fatal(err)
	}
	flows()
	l.VPN2.Kill()
	dead("kill")
	if err := l.VPN2.Restart(true); err != nil {
		t.Fatal(err)
	}
	// The server moves: its old address is dead, its new one is transport.
	if err := l.VPN2.ChangeAddress("192.0.2.77"); err != nil {
		t.Fatal(err)
	}
	if a, err := l.VPN2.WhoAmI(Echo4); err != nil || a != netip.MustParseAddr("192.0.2.77") {
		t.Errorf("after the move the server is %v, %v", a, err)
	}
	c.Kill()
	mark := l.WAN.MarkTime()
	if _, err := l.StartPlainClient(l.VPN2, "plain1", "198.51.100.0/24"); err != nil {
		t.Fatal(err)
	}
	flows()
	if n := l.WAN.Count(Transport, mark); n == 0 {
		t.Error("the new address does not count as transport")
	}
}
