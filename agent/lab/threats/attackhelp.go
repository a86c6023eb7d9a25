package threats

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/lanseal/lanseal/agent/lab"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// marker is in the payload of what a client sends to the VPN server's own
// port, where the capture takes it for the tunnel's.
const marker = "this is a client's datagram, not a tunnel's"

// toServer sends from the TV to the VPN server's public addresses: the echo
// port, some others, and the very port of the tunnel.
func toServer(_ context.Context, e *Env) error {
	for range 5 {
		for _, to := range []string{lab.VPN1v4, lab.VPN1v6} {
			src := addrPort(lab.TV4 + ":4000")
			if addr(to).Is6() {
				src = addrPort("[" + lab.TV6 + "]:4000")
			}
			for _, port := range []uint16{lab.EchoPort, 80, 443, 1194, lab.WGPort} {
				dst := netip.AddrPortFrom(addr(to), port)
				for _, p := range []lab.Packet{{Src: src, Dst: dst, Payload: []byte(marker)}, {Src: src, Dst: dst, TCP: lab.TCPSyn, Payload: []byte(marker)}} {
					if err := e.Lab.InjectLAN(e.Lab.TV, p); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// noMarker looks for a client's words among the frames of every class.
func noMarker(_ context.Context, e *Env) error {
	for _, f := range e.Lab.WAN.Frames() {
		if bytes.Contains(f.Raw, []byte(marker)) {
			return fmt.Errorf("a client's datagram left in the clear: %s", f)
		}
	}
	return nil
}

// serverReached checks that the server can be talked to through the tunnel.
func serverReached(_ context.Context, e *Env) error {
	a, err := e.Lab.TV.WhoAmI(lab.VPN1v4)
	if err != nil {
		return fmt.Errorf("talking to the VPN server's own address: %w", err)
	}
	if lab.ISPOwned(a) {
		return fmt.Errorf("the VPN server's own address saw %s", a)
	}
	return nil
}

// hostRoute is how many clients keep their transport out of the tunnel: a
// route to the server for everybody.
func hostRoute(ctx context.Context, e *Env) error {
	return errors.Join(naive(ctx, e), sh(ctx, e.Lab.Router,
		"ip route add "+lab.VPN1v4+"/32 via "+lab.Gateway4+" dev wan table 5200\nip -6 route add "+lab.VPN1v6+"/128 via "+lab.Gateway6+" dev wan table 5200"))
}

// bootstrapRule explains the agent's own questions on the wire: to the one
// resolver that is configured, for the one name that is an endpoint's.
const bootstrapRule = "bootstrap"

func bootstrapAllowed(_ context.Context, e *Env) error {
	e.Lab.WAN.Explain(bootstrapRule, func(f *lab.Frame) bool {
		if f.Dst != addr(lab.Resolver4) || f.DstPort != 53 || f.Src != addr(lab.WAN4) {
			return false
		}
		const udp, udpPayload = 17, 14 + 20 + 8
		if f.Proto != udp {
			return len(f.Raw) <= udpPayload+12+20 // TCP's own frames; none is expected
		}
		var m dnsmessage.Message
		if len(f.Raw) < udpPayload || m.Unpack(f.Raw[udpPayload:]) != nil || len(m.Questions) != 1 {
			return false
		}
		return m.Questions[0].Name.String() == "vpn1.lab.test."
	})
	return nil
}

// falseAnswer waits until the agent has been told lies, asserts that it
// believed none of them and that nothing left, and then has the truth told.
func falseAnswer(ctx context.Context, e *Env) error {
	if err := eventually(ctx, "the agent to ask for its endpoint", func() error {
		if e.Lab.WAN.CountRule(bootstrapRule, e.Since[e.Lab.WAN]) == 0 && len(e.Lab.PublicDNS().Questions(time.Time{})) == 0 {
			return errors.New("no question yet")
		}
		return nil
	}); err != nil {
		return err
	}
	t := e.Lab.Traffic(e.Lab.TV)
	e.TV = t
	if err := e.send(ctx, 2); err != nil {
		return err
	}
	s, err := e.Agent.Status(ctx)
	if err != nil {
		return err
	}
	if ep := s.Exit("se").Endpoint; ep != "" {
		return fmt.Errorf("the agent took the false endpoint %s", ep)
	}
	if n, lines, err := e.leaks(ctx); err != nil || n > 0 {
		return errors.Join(err, fmt.Errorf("%d frames leaked while the endpoint was unknown: %s", n, lines))
	}
	e.Lab.Zone.Set("vpn1.lab.test", addr(lab.VPN1v4))
	return e.protected(ctx)
}
