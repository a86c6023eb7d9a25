package threats

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
)

// tortureFaults are those that only make sense among many: floods, flapping,
// edits, pressure. None of them opens anything by itself.
func tortureFaults() []Scenario {
	script := func(text string) func(context.Context, *Env) error {
		return func(ctx context.Context, e *Env) error { return sh(ctx, e.Lab.Router, text) }
	}
	// flap sets a device down and up twenty times a second.
	flap := func(dev string, times int) func(context.Context, *Env) error {
		return script(fmt.Sprintf("for i in $(seq %d); do ip link set %s down 2>/dev/null || true; sleep 0.025; ip link set %s up 2>/dev/null || true; sleep 0.025; done", times, dev, dev))
	}
	return []Scenario{
		{
			Name:  "RouteFlood",
			Fault: script(floodRoutes("replace", " via "+lab.Gateway4+" dev wan")),
			Undo:  script(floodRoutes("del", "")),
		},
		{
			Name: "RuleFlood",
			Fault: script("seq 1000 1799 | while read i; do echo \"rule add pref $i from 10.77.0.1 lookup main\"; done | ip -force -batch - 2>/dev/null || true\n" +
				"seq 1000 1799 | while read i; do echo \"rule del pref $i\"; done | ip -force -batch - >/dev/null 2>&1 || true"),
		},
		{
			Name: "AddressFlood",
			Fault: script("seq 1 200 | while read i; do echo \"address add 10.88.0.$i/32 dev lo\"; done | ip -force -batch - 2>/dev/null || true\n" +
				"seq 1 200 | while read i; do echo \"address del 10.88.0.$i/32 dev lo\"; done | ip -force -batch - >/dev/null 2>&1 || true"),
		},
		{
			Name:  "FirewallFlood", // forty transactions of somebody else's
			Fault: script("for i in $(seq 40); do nft -f - <<end\ntable inet other\ndelete table inet other\ntable inet other { chain c { }; }\nend\ndone"),
			Undo:  script("nft delete table inet other 2>/dev/null || true"),
		},
		{Name: "TunnelFlap", Touches: "tunnel", Fault: flap(device, 12)},
		{Name: "OtherTunnelFlap", Touches: "tunnel", Fault: flap("ls-no", 12)},
		{
			Name: "UplinkFlap", Touches: "uplink",
			Fault: func(ctx context.Context, e *Env) error {
				return errors.Join(flap("wan", 12)(ctx, e), lease(ctx, e, "wan"))
			},
		},
		{
			Name: "OtherServerSilent", Touches: "server2",
			Fault: func(_ context.Context, e *Env) error { return e.Lab.VPN2.Silence() },
			Undo:  func(_ context.Context, e *Env) error { return e.Lab.VPN2.Resume() },
		},
		{
			Name: "OtherServerRestarts", Touches: "server2",
			Fault: func(_ context.Context, e *Env) error { return e.Lab.VPN2.Restart(false) },
		},
		{
			Name: "ISPOutage", Touches: "isp",
			Fault: func(_ context.Context, e *Env) error {
				return e.Lab.ISP.NFT("table inet outage { chain f { type filter hook forward priority 0; policy drop;\n }\n}\n")
			},
			Undo: func(_ context.Context, e *Env) error { return e.Lab.ISP.NFT("delete table inet outage\n") },
		},
		{
			Name:  "FlowsForgotten",
			Fault: script("echo f > /proc/net/nf_conntrack 2>/dev/null || true"),
		},
		{
			Name: "KilledInAStorm", Touches: "agent", // in the middle of whatever it does
			Fault: func(ctx context.Context, e *Env) error {
				err := sh(ctx, e.Lab.Router, "ip link set "+device+" down 2>/dev/null || true; ip route flush table 5201 || true; ip -6 route flush table 5202 || true")
				e.Agent.Kill9()
				return err
			},
			Undo: func(_ context.Context, e *Env) error { return e.Agent.Start() },
		},
		{
			Name: "KilledAndStarted", Touches: "agent",
			Fault: func(ctx context.Context, e *Env) (err error) {
				for range 3 {
					e.Agent.Kill9()
					err = errors.Join(err, e.Agent.Start(), e.sendOne(ctx))
				}
				return err
			},
		},
		{
			// Memory runs out: the agent may get no more than it has, and ends as
			// soon as it asks.
			Name: "MemoryPressure", Touches: "agent",
			Fault: func(_ context.Context, e *Env) error {
				limit := unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
				return unix.Prlimit(e.Agent.Pid(), unix.RLIMIT_AS, &limit, nil)
			},
			Undo: func(_ context.Context, e *Env) error {
				e.Agent.Kill9()
				return e.Agent.Start()
			},
		},
		edit("OtherOrder", func(e *Env) string {
			return strings.Replace(e.valid(), "\tlist via 'se'\n\tlist via 'no'\n", "\tlist via 'no'\n\tlist via 'se'\n", 1)
		}),
		edit("ExitOff", func(e *Env) string {
			return strings.Replace(e.valid(), "config tunnel 'no'\n", "config tunnel 'no'\n\toption enabled '0'\n", 1)
		}),
		edit("DeviceRule", func(e *Env) string {
			return e.valid() + "\nconfig device 'tv'\n\tlist mac '" + lab.MACTV + "'\n\tlist via 'no'\n"
		}),
		edit("ManyDevices", func(e *Env) string {
			var b strings.Builder
			b.WriteString(e.valid())
			for i := range 250 {
				fmt.Fprintf(&b, "\nconfig device 'd%d'\n\tlist mac '02:00:00:01:00:%02x'\n\tlist via 'no'\n", i, i)
			}
			return b.String()
		}),
		edit("Nonsense", func(*Env) string { return nonsense }),
		edit("HalfAFile", (*Env).half),
		edit("NoFile", func(*Env) string { return "" }),
	}
}

// floodRoutes is a script for a thousand routes of main.
func floodRoutes(verb, rest string) string {
	return "for i in $(seq 0 249); do for n in 100 101 102 103; do echo route " + verb + " 10.$n.$i.0/24" + rest +
		"; done; done | ip -force -batch - >/dev/null 2>&1 || true"
}

// edit is a change of the configuration, and its end. Without an agent nobody
// reads it, until the next one does.
func edit(name string, text func(*Env) string) Scenario {
	write := func(e *Env, s string) error {
		err := e.Agent.WriteConfig(s)
		// An agent that does not listen yet has not read it, and a process that
		// has only just begun is ended by the signal.
		if e.Agent.Listens() {
			_ = e.Agent.Reload() // it may end at this very moment
		}
		return err
	}
	return Scenario{
		Name: "Edit" + name, Touches: "config",
		Fault: func(_ context.Context, e *Env) error { return write(e, text(e)) },
		Undo:  func(_ context.Context, e *Env) error { return write(e, e.valid()) },
	}
}
