package threats

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

const device = "ls-se"

func tunnelFaults() []Scenario {
	return []Scenario{
		{
			Name: "T2DeviceDown", Threat: "T2", Title: "Somebody sets the tunnel device down",
			User: "A pause; then everything goes on.", RecoversBy: "the agent sets it up again", Random: true, Touches: "tunnel",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.LinkDown(device) },
			Mutate: naive,
		},
		{
			Name: "T2DeviceDeleted", Threat: "T2", Title: "The tunnel device is deleted",
			User: "A pause; then everything goes on.", RecoversBy: "the agent makes it again", Random: true, Touches: "tunnel",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.LinkDelete(device) },
			Mutate: naive,
		},
		{
			Name: "T2DeviceDeletedFallback", Threat: "T2", Title: "The tunnel device is deleted, and there is a second exit", Agent: Two,
			User: "A pause; the second exit carries on until the first is back.", RecoversBy: "the agent",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.LinkDelete(device) },
			Mutate: naive,
		},
		{
			Name: "T2DeviceRecreated", Threat: "T2", Title: "The tunnel device is deleted and somebody makes another of the same name",
			User: "A pause; then everything goes on.", RecoversBy: "the agent replaces the stranger's device",
			Fault: func(ctx context.Context, e *Env) error {
				e.Number = e.Lab.LinkIndex(device)
				return sh(ctx, e.Lab.Router, "ip link del ls-se\nip tuntap add dev ls-se mode tun 2>/dev/null || true\nip link set ls-se up || true")
			},
			Check: func(_ context.Context, e *Env) error {
				if i := e.Lab.LinkIndex(device); i == 0 || i == e.Number {
					return fmt.Errorf("the device has index %d, before %d", i, e.Number)
				}
				return nil
			},
			Mutate: naive,
		},
		{
			Name: "T2AddressesGone", Threat: "T2", Title: "Somebody takes the tunnel device's addresses, and connections go on meanwhile",
			User: "A blink; then everything goes on.", RecoversBy: "the agent, which forgets what was translated to other addresses",
			Fault: func(ctx context.Context, e *Env) error {
				if e.Frozen {
					return bare(ctx, e)
				}
				return errors.Join(e.Agent.Stop(), bare(ctx, e), e.Agent.Cont())
			},
			Mutate: unlock,
		},
		{
			Name: "T2AddressesGoneUnseen", Threat: "T2", Title: "The tunnel device is without its addresses while no agent runs, and has them again when one starts",
			User: "A pause; then everything goes on.", RecoversBy: "the agent, which looks through all flows when it starts",
			Fault: func(ctx context.Context, e *Env) error {
				e.Agent.Kill9()
				return errors.Join(bare(ctx, e), sh(ctx, e.Lab.Router, "ip address add 10.64.0.2/32 dev ls-se\nip address add fd64::2/128 dev ls-se nodad"))
			},
			Undo:   func(_ context.Context, e *Env) error { return e.Agent.Start() },
			Mutate: unlock,
		},
		{
			Name: "T3ServerSilent", Threat: "T3", Title: "The VPN server falls silent",
			User: "No internet until it answers again.", RecoversBy: "the server",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.VPN1.Silence() },
			Undo:   func(_ context.Context, e *Env) error { return e.Lab.VPN1.Resume() },
			Mutate: unlock, Random: true, Touches: "server",
		},
		{
			Name: "T3ServerDead", Threat: "T3", Title: "The VPN server's process ends, and its host says so",
			User: "No internet until it answers again.", RecoversBy: "the server",
			Fault:  func(_ context.Context, e *Env) error { e.Lab.VPN1.Kill(); return nil },
			Undo:   func(_ context.Context, e *Env) error { return e.Lab.VPN1.Restart(false) },
			Mutate: unlock, Random: true, Touches: "server",
		},
		{
			Name: "T3ServerSilentFallback", Threat: "T3", Title: "The VPN server falls silent, and there is a second exit", Agent: Two,
			User: "A few seconds' pause; then another country.", RecoversBy: "the agent, by the second exit",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.VPN1.Silence() },
			Check:  func(ctx context.Context, e *Env) error { return e.state(ctx, "degraded") },
			Mutate: unlock,
		},
		{
			Name: "T3AddressChange", Threat: "T3", Title: "The VPN server moves to another address", Agent: byName,
			User: "A few seconds' pause.", RecoversBy: "the agent, which asks for the name again",
			Before: bootstrapAllowed,
			Fault: func(_ context.Context, e *Env) error {
				e.Lab.Zone.Set("vpn1.lab.test", netip.MustParseAddr("192.0.2.77"))
				return e.Lab.VPN1.ChangeAddress("192.0.2.77")
			},
			Mutate: unlock,
		},
		{
			Name: "T3NewKeys", Threat: "T3", Title: "The VPN server is reinstalled with new keys",
			User: "No internet until the provider's new file is there.", RecoversBy: "the user, with the new file",
			Fault: func(_ context.Context, e *Env) error { return e.Lab.VPN1.RestartServerKey() },
			Undo: func(_ context.Context, e *Env) error {
				return errors.Join(e.Agent.WriteTunnel("se", e.Lab.VPN1.ClientFile(lab.ClientOptions{})), e.Agent.Reload())
			},
			Mutate: unlock,
		},
	}
}

// bare takes the addresses of the tunnel's device, and lets connections go on
// for a while. What is translated meanwhile takes the address of another device.
func bare(ctx context.Context, e *Env) error {
	sent := e.TV.Of(lab.UDP6).Sent
	return errors.Join(sh(ctx, e.Lab.Router, "ip address flush dev "+device), eventually(ctx, "packets without an address to take", func() error {
		if n := e.TV.Of(lab.UDP6).Sent - sent; n < 10 {
			return fmt.Errorf("%d were sent", n)
		}
		return nil
	}))
}

// byName is an exit whose endpoint is a name, to be asked of one resolver.
func byName(l *lab.Lab) lab.AgentConfig {
	return lab.AgentConfig{
		Tunnels: map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{Endpoint: "vpn1.lab.test:51820"})},
		Main:    []string{"list bootstrap '" + lab.Resolver4 + "'"},
	}
}

// state asks for the agent's state until it is as wanted.
func (e *Env) state(ctx context.Context, want ...string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	return e.Agent.WaitState(ctx, want...)
}

// eventually asks until the answer is nil, for a few seconds.
func eventually(ctx context.Context, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, err)
		case <-tick.C:
		}
	}
}
