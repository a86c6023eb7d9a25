package threats

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// healthFaults are those in which it matters what lanseal makes of a silence.
func healthFaults() []Scenario {
	const dropAll = "table inet outage { chain f { type filter hook forward priority 0; policy drop;\n }\n}\n"
	const dropTunnels = "table inet outage { chain f { type filter hook forward priority 0; udp dport 51820 drop\n }\n}\n"
	ispSays := func(script string) func(context.Context, *Env) error {
		return func(_ context.Context, e *Env) error { return e.Lab.ISP.NFT(script) }
	}
	const end = "delete table inet outage\n"
	return []Scenario{
		{
			Name: "T3ServerReturns", Threat: "T3", Title: "The VPN server falls silent and comes back, and there is a second exit", Agent: Two,
			User: "A second's pause; then another country, for a minute longer than needed.", RecoversBy: "the agent, which goes back lazily",
			NFTOnly: true,
			Fault:   func(_ context.Context, e *Env) error { return e.Lab.VPN1.Silence() },
			During: func(ctx context.Context, e *Env) error {
				return errors.Join(e.flow(ctx, Scenario{}, recoverWithin), e.ifFlows(ctx, "degraded"))
			},
			Undo: func(ctx context.Context, e *Env) error {
				e.Number = e.TV.Of(lab.UDP4).Sources[netip.MustParseAddr(lab.VPN1v4)]
				return errors.Join(e.Lab.VPN1.Resume(), e.exitUp(ctx, "se"))
			},
			Check: func(ctx context.Context, e *Env) error {
				if n := e.TV.Of(lab.UDP4).Sources[netip.MustParseAddr(lab.VPN1v4)]; n != e.Number {
					return fmt.Errorf("the TV was moved back at once: the first server saw it %d times more", n-e.Number)
				}
				return e.state(ctx, "degraded")
			},
			Mutate: unlock,
		},
		{
			Name: "T8ISPOutage", Threat: "T8", Title: "The ISP carries nothing any more, while the cable is in", Agent: Two,
			User: "No internet, said at once, until the ISP is back.", RecoversBy: "the ISP; nothing is switched",
			NFTOnly: true,
			Fault:   ispSays(dropAll), During: sealedAndRefused, Undo: ispSays(end), Check: nothingSwitched,
			Mutate: unlock,
		},
		{
			Name: "T8UplinkOutage", Threat: "T8", Title: "The uplink is down for longer than a blink", Agent: Two,
			User: "No internet, said after some seconds, until the uplink is back.", RecoversBy: "the uplink; nothing is switched",
			NFTOnly: true,
			Fault:   func(_ context.Context, e *Env) error { return e.Lab.LinkDown("wan") },
			During:  sealedAndRefused,
			Undo:    func(ctx context.Context, e *Env) error { return errors.Join(e.Lab.LinkUp("wan"), lease(ctx, e, "wan")) },
			Check:   nothingSwitched,
			Mutate:  unlock, LeaksAfter: true,
		},
		{
			Name: "C3CaptivePortal", Threat: "C3", Title: "A captive portal answers every name with its own address and lets no tunnel out", Agent: byName,
			User: "No internet; lanseal says why.", RecoversBy: "a person, who signs in at the portal",
			NFTOnly: true,
			Before:  bootstrapAllowed,
			Fault: func(_ context.Context, e *Env) error {
				e.Lab.Zone.Set("vpn1.lab.test", addr(lab.Gateway4))
				return e.Lab.ISP.NFT(dropTunnels)
			},
			During: portalSaid,
			Undo: func(_ context.Context, e *Env) error {
				e.Lab.Zone.Set("vpn1.lab.test", addr(lab.VPN1v4), addr(lab.VPN1v6))
				return e.Lab.ISP.NFT(end)
			},
			Mutate: unlock,
		},
	}
}

// ifFlows asks for a state that only traffic leads to.
func (e *Env) ifFlows(ctx context.Context, want string) error {
	if !e.Mode.flows() {
		return nil
	}
	return e.state(ctx, want)
}

func (e *Env) exitUp(ctx context.Context, name string) error {
	return eventually(ctx, "exit "+name, func() error {
		s, err := e.Agent.Status(ctx)
		if err == nil && s.Exit(name).State != "up" {
			err = fmt.Errorf("exit %s is %s", name, s.Exit(name).State)
		}
		return err
	})
}

// sealedAndRefused: the LAN is told at once that there is no way, and may give
// up at once.
func sealedAndRefused(ctx context.Context, e *Env) error {
	if err := e.state(ctx, "sealed"); err != nil || !e.Mode.flows() {
		return err
	}
	refused := func() int { return e.TV.Of(lab.TCPNew4).Refused }
	before := refused()
	return eventually(ctx, "connections to be refused", func() error {
		if refused() == before {
			return errors.New("none was")
		}
		return nil
	})
}

// nothingSwitched: after an outage everybody is where they were, and the
// history has one entry.
func nothingSwitched(ctx context.Context, e *Env) error {
	if n := e.TV.Of(lab.UDP4).Sources[netip.MustParseAddr(lab.VPN2v4)]; n > 0 {
		return fmt.Errorf("the second server saw the TV %d times", n)
	}
	all, err := e.Agent.Events(ctx, e.Faulted)
	if err != nil {
		return err
	}
	var lines []string
	for _, v := range all {
		if v.Kind != "healed" {
			lines = append(lines, v.Text)
		}
	}
	if len(lines) > 1 {
		return fmt.Errorf("an outage made %d entries:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	return nil
}

// portalSaid waits for the words, in the state and in one entry.
func portalSaid(ctx context.Context, e *Env) error {
	const words = "captive portal"
	err := eventually(ctx, "the portal to be said", func() error {
		s, err := e.Agent.Status(ctx)
		if err == nil && (s.State != "sealed" || !strings.Contains(s.Reason, words)) {
			err = fmt.Errorf("%s: %s", s.State, s.Reason)
		}
		return err
	})
	if err != nil {
		return err
	}
	all, err := e.Agent.Events(ctx, e.Faulted)
	n := 0
	for _, v := range all {
		if strings.Contains(v.Text, words) {
			n++
		}
	}
	if err == nil && n != 1 {
		err = fmt.Errorf("it is said %d times since %s: %v", n, e.Faulted.Format(time.RFC3339), all)
	}
	return err
}
