package threats

import (
	"context"
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
)

func routingFaults() []Scenario {
	return []Scenario{
		{
			Name: "T6RulesFlushed", Threat: "T6", Title: "Every ip rule is flushed, main's among them, and main's come back, as when netifd starts",
			User: "A blink; then everything goes on.", RecoversBy: "the agent", Random: true, Breaks: "routing",
			Fault: func(ctx context.Context, e *Env) error {
				return sh(ctx, e.Lab.Router, "ip -4 rule flush; ip -6 rule flush\n"+mainRules)
			},
			Mutate: noFirewall,
		},
		{
			Name: "T6RulesFlushedForAWhile", Threat: "T6", Title: "Every ip rule is flushed, and main's come back later",
			User: "A pause; then everything goes on.", RecoversBy: "the agent", Breaks: "routing",
			Fault: func(ctx context.Context, e *Env) error {
				return errors.Join(e.Lab.FlushRules(4), e.Lab.FlushRules(6), e.send(ctx, 1),
					e.Lab.RestoreMainRule(4), e.Lab.RestoreMainRule(6))
			},
			Mutate: noFirewall,
		},
		{
			Name: "T6EvenLocal", Threat: "T6", Title: "Every ip rule is deleted, the kernel's own \"local\" too, and the three come back",
			User: "A pause; then everything goes on.", RecoversBy: "the agent", Breaks: "routing",
			Fault: func(ctx context.Context, e *Env) error {
				return sh(ctx, e.Lab.Router, "for f in 4 6; do ip -$f rule flush; ip -$f rule del pref 0; done\n"+
					"for f in 4 6; do ip -$f rule add pref 0 lookup local; done\n"+mainRules)
			},
			Mutate: noFirewall,
		},
		{
			Name: "T6TablesFlushed", Threat: "T6", Title: "Every policy routing table is flushed",
			User: "A blink; then everything goes on.", RecoversBy: "the agent", Random: true,
			Fault: func(_ context.Context, e *Env) error {
				return errors.Join(e.Lab.FlushTable(5200), e.Lab.FlushTable(5201))
			},
			Mutate: naive,
		},
		{
			Name: "T6RoutesDeleted", Threat: "T6", Title: "The routes of the policy tables are deleted one by one",
			User: "A blink; then everything goes on.", RecoversBy: "the agent",
			Fault:  deleteRoutes,
			Mutate: naive,
		},
		{
			Name: "T6RulesAndTablesFlushed", Threat: "T6", Title: "Every ip rule and every policy table is flushed",
			User: "A blink; then everything goes on.", RecoversBy: "the agent", Breaks: "routing",
			Fault: func(ctx context.Context, e *Env) error {
				return errors.Join(sh(ctx, e.Lab.Router, "ip -4 rule flush; ip -6 rule flush\n"+mainRules),
					e.Lab.FlushTable(5200), e.Lab.FlushTable(5201))
			},
			Mutate: noFirewall,
		},
	}
}

// deleteRoutes deletes what is in lanseal's tables, route by route.
func deleteRoutes(_ context.Context, e *Env) error {
	nl := e.Lab.Router.Netlink()
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		for _, table := range []int{5200, 5201} {
			rs, err := nl.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
			if err != nil {
				return err
			}
			for _, r := range rs {
				_ = nl.RouteDel(&r) // the agent may have been quicker
			}
		}
	}
	return nil
}

