package threats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
)

func agentFaults() []Scenario {
	return []Scenario{
		{
			Name: "T4Killed", Threat: "T4", Title: "The agent is killed (-9), and while it is dead the tunnel device is deleted",
			User: "Nothing leaves until it is started again.", RecoversBy: "the supervisor, which starts it again",
			Fault: func(ctx context.Context, e *Env) error {
				e.Agent.Kill9()
				if err := e.send(ctx, 1); err != nil {
					return err
				}
				return e.Lab.LinkDelete(device)
			},
			Undo:   func(_ context.Context, e *Env) error { return e.Agent.Start() },
			Mutate: naive,
		},
		{
			Name: "T4KilledOnly", Threat: "T4", Title: "The agent is killed (-9) and started again",
			User: "Nothing; traffic goes on.", RecoversBy: "nothing was broken", Random: true, Touches: "agent",
			Fault:  func(_ context.Context, e *Env) error { e.Agent.Kill9(); return nil },
			During: func(ctx context.Context, e *Env) error { return e.flow(ctx, Scenario{}, flowWithin) },
			Undo:   func(_ context.Context, e *Env) error { return e.Agent.Start() },
			Check:  noReconnect, Mutate: unlock,
		},
		{
			Name: "T4Stopped", Threat: "T4", Title: "The agent hangs (-STOP), and meanwhile the tunnel device is deleted",
			User: "Nothing leaves until it goes on.", RecoversBy: "the agent, once it runs", Random: true, Touches: "agent",
			Fault: func(_ context.Context, e *Env) error {
				return errors.Join(e.Agent.Stop(), e.Lab.LinkDelete(device))
			},
			Undo:   func(_ context.Context, e *Env) error { return e.Agent.Cont() },
			Mutate: naive,
		},
		{
			Name: "T4RestartLoop", Threat: "T4", Title: "The agent crashes at once, five times in a row",
			User: "Nothing; traffic goes on.", RecoversBy: "nothing was broken",
			Fault: func(ctx context.Context, e *Env) error {
				for range 5 {
					e.Agent.Kill9()
					if err := e.Agent.Start(); err != nil {
						return err
					}
					if err := e.sendOne(ctx); err != nil {
						return err
					}
				}
				return nil
			},
			Mutate: unlock,
		},
		{
			Name: "T4ChildKilled", Threat: "T4", Title: "The userspace WireGuard process is killed (-9)",
			User: "A pause; then everything goes on.", RecoversBy: "the agent starts another", Random: true, Touches: "tunnel",
			Fault: func(_ context.Context, e *Env) error {
				pids, err := children(e.Lab.Router)
				if err != nil {
					return err
				}
				if len(pids) == 0 {
					return errNoChild
				}
				for _, p := range pids {
					err = errors.Join(err, unix.Kill(p, unix.SIGKILL))
				}
				return err
			},
			Mutate: naive,
		},
		{
			Name: "T4ChildStopped", Threat: "T4", Title: "The userspace WireGuard process hangs (-STOP)",
			User: "No internet until it is replaced.", RecoversBy: "the agent starts another",
			Fault: func(_ context.Context, e *Env) error {
				pids, err := children(e.Lab.Router)
				for _, p := range pids {
					err = errors.Join(err, unix.Kill(p, unix.SIGSTOP))
				}
				return err
			},
			Mutate: unlock,
		},
		{
			Name: "T4SocketGone", Threat: "T4", Title: "The userspace WireGuard's socket and the agent's own are removed",
			User: "Nothing; perhaps a pause.", RecoversBy: "the agent",
			Fault: func(ctx context.Context, e *Env) error {
				return sh(ctx, e.Lab.Router, "rm -f /var/run/wireguard/ls-se.sock")
			},
			Mutate: unlock,
		},
	}
}

var errNoChild = errors.New("there is no userspace tunnel on this router")

// sendOne waits for one more datagram of the busiest flow: a short moment.
func (e *Env) sendOne(ctx context.Context) error {
	before := e.TV.Of(lab.UDP4).Sent
	return eventually(ctx, "one more datagram", func() error {
		if e.TV.Of(lab.UDP4).Sent <= before+2 {
			return errors.New("none yet")
		}
		return nil
	})
}

// noReconnect checks that the established TCP connection lived through it.
func noReconnect(_ context.Context, e *Env) error {
	for _, t := range e.traffic() {
		for _, k := range []lab.Kind{lab.TCP4, lab.TCP6} {
			if s := t.Of(k); s.Reconnects > 0 {
				return fmt.Errorf("%s %s: connected again %d times: %s", t.Client.Name, k, s.Reconnects, s.LastError)
			}
		}
	}
	return nil
}

// children are the userspace tunnels on a host.
func children(h *lab.Host) ([]int, error) {
	var there unix.Stat_t
	if err := unix.Stat("/var/run/netns/"+h.NS, &there); err != nil {
		return nil, err
	}
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, p := range all {
		line, err := os.ReadFile(p)
		if err != nil || !strings.Contains(string(line), "\x00wireguard-child\x00") {
			continue
		}
		var ns unix.Stat_t
		if err := unix.Stat(filepath.Join(filepath.Dir(p), "ns/net"), &ns); err != nil || ns.Ino != there.Ino {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
