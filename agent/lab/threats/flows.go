package threats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// blink is the longest that an established TCP connection may be without an
// answer where the promise is that nothing happens to it. A client sends 25
// lines a second; the rest is for a busy machine.
const blink = 900 * time.Millisecond

// unbroken checks that the established flows neither broke nor paused.
func unbroken(ctx context.Context, e *Env) error {
	if err := noReconnect(ctx, e); err != nil {
		return err
	}
	for _, t := range e.traffic() {
		if s := t.Of(lab.TCP4); s.LongestGap > blink {
			return fmt.Errorf("%s: an established TCP connection was without an answer for %v", t.Client.Name, s.LongestGap)
		}
	}
	return nil
}

// restart ends the agent as procd does and starts it again.
func restart(ctx context.Context, e *Env) error {
	if e.Frozen {
		e.Agent.Kill9()
	} else if err := e.Agent.Term(ctx); err != nil {
		return err
	}
	return e.Agent.Start()
}

// copied runs the lab's router from a copy of the product, which an upgrade
// can replace.
func copied(_ context.Context, e *Env) error {
	to := filepath.Join(e.Lab.Dir, "lanseal")
	if err := replaceFile(e.Lab.Opts.Lanseal, to); err != nil {
		return err
	}
	e.Text, e.Lab.Opts.Lanseal = e.Lab.Opts.Lanseal, to
	return nil
}

// replaceFile writes a program. No process may be forked meanwhile: it would
// hold the file open for writing until it has become another program, and who
// starts this one by then is told "text file busy".
func replaceFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(to+".new", b, 0o755); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// old begins traffic before lanseal is there, and counts from the moment when
// it says that it protects.
func old(prepare func(*lab.Lab) error) (before, boot func(context.Context, *Env) error) {
	before = func(ctx context.Context, e *Env) error {
		if err := prepare(e.Lab); err != nil {
			return err
		}
		e.TV = e.Lab.Traffic(e.Lab.TV)
		ctx, cancel := context.WithTimeout(ctx, flowWithin)
		defer cancel()
		return e.TV.WaitFlow(ctx, lab.Without(lab.AllKinds(), lab.DNSRouter)...)
	}
	boot = func(ctx context.Context, e *Env) error {
		if err := e.Agent.Start(); err != nil {
			return err
		}
		if err := e.protected(ctx); err != nil {
			return err
		}
		e.mark()
		return nil
	}
	return before, boot
}

func flows() []Scenario {
	beforeA, bootA := old(func(*lab.Lab) error { return nil })
	beforeB, bootB := old(func(l *lab.Lab) error { return errors.Join(l.FixedSNAT(), l.Router.NFT(fw4Like)) })
	return []Scenario{
		{
			Name: "T13Established", Threat: "T13", Title: "Connections were open before protection began",
			User: "They are cut and made again, by the tunnel.", RecoversBy: "the applications",
			Before: beforeA, Boot: bootA, Mutate: unlock,
		},
		{
			Name: "T13FixedSNAT", Threat: "T13", Title: "Connections were open before, under a fixed source NAT and a firewall that lets established flows pass",
			User: "They are cut and made again, by the tunnel.", RecoversBy: "the applications",
			Before: beforeB, Boot: bootB, Mutate: unlock,
		},
		{
			Name: "T14Reload", Threat: "T14", Title: "The configuration is read again, unchanged",
			User: "Nothing.", RecoversBy: "nothing was broken", Random: true, Touches: "agent",
			Fault: func(_ context.Context, e *Env) error { return e.Agent.Reload() }, Check: unbroken, Mutate: unlock,
		},
		{
			Name: "T14Moved", Threat: "T14", Title: "The TV is given another exit while it streams", Agent: Two,
			User: "The TV's connections are made again; the laptop's go on.", RecoversBy: "the applications",
			Before: laptopToo,
			Fault: func(_ context.Context, e *Env) error {
				c := e.Config
				c.More = "config device 'tv'\n\tlist mac '" + lab.MACTV + "'\n\tlist via 'no'\n"
				e.Text = "moved"
				return errors.Join(e.Agent.WriteConfig(e.Lab.UsualUCI(c)), e.Agent.Reload())
			},
			Check: func(ctx context.Context, e *Env) error {
				// The signal to read the file again is not waited for by anybody.
				err := eventually(ctx, "the TV at its new exit", func() error {
					a, err := e.Lab.TV.WhoAmI(lab.Echo4)
					if err == nil && !e.Lab.VPN2.Public(a) {
						err = fmt.Errorf("the TV is seen as %s, not as a customer of the second exit", a)
					}
					return err
				})
				if err != nil {
					return err
				}
				if b, err := e.Lab.Laptop.WhoAmI(lab.Echo4); err != nil || !e.Lab.VPN1.Public(b) {
					return errors.Join(err, fmt.Errorf("the laptop is seen as %s", b))
				}
				only := &Env{Others: e.Others}
				return unbroken(ctx, only)
			},
			Mutate: unlock,
		},
		{
			Name: "T14Restart", Threat: "T14", Title: "The service is restarted",
			User: "Nothing; downloads go on.", RecoversBy: "nothing was broken", Random: true, Touches: "agent",
			Fault: restart, Check: unbroken, Mutate: unlock,
		},
		{
			Name: "T14Stopped", Threat: "T14", Title: "The service is stopped, and the tunnel device is deleted meanwhile",
			User: "Nothing leaves until it is started again.", RecoversBy: "the user, who starts it",
			Fault: func(ctx context.Context, e *Env) error {
				if e.Frozen {
					e.Agent.Kill9()
				} else if err := e.Agent.Term(ctx); err != nil {
					return err
				}
				return e.Lab.LinkDelete(device)
			},
			Undo:   func(_ context.Context, e *Env) error { return e.Agent.Start() },
			Mutate: naive,
		},
		{
			Name: "T14Upgrade", Threat: "T14", Title: "The package is upgraded: stopped, replaced, started",
			User: "Nothing; downloads go on.", RecoversBy: "nothing was broken",
			Before: copied,
			Fault: func(ctx context.Context, e *Env) error {
				if e.Frozen {
					e.Agent.Kill9()
				} else if err := e.Agent.Term(ctx); err != nil {
					return err
				}
				return errors.Join(replaceFile(e.Text, e.Lab.Opts.Lanseal), e.Agent.Start())
			},
			Check: unbroken, Mutate: unlock,
		},
		{
			Name: "T14GuardAgain", Threat: "T14", Title: "The boot seal is laid once more while everything runs",
			User: "Nothing.", RecoversBy: "nothing was broken",
			Fault: func(_ context.Context, e *Env) error { return e.Agent.Guard() }, Check: unbroken, Mutate: unlock,
		},
	}
}

// laptopToo sends from the laptop as well.
func laptopToo(_ context.Context, e *Env) error {
	e.Others = append(e.Others, e.Lab.Traffic(e.Lab.Laptop, lab.UDP4, lab.TCP4, lab.TCP6, lab.DNSPublic))
	return nil
}
