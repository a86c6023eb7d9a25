package threats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
)

// randomSteps is how many faults one random run lays.
const randomSteps = 8

// RandomFaults lays faults in an order that the seed decides, several at once,
// with traffic flowing: nothing may leak, and in the end, with every fault
// taken back, the service must return. Both locks are never removed together,
// which is T7's; with the agent away nothing heals, so then the second lock is
// left alone altogether. The story tells what was done, for a replay by hand.
func RandomFaults(ctx context.Context, l *lab.Lab, seed uint64) (r Result, story string) {
	w := &walk{Env: &Env{Lab: l, Mode: Mode{Firewall: NFT}}, rng: rand.New(rand.NewPCG(seed, 0)), broken: map[string]bool{}}
	s := Scenario{Name: fmt.Sprintf("Random%d", seed), Title: "random faults"}
	if seed%2 == 1 {
		s.Agent = Two
	}
	r.Gaps = map[lab.Kind]time.Duration{}
	r.Err = w.play(ctx, s, &r)
	w.dump(r.Err)
	for _, t := range w.traffic() {
		t.Stop()
	}
	w.count(ctx, s, &r)
	return r, strings.Join(w.story, "; ")
}

type walk struct {
	*Env
	rng    *rand.Rand
	active []Scenario
	broken map[string]bool // locks that may not be whole yet
	story  []string
}

func (w *walk) play(ctx context.Context, s Scenario, r *Result) error {
	if err := w.start(ctx, s); err != nil {
		return err
	}
	w.TV = w.Lab.Traffic(w.Lab.TV)
	if err := w.flow(ctx, s, flowWithin); err != nil {
		return err
	}
	w.mark()
	if err := w.Lab.WarmNeighbours(); err != nil {
		return err
	}
	w.Faulted = time.Now()
	var all []Scenario
	for _, f := range All() {
		if f.Random {
			all = append(all, f)
		}
	}
	for len(w.story) < randomSteps {
		if len(w.active) > 0 && (len(w.active) == 3 || w.rng.IntN(3) == 0) {
			if err := w.undo(ctx, w.rng.IntN(len(w.active))); err != nil {
				return err
			}
			continue
		}
		if err := w.lay(ctx, all[w.rng.IntN(len(all))]); err != nil {
			return err
		}
	}
	for len(w.active) > 0 {
		if err := w.undo(ctx, len(w.active)-1); err != nil {
			return err
		}
	}
	from := time.Now()
	if err := w.flow(ctx, s, recoverWithin); err != nil {
		return fmt.Errorf("after the last fault: %w", err)
	}
	r.RecoverTime = time.Since(from)
	return w.send(ctx, 1)
}

// lay lays a fault if it may be laid now.
func (w *walk) lay(ctx context.Context, f Scenario) error {
	touched := slices.ContainsFunc(w.active, func(a Scenario) bool {
		return a.Name == f.Name || a.Touches != "" && a.Touches == f.Touches
	})
	other := map[string]string{"firewall": "routing", "routing": "firewall"}[f.Breaks]
	if touched || other != "" && !w.whole(ctx, other) {
		return nil
	}
	w.story = append(w.story, f.Name)
	if f.Breaks != "" {
		w.broken[f.Breaks] = true
	}
	err := f.Fault(ctx, w.Env)
	if raced(err) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("laying %s: %w", f.Name, err)
	}
	w.active = append(w.active, f)
	if w.rng.IntN(2) == 0 {
		return w.send(ctx, 1)
	}
	return w.sendOne(ctx)
}

func (w *walk) undo(ctx context.Context, i int) error {
	f := w.active[i]
	w.active = slices.Delete(w.active, i, i+1)
	if f.Undo == nil {
		return nil
	}
	w.story = append(w.story, "end of "+f.Name)
	if err := f.Undo(ctx, w.Env); err != nil {
		return fmt.Errorf("taking %s back: %w", f.Name, err)
	}
	return w.sendOne(ctx)
}

// raced says that there was nothing to break just now: another fault was there
// before, or the agent was mending it at the same moment. (A route's gateway is
// looked up through the rules, of which those that hold come back first.)
func raced(err error) bool {
	if err == nil || errors.Is(err, errNoChild) || errors.Is(err, unix.ESRCH) || errors.Is(err, os.ErrProcessDone) {
		return true
	}
	return slices.ContainsFunc([]string{"Link not found", "RTNETLINK answers: No such", "by wan: network is unreachable"}, func(s string) bool {
		return strings.Contains(err.Error(), s)
	})
}

// away says that the agent is dead or stopped.
func (w *walk) away() bool {
	return slices.ContainsFunc(w.active, func(a Scenario) bool { return a.Touches == "agent" && a.Undo != nil })
}

// whole says whether a lock holds, and waits for the agent to heal it.
func (w *walk) whole(ctx context.Context, lock string) bool {
	if !w.broken[lock] {
		return true
	}
	if w.away() {
		return false
	}
	look := "nft list chain inet lanseal refuse >/dev/null"
	if lock == "routing" {
		look = "for f in 4 6; do ip -$f rule | grep -q '^520:.*br-lan'; done"
	}
	if err := eventually(ctx, "the "+lock+" lock to be healed", func() error { return sh(ctx, w.Lab.Router, look) }); err != nil {
		return false
	}
	delete(w.broken, lock)
	return true
}
