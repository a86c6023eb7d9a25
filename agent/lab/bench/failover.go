package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// rival is one way to get a LAN from server A to server B.
type rival struct {
	name, note string
	setUp      func(context.Context, *lab.Lab) error
	// phase is the longest time between two looks of the rival: the server
	// falls silent at a random moment of it.
	phase time.Duration
	// most bounds the number of runs of slow ones, and abreast is how many go
	// side by side: they wait, and do not compute.
	most, abreast int
}

// rivals are lanseal and the best that distribution packages offer. In all of
// them both tunnels are up and warm, by the same userspace WireGuard, and a
// switch is one route and the flows of the old way; they differ in how they
// notice.
func rivals() []rival {
	return []rival{
		{name: "lanseal", setUp: func(ctx context.Context, l *lab.Lab) error {
			_, err := protected(ctx, l, lab.AgentConfig{})
			return err
		}, phase: time.Second, most: 1000, abreast: 1},
		{name: "keepalived", note: "track script: ping each second, timeout 1 s, fall 2",
			setUp: keepalived, phase: time.Second, most: 1000, abreast: 3},
		{name: "watchdog script", note: "in place of wg-quick's own tunnels: ping -c 3 -W 2 every 5 s",
			setUp: watchdog, phase: 5 * time.Second, most: 1000, abreast: 6},
		{name: "mwan3-style tracking", note: "re-created with mwan3's defaults: ping every 10 s, timeout 4 s, down 5",
			setUp: mwan3Style, phase: 10 * time.Second, most: 6, abreast: 6},
	}
}

func failover(ctx context.Context, b *bench) ([]row, error) {
	var rows []row
	var errs error
	for _, r := range rivals() {
		values, err := r.runs(ctx, b)
		errs = errors.Join(errs, err)
		if len(values) > 0 {
			rows = append(rows, row{name: r.name, what: "silence of A to traffic through B", unit: "ms", values: values, base: "lanseal", note: r.note, log: true})
		}
	}
	return rows, errs
}

// runs are the samples, some side by side.
func (r rival) runs(ctx context.Context, b *bench) ([]float64, error) {
	n := min(b.runs, r.most)
	var mu sync.Mutex
	var values []float64
	var errs error
	slots := make(chan struct{}, r.abreast)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			// The phases are the same in every run of the program.
			wait := time.Duration(rand.New(rand.NewPCG(uint64(i), 4)).Int64N(int64(r.phase)))
			took, err := r.once(ctx, b, wait)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = errors.Join(errs, fmt.Errorf("%s, run %d: %w", r.name, i+1, err))
				return
			}
			values = append(values, ms(took))
			b.tell("a  %s: run %d of %d, %.2f s", r.name, len(values), n, took.Seconds())
		})
	}
	wg.Wait()
	return values, errs
}

func (r rival) once(ctx context.Context, b *bench, wait time.Duration) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	err = b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) error {
		if err := r.setUp(ctx, l); err != nil {
			return fmt.Errorf("setting up: %w", err)
		}
		f, err := watch(ctx, l)
		if err != nil {
			return err
		}
		if _, err := f.first(ctx, time.Now(), "traffic through A", through(l.VPN1)); err != nil {
			return err
		}
		if err := pause(ctx, time.Second+wait); err != nil {
			return err
		}
		silent := time.Now()
		if err := l.VPN1.Silence(); err != nil {
			return err
		}
		back, err := f.first(ctx, silent, "traffic through B", through(l.VPN2))
		took = back.Sub(silent)
		return err
	})
	return took, err
}
