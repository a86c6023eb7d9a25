package threats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// atOnce is how quickly a refusal must come, so that nobody waits for it.
const atOnce = 500 * time.Millisecond

// tunnelAnswers checks that every question since the fault's mark went to the
// tunnel's resolver and to no other, whomever it was put to.
func tunnelAnswers(_ context.Context, e *Env) error {
	for _, s := range []*lab.DNSServer{e.Lab.ISPDNS(), e.Lab.PublicDNS()} {
		if q := s.Questions(e.Began); len(q) > 0 {
			return fmt.Errorf("%s was asked %d times, first for %s by %s", s.Name, len(q), q[0].Name, q[0].From)
		}
	}
	if len(e.Lab.VPN1.DNS.Questions(e.Began)) == 0 {
		return errors.New("the tunnel's resolver was not asked")
	}
	return nil
}

// refusedAtOnce checks that f fails, and quickly.
func refusedAtOnce(what string, f func() error) error {
	start := time.Now()
	err := f()
	took := time.Since(start)
	switch {
	case err == nil:
		return fmt.Errorf("%s was not refused", what)
	case took > atOnce:
		return fmt.Errorf("%s was refused only after %v: %w", what, took, err)
	}
	return nil
}

func dial(h *lab.Host, to string, port uint16) func() error {
	return func() error {
		c, err := h.Dial(netip.AddrPortFrom(addr(to), port), 3*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	}
}

func datagram(h *lab.Host, to string, port uint16) func() error {
	return func() error {
		_, err := h.Exchange(netip.AddrPortFrom(addr(to), port), []byte("\x00\x00\x00\x00\x00\x00\x00\x01"), 3*time.Second)
		return err
	}
}

var resolvers = []string{lab.RouterLAN4, lab.Resolver4, lab.ISPResolver4, lab.ISPResolverFar4, lab.Resolver6, lab.ISPResolver6}

func questions() []Scenario {
	dns := []lab.Kind{lab.UDP4, lab.UDP6, lab.UDPNew4, lab.TCP4, lab.TCP6, lab.ICMP4, lab.ICMP6, lab.TCPNew4, lab.DNSRouter, lab.DNSPublic, lab.DNSPublicTCP, lab.DNSPublic6, lab.DNSISP, lab.DNSISPTCP, lab.DNSISPFar}
	return []Scenario{
		{
			Name: "D1Hijacked", Threat: "D1", Title: "Clients ask public resolvers and the ISP's, by UDP and TCP, in IPv4 and IPv6", Kinds: dns,
			User: "Names resolve; the tunnel's resolver answers.", RecoversBy: "nothing was broken",
			Check: tunnelAnswers, Mutate: noChain("dns"),
		},
		{
			Name: "D2Parallel", Threat: "D2", Title: "A client asks several resolvers the same question at once, as Windows does", Kinds: dns,
			User: "Names resolve; the tunnel's resolver answers.", RecoversBy: "nothing was broken",
			Fault: func(_ context.Context, e *Env) error {
				var wg sync.WaitGroup
				errs := make([]error, len(resolvers))
				for i, r := range resolvers {
					wg.Go(func() {
						if _, err := e.Lab.TV.Resolve(r, "parallel.example.test", "A"); err != nil {
							errs[i] = fmt.Errorf("asking %s: %w", r, err)
						}
					})
				}
				wg.Wait()
				return broken(errors.Join(errs...))
			},
			Check: tunnelAnswers, Mutate: noChain("dns"),
		},
		{
			Name: "D3Router", Threat: "D3", Title: "The router's own resolver, whose upstream is the ISP's, and the router's own programs", Options: lab.Options{Dnsmasq: true}, Kinds: dns,
			User: "Names resolve; the tunnel's resolver answers.", RecoversBy: "nothing was broken",
			Fault: func(_ context.Context, e *Env) error {
				var err error
				for _, r := range resolvers {
					if _, rerr := e.Lab.Router.Resolve(r, "router.example.test", "A"); rerr != nil {
						err = errors.Join(err, fmt.Errorf("the router asking %s: %w", r, rerr))
					}
				}
				if a, werr := e.Lab.Router.WhoAmI(lab.Echo4); werr != nil || !e.Lab.VPN1.Public(a) && !e.Mode.Mutated {
					err = errors.Join(err, fmt.Errorf("the router itself is seen as %s: %w", a, werr))
				}
				return broken(err)
			},
			Check: tunnelAnswers, Mutate: noChain("dns_router"),
		},
		{
			Name: "D3RouterSealed", Threat: "D3", Title: "The router's own resolver and programs ask while the tunnel is gone and the firewall is flushed", Options: lab.Options{Dnsmasq: true},
			User: "The router resolves nothing until the tunnel is back.", RecoversBy: "the agent", Breaks: "firewall",
			Fault: func(_ context.Context, e *Env) error {
				e.Lab.VPN1.Kill()
				err := errors.Join(e.Agent.Stop(), e.Lab.LinkDelete(device), e.Lab.FlushNft())
				var wg sync.WaitGroup
				for _, r := range resolvers {
					wg.Go(func() { _, _ = e.Lab.Router.Resolve(r, "router.example.test", "A") })
				}
				wg.Go(func() { _, _ = e.Lab.Router.WhoAmI(lab.Echo4) })
				wg.Wait()
				return err
			},
			Undo: func(_ context.Context, e *Env) error {
				return errors.Join(e.Lab.VPN1.Restart(false), e.Lab.RestoreNAT(), e.Agent.Cont())
			},
			Mutate: noRouting,
		},
		{
			Name: "D4Encrypted", Threat: "D4", Title: "Clients try DNS over TLS and over QUIC",
			User: "They are refused at once and fall back to the tunnel's resolver.", RecoversBy: "by design",
			Check: func(_ context.Context, e *Env) (err error) {
				for _, to := range []string{lab.Echo4, lab.Resolver4, lab.Echo6, lab.ISPResolver4} {
					err = errors.Join(err, refusedAtOnce("DoT to "+to, dial(e.Lab.TV, to, 853)), refusedAtOnce("DoQ to "+to, datagram(e.Lab.TV, to, 853)))
				}
				if s := e.TV.Of(lab.DoT); s.Answered > 0 || s.Refused == 0 {
					err = errors.Join(err, fmt.Errorf("DoT: %d answered, %d refused", s.Answered, s.Refused))
				}
				return err
			},
			Mutate: noChain("refuse"),
		},
		{
			Name: "D5Dropout", Threat: "D5", Title: "The tunnel drops out, and clients go on asking",
			User: "Refused at once, and again answered when the tunnel is back; no restart.", RecoversBy: "the agent",
			Fault: func(ctx context.Context, e *Env) error {
				e.Lab.VPN1.Kill()
				err := e.Lab.LinkDelete(device)
				if !e.Frozen {
					err = errors.Join(err, e.state(ctx, "connecting", "sealed"))
				}
				return err
			},
			During: func(_ context.Context, e *Env) (err error) {
				for _, r := range resolvers {
					err = errors.Join(err, refusedAtOnce("a question to "+r, func() error {
						_, err := e.Lab.TV.Resolve(r, "dropout.example.test", "A")
						return err
					}))
				}
				return errors.Join(err, refusedAtOnce("a connection", dial(e.Lab.TV, lab.Echo4, lab.EchoPort)), refusedAtOnce("an IPv6 connection", dial(e.Lab.TV, lab.Echo6, lab.EchoPort)),
					refusedAtOnce("a datagram", datagram(e.Lab.TV, lab.Echo4, lab.EchoPort)))
			},
			Undo:   func(_ context.Context, e *Env) error { return e.Lab.VPN1.Restart(false) },
			Mutate: unlock,
		},
		{
			Name: "D6NoResolver", Threat: "D6", Title: "The tunnel file names no resolver", Kinds: dns,
			User: "Names resolve, by a documented public resolver, through the tunnel.", RecoversBy: "nothing was broken",
			Agent: func(l *lab.Lab) lab.AgentConfig {
				return lab.AgentConfig{Tunnels: map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{NoDNS: true})}}
			},
			Before: quad9,
			Check: func(_ context.Context, e *Env) error {
				for _, s := range []*lab.DNSServer{e.Lab.ISPDNS(), e.Lab.PublicDNS(), e.Lab.VPN1.DNS} {
					if q := s.Questions(e.Began); len(q) > 0 {
						return fmt.Errorf("%s was asked %d times", s.Name, len(q))
					}
				}
				return nil
			},
			Mutate: noChain("dns"),
		},
		{
			Name: "D7Bootstrap", Threat: "D7", Title: "The endpoint is a name: the agent, and nobody else, asks for it outside the tunnel", Agent: byName,
			User: "Nothing.", RecoversBy: "nothing was broken",
			Before: bootstrapAllowed,
			Fault: func(ctx context.Context, e *Env) error { // a client asks the same of the same resolver
				for range 3 {
					if _, err := e.Lab.TV.Resolve(lab.Resolver4, "vpn1.lab.test", "A"); err != nil && !e.Mode.Mutated {
						return err
					}
				}
				return nil
			},
			Check: func(_ context.Context, e *Env) error {
				if e.Lab.WAN.CountRule(bootstrapRule, 0) == 0 {
					return errors.New("the agent has not asked for its endpoint")
				}
				for _, q := range e.Lab.PublicDNS().Questions(time.Time{}) {
					if q.Name != "vpn1.lab.test" && q.Time.After(e.Began) {
						return fmt.Errorf("the bootstrap resolver was asked for %s by %s", q.Name, q.From)
					}
				}
				return tunnelAsked(e)
			},
			Mutate: unlock,
		},
	}
}

func tunnelAsked(e *Env) error {
	for _, q := range e.Lab.VPN1.DNS.Questions(e.Began) {
		if q.Name == "vpn1.lab.test" {
			return nil
		}
	}
	return errors.New("the client's question for the endpoint's name did not go to the tunnel's resolver")
}

// quad9 puts the public resolver on the lab's internet.
func quad9(ctx context.Context, e *Env) error {
	n := e.Lab.Internet
	if err := sh(ctx, n, "ip addr add 9.9.9.9/32 dev lo; ip -6 addr add 2620:fe::fe/128 dev lo nodad"); err != nil {
		return err
	}
	var err error
	for _, a := range []string{"9.9.9.9", "2620:fe::fe"} {
		at := netip.AddrPortFrom(addr(a), 53)
		err = errors.Join(err, n.ListenUDP(at, whoami), n.ListenTCP(at, func(c net.Conn) { whoamiTCP(c) }))
	}
	return err
}
