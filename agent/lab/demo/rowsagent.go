package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
)

const device = "ls-se"

// tunnelRows break what carries the traffic.
func tunnelRows() []row {
	return []row{
		{
			id: "T2", key: "device down", fault: "tunnel device set down", user: pauses,
			lay: func(_ context.Context, d *demo) error { return d.l.LinkDown(device) },
		},
		{
			id: "T2", key: keyDeleted, fault: "tunnel device deleted", user: pauses, times: 3,
			lay: func(_ context.Context, d *demo) error { return d.l.LinkDelete(device) },
		},
		{
			id: "T4", key: "child killed", fault: "userspace WireGuard killed -9", user: pauses,
			lay: func(_ context.Context, d *demo) error {
				pids := children(d.l.Router)
				if len(pids) == 0 {
					return errSkip("WireGuard is in the kernel here")
				}
				var err error
				for _, p := range pids {
					err = errors.Join(err, unix.Kill(p, unix.SIGKILL))
				}
				return err
			},
		},
	}
}

// agentRows stop, hinder and mislead the agent.
func agentRows() []row {
	kill := func(_ context.Context, d *demo) error { d.a.Kill9(); return nil }
	start := func(ctx context.Context, d *demo) error { return d.restart(ctx) }
	return []row{
		{
			id: "T4", key: "killed", fault: "agent killed -9, started again", user: "nothing: the kernel carries on",
			lay: kill, after: start,
			during: func(ctx context.Context, d *demo) error { return d.flow(ctx, flowWithin) },
		},
		{
			id: "T4", key: "killed, device deleted", fault: "agent dead and device deleted", user: "no internet until it is restarted",
			lay: func(_ context.Context, d *demo) error {
				d.a.Kill9()
				return d.l.LinkDelete(device)
			},
			repair: start,
		},
		{
			id: "T4", key: "frozen", fault: "agent frozen, device deleted", user: "no internet until it wakes",
			lay: func(_ context.Context, d *demo) error {
				return errors.Join(d.a.Stop(), d.l.LinkDelete(device))
			},
			repair: func(_ context.Context, d *demo) error { return d.a.Cont() },
		},
		{
			id: "T14", key: "restart", fault: "lanseal restarted while up", user: "nothing: TCP lives on",
			lay: func(ctx context.Context, d *demo) error {
				return errors.Join(d.a.Term(ctx), d.restart(ctx))
			},
			after: func(_ context.Context, d *demo) error { return d.sameTCP() },
		},
		{
			id: "T14", key: "reload", fault: "configuration read again ×3", user: "nothing: TCP lives on",
			lay: func(ctx context.Context, d *demo) error {
				for range 3 {
					if err := errors.Join(d.a.Reload(), pause(ctx, 150*time.Millisecond)); err != nil {
						return err
					}
				}
				return nil
			},
			after: func(_ context.Context, d *demo) error { return d.sameTCP() },
		},
		{
			id: "T15", key: "invalid", fault: "invalid configuration", user: "nothing: the last valid one holds",
			lay: func(_ context.Context, d *demo) error {
				return errors.Join(d.edit("option enabled '1'", "option enabled 'perhaps'"), d.a.Reload())
			},
			during: invalidIsTold,
			after: func(_ context.Context, d *demo) error {
				return errors.Join(d.edit("option enabled 'perhaps'", "option enabled '1'"), d.a.Reload(), d.sameTCP())
			},
		},
		{
			id: "T14", key: "stop", fault: "lanseal stopped, device deleted", user: "no internet: stopping opens nothing",
			lay: func(ctx context.Context, d *demo) error {
				if err := d.a.Term(ctx); err != nil {
					return err
				}
				return d.l.LinkDelete(device)
			},
			repair: start,
		},
	}
}

// flushTables does without complaint what is needed of it.
const flushTables = `for f in 4 6; do for t in 5200 5201 5202; do ip -$f route flush table $t 2>/dev/null; done; done
`

// bootRow is a power cut: nothing is left but the files.
func bootRow() row {
	return row{
		id: "T12", key: "boot", fault: "reboot: guard, network, agent", user: "no internet until the tunnel is up",
		lay: func(ctx context.Context, d *demo) error {
			d.a.Kill9()
			for _, p := range children(d.l.Router) {
				_ = unix.Kill(p, unix.SIGKILL)
			}
			if err := d.l.LinkDelete("wan"); err != nil {
				return err
			}
			_ = d.l.LinkDelete(device) // perhaps it went with its process
			_ = d.l.LinkDelete("ls-no")
			if _, err := d.sh(ctx, "nft flush ruleset; ip -4 rule flush; ip -6 rule flush\n"+flushTables+mainRules); err != nil {
				return err
			}
			if err := errors.Join(os.RemoveAll(d.a.State), os.Mkdir(d.a.State, 0o700), d.a.Guard(), d.l.RestoreNAT()); err != nil {
				return err
			}
			d.faulted = time.Now()
			return errors.Join(d.l.PlugWAN(), d.l.WarmNeighbours())
		},
		repair: func(ctx context.Context, d *demo) error { return d.a.Start() },
	}
}

// restart starts the agent and waits for its word.
func (d *demo) restart(ctx context.Context) error {
	if err := d.a.Start(); err != nil {
		return err
	}
	return d.state(ctx, "protected")
}

// sameTCP checks that established connections lived through the row.
func (d *demo) sameTCP() error {
	for _, t := range d.clients {
		for _, st := range t.Stats() {
			if (st.Kind == lab.TCP4 || st.Kind == lab.TCP6) && st.Reconnects > 0 {
				return fmt.Errorf("%s: %s had to connect again: %s", t.Client.Name, st.Kind, st.LastError)
			}
		}
	}
	return nil
}

// edit changes the configuration file.
func (d *demo) edit(old, with string) error {
	b, err := os.ReadFile(d.a.Config)
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), old) {
		return fmt.Errorf("the configuration has no %q", old)
	}
	return d.a.WriteConfig(strings.Replace(string(b), old, with, 1))
}

// invalidIsTold wants an error that names the option, and protection as before.
func invalidIsTold(ctx context.Context, d *demo) error {
	_, errs, exit, err := d.a.Run(ctx, "check")
	if err != nil {
		return err
	}
	if exit != 2 || !strings.Contains(errs, "enabled") {
		return fmt.Errorf("check: exit status %d: %s", exit, strings.TrimSpace(errs))
	}
	return d.state(ctx, "protected")
}

// children are the userspace tunnels on a host.
func children(h *lab.Host) (pids []int) {
	var there unix.Stat_t
	if unix.Stat("/var/run/netns/"+h.NS, &there) != nil {
		return nil
	}
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range all {
		line, err := os.ReadFile(p)
		if err != nil || !strings.Contains(string(line), "\x00wireguard-child\x00") {
			continue
		}
		var ns unix.Stat_t
		if unix.Stat(filepath.Join(filepath.Dir(p), "ns/net"), &ns) != nil || ns.Ino != there.Ino {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
