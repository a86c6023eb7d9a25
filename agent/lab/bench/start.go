package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// start measures the first moments of a router whose clients are sending
// already.
func start(ctx context.Context, b *bench) ([]row, error) {
	guard := row{name: "lanseal guard", what: "start to sealed", unit: "ms", note: "the command's end: sealed"}
	sealed := row{name: "lanseal run, without a guard before it", what: "start to sealed", unit: "ms", note: "the last packet in the clear"}
	traffic := row{name: "lanseal run", what: "start to traffic through the exit", unit: "ms"}
	status := row{name: "lanseal run", what: "start to protected, as status says", unit: "ms", note: "asked every 20 ms"}
	for i := range min(b.runs, 10) {
		b.tell("f  run %d", i+1)
		err := b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) error {
			c := one(l)
			c.NoStart = true
			a, err := l.StartAgent(c)
			if err != nil {
				return err
			}
			return timed(&guard, a.Guard)
		})
		if err == nil {
			err = b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) error {
				return startOnce(ctx, l, &sealed, &traffic, &status)
			})
		}
		if err != nil {
			return nil, fmt.Errorf("run %d: %w", i+1, err)
		}
	}
	return []row{guard, sealed, traffic, status}, nil
}

func startOnce(ctx context.Context, l *lab.Lab, sealed, traffic, status *row) error {
	f, err := watch(ctx, l)
	if err != nil {
		return err
	}
	open := func(a answer) bool { return a.err == nil && lab.ISPOwned(a.src) }
	if _, err := f.first(ctx, time.Now(), "traffic without lanseal", open); err != nil {
		return err
	}
	c := one(l)
	c.NoStart = true
	a, err := l.StartAgent(c)
	if err != nil {
		return err
	}
	mark := l.WAN.MarkTime()
	began := time.Now()
	if err := a.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := a.WaitState(ctx, "protected"); err != nil {
		return err
	}
	status.values = append(status.values, ms(time.Since(began)))
	first, err := f.first(ctx, began, "traffic through the exit", through(l.VPN1))
	if err := errors.Join(err, l.WAN.Drain(ctx), l.WAN.Check()); err != nil {
		return err
	}
	traffic.values = append(traffic.values, ms(first.Sub(began)))
	leaks := l.WAN.Leaks(mark)
	if len(leaks) == 0 {
		return errors.New("nothing was in the clear before the start: the capture saw nothing")
	}
	sealed.values = append(sealed.values, ms(leaks[len(leaks)-1].Time.Sub(began)))
	return nil
}
