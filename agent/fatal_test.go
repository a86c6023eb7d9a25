package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// mostChanges bounds the walks over all changes: none of them makes so many.
const mostChanges = 2000

// files is a folder's regular files, whole; those that a killed write left
// beside the one it was to replace are told apart by their names.
func files(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			all[path] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// putBack makes folders hold what they held.
func putBack(t *testing.T, was map[string]string, dirs ...string) {
	t.Helper()
	for path := range files(t, dirs...) {
		if _, known := was[path]; !known {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	for path, text := range was {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// kill -9 at any change of a command that writes the configuration leaves the
// old one or the new one, valid, with every tunnel's file whole.
func TestT15KilledWritingTheConfiguration(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	a, err := l.StartAgent(lab.AgentConfig{NoStart: true, More: "# a comment of the user's\nconfig device 'tv'\n\tlist mac '02:00:00:00:00:01'\n\tlist via 'block'\n"})
	if err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(filepath.Dir(a.Config), "provider.conf")
	if err := os.WriteFile(fresh, []byte(l.VPN2.ClientFile(lab.ClientOptions{})), 0o600); err != nil {
		t.Fatal(err)
	}
	dirs := []string{filepath.Dir(a.Config)}
	before := files(t, dirs...)
	for _, command := range [][]string{{"import", fresh, "--name", "fi"}, {"unseal", "--yes"}} {
		name := command[0]
		putBack(t, before, dirs...)
		_, errs, exit, err := a.Run(ctx, command...)
		if err != nil || exit != 0 {
			t.Fatalf("lanseal %s: %v, exit status %d: %s", name, err, exit, errs)
		}
		after := files(t, dirs...)[a.Config]
		if after == before[a.Config] {
			t.Fatalf("lanseal %s does not change the configuration, so this shows nothing", name)
		}
		outcomes := map[bool]int{} // by: the new configuration is in place
		for n := 1; ; n++ {
			putBack(t, before, dirs...)
			killed, err := a.RunFatal(ctx, n, command...)
			if err != nil || n > mostChanges {
				t.Fatalf("at change %d: %v", n, err)
			}
			now := files(t, dirs...)
			if got := now[a.Config]; got != before[a.Config] && got != after {
				t.Fatalf("%s killed at change %d left a configuration that is neither the old nor the new one:\n%s", name, n, got)
			}
			outcomes[now[a.Config] == after]++
			for path, text := range before {
				if path != a.Config && now[path] != text {
					t.Errorf("%s killed at change %d: %s is not what it was", name, n, path)
				}
			}
			if _, errs, exit, err := a.Run(ctx, "check"); err != nil || exit != 0 {
				t.Errorf("%s killed at change %d: lanseal check: %v, exit status %d: %s", name, n, err, exit, errs)
			}
			if !killed {
				t.Logf("%s makes %d changes: %d times the old configuration was left, %d times the new one", name, n-1, outcomes[false], outcomes[true])
				break
			}
		}
		if outcomes[false] == 0 || outcomes[true] < 2 {
			t.Errorf("%s: killed before and after the write was not both seen: %v", name, outcomes)
		}
	}
}

func twoTunnels(l *lab.Lab) map[string]string {
	return map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{}), "no": l.VPN2.ClientFile(lab.ClientOptions{})}
}

// sealedAgain takes everything away that an agent laid, lays the boot seal and
// begins to count what leaks.
func sealedAgain(ctx context.Context, t *testing.T, l *lab.Lab, a *lab.Agent, was map[string]string) lab.Marks {
	t.Helper()
	if _, errs, exit, err := a.Run(ctx, "unseal", "--yes"); err != nil || exit != 0 {
		t.Fatalf("lanseal unseal: %v, exit status %d: %s", err, exit, errs)
	}
	putBack(t, was, filepath.Dir(a.Config))
	if err := errors.Join(a.Guard(), l.WAN.Drain(ctx)); err != nil {
		t.Fatal(err)
	}
	return l.MarkAll()
}

// stride is how many changes lie between two that are tried: "make torture"
// tries each, "make test" some, and other ones where the product differs.
func stride() int {
	if os.Getenv("LANSEAL_EVERY_CHANGE") != "" {
		return 1
	}
	return 12
}

// whileItRuns waits for f, or for the end of the agent.
func whileItRuns(ctx context.Context, a *lab.Agent, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ended := a.Process().Done() // of this agent, not of the next
	go func() {
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	return f(ctx)
}

// carriedBy waits until a server is the one that carries the traffic.
func carriedBy(ctx context.Context, tv *lab.Traffic, server string) error {
	for tv.Mark(); tv.Of(lab.UDP4).Sources[netip.MustParseAddr(server)] == 0; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// kill -9 at any change of an apply leaves the LAN sealed: at those that lead
// from the boot seal to the first tunnel, at those that a changed configuration
// asks for, and at those of a clean end. Whatever was left of the store is
// read, and the next agent brings the service back.
func TestT4KilledAtAnyChange(t *testing.T) {
	t.Parallel()
	flow := func(ctx context.Context, _ *lab.Lab, _ *lab.Agent, tv *lab.Traffic) error {
		return tv.WaitFlow(ctx, lab.UDP4)
	}
	for _, c := range []struct {
		name string
		from syscall.Signal
		ask  func(context.Context, *lab.Lab, *lab.Agent, *lab.Traffic) error // begins the changes, and waits for their end
	}{
		{"starting", 0, flow},
		{"another exit", syscall.SIGHUP, func(ctx context.Context, l *lab.Lab, a *lab.Agent, tv *lab.Traffic) error {
			if err := errors.Join(a.WriteConfig(l.UsualUCI(lab.AgentConfig{Tunnels: twoTunnels(l), Via: []string{"no"}})), a.Process().Signal(syscall.SIGHUP)); err != nil {
				return err
			}
			return carriedBy(ctx, tv, lab.VPN2v4)
		}},
		{"ending", syscall.SIGTERM, func(ctx context.Context, _ *lab.Lab, a *lab.Agent, _ *lab.Traffic) error {
			if err := a.Process().Signal(syscall.SIGTERM); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-a.Process().Done():
				return nil
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
			defer cancel()
			a, err := l.StartAgent(lab.AgentConfig{Tunnels: twoTunnels(l), Via: []string{"se", "no"}, NoStart: true})
			if err != nil {
				t.Fatal(err)
			}
			was := files(t, filepath.Dir(a.Config))
			traffic := l.Traffic(l.TV, lab.UDP4, lab.UDP6, lab.UDPNew4, lab.TCP4, lab.TCP6, lab.ICMP4, lab.DNSPublic, lab.DNSISP)
			for n := 1; ; n += stride() {
				mark := sealedAgain(ctx, t, l, a, was)
				if err := a.StartFatal(n, c.from); err != nil || n > mostChanges {
					t.Fatalf("at change %d: %v", n, err)
				}
				if c.from != 0 {
					if err := whileItRuns(ctx, a, func(ctx context.Context) error { return carriedBy(ctx, traffic, lab.VPN1v4) }); err != nil {
						t.Fatalf("before change %d: %v", n, err)
					}
				}
				err := whileItRuns(ctx, a, func(ctx context.Context) error { return c.ask(ctx, l, a, traffic) })
				killed := !a.Process().Running() && strings.Contains(fmt.Sprint(a.Process().Wait(ctx)), fmt.Sprint(lab.FatalExit))
				if err != nil && !killed {
					t.Fatalf("at change %d: %v", n, err)
				}
				if err := traffic.WaitSent(ctx, 3); err != nil {
					t.Fatal(err)
				}
				l.NoLeak(t, mark)
				if t.Failed() {
					t.Fatalf("killed at change %d", n)
				}
				if !killed {
					t.Logf("%d changes or fewer, of which each %dth was tried", n-1, stride())
					break
				}
			}
			if a.Process().Running() {
				a.Kill9()
			}
			mark := l.MarkAll()
			if err := errors.Join(a.Start(), a.WaitState(ctx, "protected"), traffic.WaitFlow(ctx, lab.UDP4)); err != nil {
				t.Fatal(err)
			}
			l.NoLeak(t, mark)
		})
	}
}
