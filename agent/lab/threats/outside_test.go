package threats

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// TestOutside is lanseal as somebody sees it who knows nothing of its inside:
// a router with a resolver of its own, a configuration of four lines, clients
// that send from before the boot until after the last of the usual accidents.
// From the boot seal on nothing leaks, and the service comes back by itself.
func TestOutside(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 3*runLimit)
	defer cancel()
	e, _ := boot(ctx, t)
	l := e.Lab
	for _, name := range []string{
		"T2DeviceDown", "T2DeviceDeleted", "T3ServerSilent", "T4ChildKilled", "T5FlushRuleset", "T5FlushAndDeviceDown",
		"T6TablesFlushed", "T6RulesFlushed", "T9Halves", "T9Slash24", "T9V6Slash64", "T11ServerPorts", "T14Restart", "T4KilledOnly",
	} {
		s := named(t, name)
		t.Run(name, func(t *testing.T) {
			e.mark()
			e.Faulted = time.Now()
			must(t, l.WarmNeighbours())
			must(t, s.Fault(ctx, e))
			must(t, e.send(ctx, 2))
			if s.Undo != nil {
				must(t, s.Undo(ctx, e))
			}
			from := time.Now()
			must(t, e.flow(ctx, s, recoverWithin))
			t.Logf("%s: back after %v", s.Title, time.Since(from).Round(time.Millisecond))
			noLeak(t, ctx, e, s.Title)
		})
	}
	t.Run("DirectDNS", func(t *testing.T) {
		e.mark()
		for _, r := range resolvers {
			_, err := l.TV.Resolve(r, "direct.example.test", "A")
			must(t, err)
		}
		must(t, refusedAtOnce("DoT", dial(l.TV, lab.Echo4, 853)))
		must(t, e.send(ctx, 1))
		must(t, tunnelAnswers(ctx, e))
		noLeak(t, ctx, e, "direct DNS")
	})
	if b, lines := e.TV.Betrayed(); b > 0 {
		t.Errorf("servers saw the ISP's customer: %v", lines)
	}
}

// From the agent's start it takes less than three seconds until everybody is
// protected. Nothing runs beside it, because it measures a time.
func TestBootTime(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	_, took := boot(ctx, t)
	t.Logf("protected after %v", took)
	if took > 3*time.Second {
		t.Errorf("protected only after %v", took)
	}
}

// boot is a router that starts with clients sending: the seal is laid before
// the uplink is there, and the agent comes later.
func boot(ctx context.Context, t *testing.T) (*Env, time.Duration) {
	t.Helper()
	l := lab.ForTest(t, lab.Options{Lanseal: product, Dnsmasq: true})
	c := One(l)
	c.NoStart = true
	a, err := l.StartAgent(c)
	must(t, err)
	e := &Env{Lab: l, Agent: a, Config: c, Mode: Mode{Firewall: NFT}}
	must(t, l.LinkDown("wan"))
	e.TV = l.Traffic(l.TV)
	must(t, a.Guard())
	e.mark()
	must(t, errors.Join(l.LinkUp("wan"), lease(ctx, e, "wan"), l.WarmNeighbours(), e.send(ctx, 2)))
	began := time.Now()
	must(t, a.Start())
	must(t, e.protected(ctx))
	took := time.Since(began)
	must(t, e.flow(ctx, Scenario{}, flowWithin))
	noLeak(t, ctx, e, "the boot")
	return e, took
}

func named(t *testing.T, name string) Scenario {
	t.Helper()
	for _, s := range All() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no scenario %s", name)
	return Scenario{}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func noLeak(t *testing.T, ctx context.Context, e *Env, what string) {
	t.Helper()
	n, lines, err := e.leaks(ctx)
	if err != nil || n > 0 {
		t.Errorf("%s: %d frames leaked %v: %s", what, n, err, lines)
	}
	if b, who := e.TV.Betrayed(); b > 0 {
		t.Errorf("%s: servers saw the ISP's customer %d times: %v", what, b, who)
	}
}
