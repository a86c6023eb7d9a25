package main

import (
	"context"
	"time"

	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/webui"
)

// leakTestLimit bounds a run of the leak test.
const leakTestLimit = time.Minute

// tryLimit is how long a tunnel may take to give a sign of life.
const tryLimit = 2 * time.Second

// webProver looks for ways past the locks for the web UI.
type webProver struct{ *web }

// Verify compares the kernel with the plan.
func (w webProver) Verify(ctx context.Context) (webui.Verification, error) {
	d, _, err := verifyNow(ctx, w.a.g)
	return d, err
}

// LeakTest is the last run; start begins another, unless one is running.
func (w webProver) LeakTest(start bool) webui.LeakTest {
	w.mu.Lock()
	defer w.mu.Unlock()
	if start && w.leak.State != "running" {
		now := time.Now().UTC()
		w.leak = webui.LeakTest{State: "running", Started: &now, Probes: []webui.Probe{}, Leaks: []string{}}
		go func() {
			ctx, cancel := context.WithTimeout(w.ctx, leakTestLimit)
			defer cancel()
			d := leakTest(ctx, w.a.g)
			d.Started = &now
			w.mu.Lock()
			w.leak = d
			w.mu.Unlock()
			w.tell("user", "", "leak test: "+d.Why)
		}()
	}
	return w.leak
}

// Try asks a tunnel for a sign of life.
func (w webProver) Try(ctx context.Context, exit string) (webui.Tried, error) {
	task, ok := askLoop(ctx, w.a, func() *exitTask { return w.a.exits[exit] })
	if !ok {
		return webui.Tried{}, webui.ErrBusy
	}
	if task == nil {
		return webui.Tried{Why: "the tunnel is switched off"}, nil
	}
	var got state.Probed
	task.probe(ctx, state.Effect{Kind: state.Probe, Exit: exit, Within: tryLimit, Thorough: true}, func(e state.Event) {
		got, _ = e.(state.Probed)
	})
	if got.RTT == 0 {
		return webui.Tried{Why: "nobody at the other end answered"}, nil
	}
	return webui.Tried{Answered: true, RTT: float64(got.RTT.Microseconds()) / 1000, Why: "the other end answered"}, nil
}
