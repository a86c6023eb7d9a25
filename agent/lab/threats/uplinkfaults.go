package threats

import (
	"context"
	"errors"

	"github.com/lanseal/lanseal/agent/lab"
)

// lease gives an uplink its addresses and default routes, as DHCP does.
func lease(ctx context.Context, e *Env, dev string) error {
	return sh(ctx, e.Lab.Router, "ip addr replace "+lab.WAN4+"/24 dev "+dev+"\nip addr replace "+lab.WAN6+"/64 dev "+dev+
		"\nip route replace default via "+lab.Gateway4+" dev "+dev+"\nip -6 route replace default via "+lab.Gateway6+" dev "+dev+" metric 512")
}

func uplinkFaults() []Scenario {
	down := func(_ context.Context, e *Env) error { return e.Lab.LinkDown("wan") }
	up := func(ctx context.Context, e *Env) error { return errors.Join(e.Lab.LinkUp("wan"), lease(ctx, e, "wan")) }
	return []Scenario{
		{
			Name: "T8Flap", Threat: "T8", Title: "The uplink goes down and comes back",
			User: "No internet while it is down.", RecoversBy: "the uplink", Random: true, Touches: "uplink",
			Fault: down, Undo: up, Mutate: unlock, LeaksAfter: true,
		},
		{
			Name: "T8NewAddress", Threat: "T8", Title: "The ISP gives the uplink another address",
			User: "A pause; then everything goes on.", RecoversBy: "the agent, which starts the handshakes anew", Random: true, Touches: "uplink",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.SetWANAddress("203.0.113.7/24") },
			Undo:   func(_ context.Context, e *Env) error { return e.Lab.SetWANAddress(lab.WAN4 + "/24") },
			Mutate: unlock,
		},
		{
			Name: "T8NewAddressStays", Threat: "T8", Title: "The ISP gives the uplink another address, for good",
			User: "A pause; then everything goes on.", RecoversBy: "the agent, which starts the handshakes anew",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.SetWANAddress("203.0.113.7/24") },
			Mutate: unlock,
		},
		{
			Name: "T8NewGateway", Threat: "T8", Title: "The ISP's gateway changes",
			User: "Nothing.", RecoversBy: "the uplink", Random: true, Touches: "uplink",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.SetGateway(lab.Gateway4b) },
			Undo:   func(_ context.Context, e *Env) error { return e.Lab.SetGateway(lab.Gateway4) },
			Mutate: unlock,
		},
		{
			Name: "T8AnotherUplink", Threat: "T8", Title: "The uplink goes down and another takes over", Options: lab.Options{WAN2: true},
			User: "A pause; then everything goes on.", RecoversBy: "the routes, and the agent",
			Fault: down, During: func(ctx context.Context, e *Env) error { return e.flow(ctx, Scenario{}, recoverWithin) },
			Undo: up, Mutate: unlock,
		},
		{
			Name: "T8Renamed", Threat: "T8", Title: "The uplink's device gets another name",
			User: "A pause; then everything goes on.", RecoversBy: "the uplink; lanseal's rules name what may leave, not by where",
			Fault: func(ctx context.Context, e *Env) error {
				return errors.Join(e.Lab.LinkRename("wan", "wan0"), lease(ctx, e, "wan0"))
			},
			During: func(ctx context.Context, e *Env) error { return e.flow(ctx, Scenario{}, recoverWithin) },
			Undo: func(ctx context.Context, e *Env) error {
				return errors.Join(e.Lab.LinkRename("wan0", "wan"), lease(ctx, e, "wan"))
			},
			Mutate: func(ctx context.Context, e *Env) error {
				return errors.Join(unlock(ctx, e), sh(ctx, e.Lab.Router, `nft add rule ip nat postrouting oifname "wan0" masquerade`))
			},
		},
		{
			Name: "T8Redial", Threat: "T8", Title: "The uplink's device is deleted and made again with another index, as PPPoE does",
			User: "A pause; then everything goes on.", RecoversBy: "the uplink", Random: true, Touches: "uplink",
			Fault: func(_ context.Context, e *Env) error { return e.Lab.RedialWAN() }, Mutate: unlock,
		},
		{
			Name: "T8Unplugged", Threat: "T8", Title: "The uplink's device is gone for a while",
			User: "No internet while it is gone.", RecoversBy: "the uplink",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.LinkDelete("wan") },
			Undo:   func(_ context.Context, e *Env) error { return e.Lab.PlugWAN() },
			Mutate: unlock, LeaksAfter: true,
		},
	}
}