func attacks() []Scenario {
	add := func(prefixes ...string) func(context.Context, *Env) error {
		return func(_ context.Context, e *Env) (err error) {
			for _, p := range prefixes {
				err = errors.Join(err, e.Lab.AddMainRoute(p))
			}
			return err
		}
	}
	del := func(prefixes ...string) func(context.Context, *Env) error {
		return func(_ context.Context, e *Env) (err error) {
			for _, p := range prefixes {
				if gone := e.Lab.DelMainRoute(p); !errors.Is(gone, unix.ESRCH) {
					err = errors.Join(err, gone)
				}
			}
			return err
		}
	}
	const ra = "2001:db8:5::/64"
	return []Scenario{
		{
			Name: "T9Halves", Threat: "T9", Title: "TunnelVision: the uplink's DHCP pushes routes for both halves of the internet",
			User: "Nothing.", RecoversBy: "nothing was broken", Random: true, Touches: "uplink",
			Fault:  add("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"),
			Undo:   del("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"),
			Mutate: suppress,
		},
		{
			Name: "T9Slash24", Threat: "T9", Title: "TunnelVision: the uplink's DHCP pushes a route for just the target",
			User: "Nothing.", RecoversBy: "nothing was broken", Random: true, Touches: "uplink",
			Fault: add("198.51.100.0/24"), Undo: del("198.51.100.0/24"),
			Mutate: suppress,
		},
		{
			Name: "T9V6Slash64", Threat: "T9", Title: "The uplink pushes an IPv6 route for just the target",
			User: "Nothing.", RecoversBy: "nothing was broken", Random: true, Touches: "uplink",
			Fault: add(ra), Undo: del(ra),
			Mutate: suppress,
		},
		{
			Name: "T9RouteInformation", Threat: "T9", Title: "The ISP's router advertises a more specific IPv6 route (RFC 4191)",
			User: "Nothing.", RecoversBy: "nothing was broken",
			Fault: func(ctx context.Context, e *Env) error {
				return errors.Join(e.Lab.RARoute(ra, 10*60*1e9), eventually(ctx, "the route to be taken in", func() error {
					rs, err := e.Lab.Router.Netlink().RouteListFiltered(unix.AF_INET6, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
					if err != nil {
						return err
					}
					for _, r := range rs {
						if r.Dst != nil && r.Dst.String() == ra {
							return nil
						}
					}
					return errors.New("it is not in main")
				}))
			},
			Undo:   func(_ context.Context, e *Env) error { return e.Lab.RARoute(ra, 0) },
			Mutate: suppress,
		},
		{
			Name: "T10LocalNet", Threat: "T10", Title: "TunnelCrack LocalNet: the uplink's own subnet covers the target",
			User: "Nothing.", RecoversBy: "nothing was broken", Random: true, Touches: "uplink",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.LocalNet("198.51.100.200/24") },
			Undo:   func(_ context.Context, e *Env) error { return e.Lab.EndLocalNet("198.51.100.200/24") },
			Mutate: suppress,
		},
		{
			Name: "T10LocalNet6", Threat: "T10", Title: "TunnelCrack LocalNet for IPv6",
			User: "Nothing.", RecoversBy: "nothing was broken",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.LocalNet("2001:db8:5::200/64") },
			Undo:   func(_ context.Context, e *Env) error { return e.Lab.EndLocalNet("2001:db8:5::200/64") },
			Mutate: suppress,
		},
		{
			Name: "T11ServerPorts", Threat: "T11", Title: "TunnelCrack ServerIP: a client talks to the VPN server's own address",
			User: "It works, through the tunnel.", RecoversBy: "nothing was broken", Random: true, Touches: "uplink",
			Fault:  toServer,
			During: noMarker,
			Check:  serverReached,
			Mutate: hostRoute,
		},
		{
			Name: "T11FalseEndpoint", Threat: "T11", Title: "The resolver answers the endpoint's name with an address of the LAN, then of private networks",
			User: "No internet until the name is answered truly.", RecoversBy: "the agent, which asks again", Agent: byName,
			Before: func(ctx context.Context, e *Env) error {
				e.Lab.Zone.Set("vpn1.lab.test", addr(lab.Laptop4), addr("10.0.0.1"), addr("224.0.0.1"), addr("127.0.0.1"))
				return bootstrapAllowed(ctx, e)
			},
			Boot: func(ctx context.Context, e *Env) error {
				if err := e.Agent.Start(); err != nil {
					return err
				}
				if err := e.state(ctx, "connecting", "sealed"); err != nil {
					return err
				}
				e.mark()
				return falseAnswer(ctx, e)
			},
			Mutate: unlock,
		},
	}
}
