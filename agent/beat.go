package main

import (
	"context"
	"time"

	"github.com/lanseal/lanseal/agent/state"
)

// beat tells the state machine what the exits' devices have carried and that
// time has passed. The loop itself does it, so that an idle agent wakes up once
// in [state.IdlePace] and for hardly anything else.
func (a *agent) beat(ctx context.Context) {
	tick := state.Tick{Traffic: map[string]state.Traffic{}}
	carried, err := a.k.Carried()
	if err != nil && !a.deaf { // nothing is heard then, and exits are asked
		a.log.Warn(err.Error())
	}
	a.deaf = err != nil
	for name, t := range a.exits {
		if c, ok := carried[t.exit.Device]; ok {
			tick.Traffic[name] = state.Traffic{Rx: c.Rx, Tx: c.Tx}
		}
	}
	a.due = time.Time{}
	a.step(ctx, tick)
	a.expire(ctx)
	a.observe()
	a.tally(ctx)
	a.forgetLate(ctx)
}

// pace sets the next beat, or brings it forward.
func (a *agent) pace() {
	now := time.Now()
	next := now.Add(a.st.Pace(now))
	if a.due.IsZero() || next.Before(a.due) {
		a.due = next
		a.beatTimer.Reset(time.Until(next))
	}
}
