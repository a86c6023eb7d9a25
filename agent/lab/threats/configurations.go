package threats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lanseal/lanseal/agent/lab"
)

const nonsense = "config lanseal 'main'\n\toption enabled '1'\n\tlist lan_device 'br-lan'\n\tlist via 'nowhere'\n\toption killswitsh '0'\n"

// valid is the configuration that the run began with.
func (e *Env) valid() string {
	if e.Config.UCI != "" {
		return e.Config.UCI
	}
	return e.Lab.UsualUCI(e.Config)
}

func (e *Env) half() string { u := e.valid(); return u[:len(u)*2/3] }

// told waits until the status says whether the file is in force.
func told(ctx context.Context, e *Env, valid bool) error {
	return eventually(ctx, fmt.Sprintf("the status to say that the configuration's validity is %v", valid), func() error {
		s, err := e.Agent.Status(ctx)
		if err != nil {
			return err
		}
		var d struct {
			Config struct {
				Valid  bool
				Errors []string
			}
		}
		if err := json.Unmarshal(s.Raw, &d); err != nil {
			return err
		}
		if d.Config.Valid != valid || !valid && len(d.Config.Errors) == 0 {
			return fmt.Errorf("it says %+v", d.Config)
		}
		return nil
	})
}

// kernel is what the kernel holds, as text, without counters.
func kernel(ctx context.Context, e *Env) (string, error) {
	out, err := e.Lab.Router.Command(ctx, "sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; ip -4 rule; ip -6 rule; "+
		"for t in 5200 5201; do ip -4 route show table $t; ip -6 route show table $t; done; "+
		"nft -s list table inet lanseal 2>/dev/null | sed '/set blocked/,/^\t}/d'").Output()
	return string(out), err
}

// spoiled makes the configuration bad while the agent runs: nothing may
// change, and the status must say so.
func spoiled(name, title string, spoil func(*Env) error) Scenario {
	return Scenario{
		Name: name, Threat: "T15", Title: title,
		User: "Nothing changes; status and log name the mistakes.", RecoversBy: "nothing was broken", Agent: One,
		Fault: func(ctx context.Context, e *Env) (err error) {
			if e.Text, err = kernel(ctx, e); err != nil {
				return err
			}
			return errors.Join(spoil(e), e.Agent.Reload())
		},
		During: func(ctx context.Context, e *Env) error {
			if err := told(ctx, e, false); err != nil {
				return err
			}
			now, err := kernel(ctx, e)
			if err == nil && now != e.Text {
				err = fmt.Errorf("the kernel's state changed from\n%s\nto\n%s", e.Text, now)
			}
			return errors.Join(err, e.flow(ctx, Scenario{}, flowWithin))
		},
		Undo: func(ctx context.Context, e *Env) error {
			return errors.Join(os.RemoveAll(filepath.Join(e.Agent.TunnelDir, "se.conf")), e.Agent.WriteTunnel("se", e.Config.Tunnels["se"]),
				e.Agent.WriteConfig(e.valid()), e.Agent.Reload(), told(ctx, e, true))
		},
		Check: unbroken, Mutate: unlock,
	}
}

