package threats

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/lanseal/lanseal/agent/lab"
)

func ordinary() []Scenario {
	return []Scenario{
		{
			Name: "T1Ordinary", Threat: "T1", Title: "The TV streams, browses, pings and asks for names in IPv4 and IPv6",
			User: "Everything works; the internet sees the tunnel's address.", RecoversBy: "nothing was broken",
			Check: seenAs(1), Mutate: unlock,
		},
		{
			Name: "T1Multicast", Threat: "T1", Title: "A client sends multicast and broadcast beyond the LAN",
			User: "Nothing; it stays on the LAN.", RecoversBy: "nothing was broken",
			Fault:  fromTV("224.0.0.251:5353", "239.255.255.250:1900", "255.255.255.255:9999", "192.168.1.255:9999", "[ff0e::c]:1900", "[ff02::fb]:5353"),
			Mutate: unlock,
		},
		{
			Name: "T1LANStaysUsable", Threat: "T1", Title: "Two devices on the LAN talk to each other",
			User: "Nothing; the LAN is not touched.", RecoversBy: "nothing was broken",
			Check: func(ctx context.Context, e *Env) error {
				box, err := e.Lab.Laptop.Inbox(4242)
				if err != nil {
					return err
				}
				return eventually(ctx, "the laptop to hear the TV", func() error {
					p := lab.Packet{Src: addrPort(lab.TV4 + ":4242"), Dst: addrPort(lab.Laptop4 + ":4242"), Payload: []byte("x")}
					if err := toLaptop(e, p); err != nil {
						return err
					}
					if box.Count() == 0 {
						return fmt.Errorf("nothing came")
					}
					return nil
				})
			},
			Mutate: unlock,
		},
	}
}

// seenAs checks that the servers saw nobody but the customers of VPN 1 or 2.
func seenAs(n int) func(context.Context, *Env) error {
	return func(_ context.Context, e *Env) error {
		v := e.Lab.VPN1
		if n == 2 {
			v = e.Lab.VPN2
		}
		for _, s := range e.TV.Stats() {
			for a := range s.Sources {
				if !v.Public(a) && !v.Net4.Contains(a) && !v.Net6.Contains(a) {
					return fmt.Errorf("%s was seen as %s, not as a customer of %s", s.Kind, a, v.Name)
				}
			}
		}
		return nil
	}
}

// fromTV injects datagrams from the TV to the given destinations.
func fromTV(to ...string) func(context.Context, *Env) error {
	return func(_ context.Context, e *Env) error {
		for _, dst := range to {
			p := lab.Packet{Src: addrPort(lab.TV4 + ":4000"), Dst: addrPort(dst), Payload: []byte("multicast")}
			if p.Dst.Addr().Is6() {
				p.Src = addrPort("[" + lab.TVGUA + "]:4000")
			}
			if err := e.Lab.InjectLAN(e.Lab.TV, p); err != nil {
				return err
			}
		}
		return nil
	}
}

// toLaptop puts a frame straight on the LAN, as between two of its devices.
func toLaptop(e *Env, p lab.Packet) error {
	f, err := p.Frame(lab.MACTV, lab.MACLaptop)
	if err != nil {
		return err
	}
	return e.Lab.TV.Inject("eth0", f)
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
