package demo

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// series watches the answers to one kind of probe of one client.
type series struct {
	t    *lab.Traffic
	kind lab.Kind
	pace time.Duration // between two probes

	prev time.Time     // the newest answer
	gap  time.Duration // the longest silence since the reset,
	end  time.Time     // and when it ended
	lost int           // until the reset
}

// watch looks at all series often enough to say when a silence ended.
type watch struct {
	mu   sync.Mutex
	all  []*series
	stop context.CancelFunc
	done chan struct{}
}

const lookEvery = 8 * time.Millisecond

func newWatch(clients []*lab.Traffic) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{stop: cancel, done: make(chan struct{})}
	for _, t := range clients {
		for _, st := range t.Stats() {
			if st.Kind != lab.DoT {
				w.all = append(w.all, &series{t: t, kind: st.Kind, pace: pace(st)})
			}
		}
	}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.look()
			}
		}
	}()
	return w
}

// pace is learnt from a time in which everything was answered.
func pace(st lab.Stats) time.Duration {
	if st.Answered < 2 {
		return time.Second / 4
	}
	return st.Last.Sub(st.First) / time.Duration(st.Answered-1)
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.all {
		last := s.t.Of(s.kind).Last
		if !last.After(s.prev) {
			continue
		}
		if g := last.Sub(s.prev); !s.prev.IsZero() && g > s.gap {
			s.gap, s.end = g, last
		}
		s.prev = last
	}
}

// reset forgets the silences of before.
func (w *watch) reset() {
	w.look()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.all {
		st := s.t.Of(s.kind)
		s.gap, s.end, s.lost = 0, time.Time{}, st.Refused+st.TimedOut
	}
}

// settleWithin is how long a probe may be on its way before it counts as lost.
const settleWithin = 200 * time.Millisecond

// outage says whether probes of a kind that should be answered were lost since
// the reset, and when the last of those kinds came back.
func (w *watch) outage(ctx context.Context, dead []lab.Kind) (lost bool, end time.Time) {
	late := w.settle(ctx)
	w.look()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.all {
		st := s.t.Of(s.kind)
		if slices.Contains(dead, s.kind) || (st.Refused+st.TimedOut == s.lost && !late[s]) {
			continue
		}
		if s.gap < s.pace*3/2+5*time.Millisecond {
			continue // a straggler on a busy machine
		}
		lost = true
		if s.end.After(end) {
			end = s.end
		}
	}
	return lost, end
}

// settle waits until every series has been seen with nothing on its way, and
// returns those that had.
func (w *watch) settle(ctx context.Context) map[*series]bool {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	late := map[*series]bool{}
	for _, s := range w.all {
		late[s] = true
	}
	_ = poll(ctx, 4*time.Millisecond, func() error {
		for s := range late {
			if st := s.t.Of(s.kind); st.Sent == st.Answered+st.Refused+st.TimedOut {
				delete(late, s)
			}
		}
		if len(late) > 0 {
			return errors.New("on its way")
		}
		return nil
	})
	return late
}

func (w *watch) end() {
	w.stop()
	<-w.done
}

// poll asks until the answer is nil or the context ends, and returns the last
// answer that the end did not cause.
func poll(ctx context.Context, every time.Duration, f func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last error
	for {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}

// pause lets the clients go on for a while.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