// spoiledAtStart begins with a bad configuration: the LAN must be sealed, with
// clients sending, until it is mended.
func spoiledAtStart(name, title string, spoil func(*Env) error) Scenario {
	return Scenario{
		Name: name, Threat: "T15", Title: title,
		User: "No internet; status and log name the mistakes.", RecoversBy: "the user, who corrects the file", Agent: One,
		Before: func(ctx context.Context, e *Env) error {
			// The router was well configured once: that has left a boot seal.
			if _, errs, exit, err := e.Agent.Run(ctx, "guard"); err != nil || exit != 0 {
				return errors.Join(err, fmt.Errorf("guard: exit status %d: %s", exit, errs))
			}
			// And then it booted: nothing of it is in the kernel.
			err := sh(ctx, e.Lab.Router, deleteTables+deleteRules)
			if variant, ok := strings.CutPrefix(e.Mode.Firewall, "iptables-"); ok {
				err = errors.Join(err, flushIptables(variant)(ctx, e), e.Lab.RestoreNAT())
			}
			return err
		},
		Boot: func(ctx context.Context, e *Env) error {
			if err := spoil(e); err != nil {
				return err
			}
			if err := e.Agent.Guard(); err != nil {
				return err
			}
			e.mark()
			e.TV = e.Lab.Traffic(e.Lab.TV)
			if err := e.Agent.Start(); err != nil {
				return err
			}
			if err := errors.Join(e.state(ctx, "sealed"), told(ctx, e, false), e.send(ctx, 2)); err != nil {
				return err
			}
			if n, lines, err := e.leaks(ctx); err != nil || n > 0 {
				return errors.Join(err, fmt.Errorf("%d frames leaked without a valid configuration: %s", n, lines))
			}
			for _, s := range e.TV.Stats() {
				if s.Answered > 0 && s.Kind != lab.DNSRouter {
					return fmt.Errorf("sealed, and %s was answered", s.Kind)
				}
			}
			return errors.Join(os.RemoveAll(filepath.Join(e.Agent.TunnelDir, "se.conf")), e.Agent.WriteTunnel("se", e.Config.Tunnels["se"]),
				e.Agent.WriteConfig(e.valid()), e.Agent.Reload(), e.protected(ctx))
		},
		Mutate: unlock,
	}
}

// directory puts a folder in the tunnel file's place: root can read anything
// else.
func directory(e *Env) error {
	p := filepath.Join(e.Agent.TunnelDir, "se.conf")
	return errors.Join(os.RemoveAll(p), os.Mkdir(p, 0o700))
}

func configurations() []Scenario {
	write := func(text func(*Env) string) func(*Env) error {
		return func(e *Env) error { return e.Agent.WriteConfig(text(e)) }
	}
	wrong := write(func(*Env) string { return nonsense })
	half := write((*Env).half)
	empty := write(func(*Env) string { return "" })
	return []Scenario{
		spoiled("T15Invalid", "The configuration becomes invalid while lanseal runs", wrong),
		spoiled("T15HalfWritten", "The configuration file is half written when it is read", half),
		spoiled("T15Empty", "The configuration file becomes empty", empty),
		spoiled("T15UnreadableTunnel", "The tunnel file cannot be read any more", directory),
		spoiledAtStart("T15InvalidAtStart", "lanseal starts with an invalid configuration", wrong),
		spoiledAtStart("T15HalfWrittenAtStart", "lanseal starts with half a configuration file", half),
		spoiledAtStart("T15EmptyAtStart", "lanseal starts with an empty configuration file", empty),
		spoiledAtStart("T15UnreadableTunnelAtStart", "lanseal starts and cannot read the tunnel file", directory),
		{
			Name: "T15FullDisk", Threat: "T15", Title: "The folders for state and for the boot seal are full",
			User: "Nothing; the log says what could not be written.", RecoversBy: "nothing was broken",
			Before: fullDisk,
			Fault:  restart, Check: noReconnect, Mutate: unlock,
		},
	}
}

// fullDisk puts tiny, full file systems where lanseal writes.
func fullDisk(ctx context.Context, e *Env) error {
	return sh(ctx, e.Lab.Router, `
cp -a `+e.Agent.Persist+` `+e.Lab.Dir+`/persist.copy
for d in `+e.Agent.State+` `+e.Agent.Persist+`; do mount -t tmpfs -o size=16k,mode=700 none $d; done
cp -a `+e.Lab.Dir+`/persist.copy/. `+e.Agent.Persist+`/
for d in `+e.Agent.State+` `+e.Agent.Persist+`; do
 dd if=/dev/zero of=$d/filler bs=4k 2>/dev/null || true
 if echo x > $d/probe 2>/dev/null && [ -s $d/probe ]; then echo "$d is not full"; exit 1; fi
 rm -f $d/probe
done`)
}
