package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/lanseal/lanseal/agent/clock"
	"github.com/lanseal/lanseal/agent/state"
)

// clockDoor is the clock that the agent keeps: the kernel's, or in the lab's
// build a stand-in.
type clockDoor interface {
	Now() time.Time
	Set(time.Time) error
	Synchronised() bool
}

// forward moves a clock that is behind the last good time up to it, so that
// servers accept the handshakes that follow, and so that exceptions that have
// ended do not begin again. Not being allowed to is no error: the clock is then
// somebody else's.
func (a *agent) forward() {
	now := a.clock.Now()
	to, behind := clock.Forward(now, a.store.Good())
	if !behind {
		return
	}
	if err := a.clock.Set(to); err != nil {
		a.note("clock", "", fmt.Sprintf("the clock is %s behind the last good time, and servers may refuse it: %v", to.Sub(now).Round(time.Second), err))
		return
	}
	a.note("clock", "", fmt.Sprintf("the clock was %s behind the last good time and was moved forward", to.Sub(now).Round(time.Second)))
}

// keepTime remembers times that are good. What the kernel or an NTP client
// vouches for is. A tunnel that is up vouches for something less, and just what
// the next boot needs: a handshake of this time was not too late for its
// server, so an earlier one will be.
func (a *agent) keepTime() {
	synced := a.timeTold || a.clock.Synchronised()
	if synced != a.timeKnown {
		a.timeKnown, a.dirty = synced, true // the router's NTP need not, or must, leave by the WAN
		a.schedule(0)
	}
	up := false
	for _, x := range a.st.Exits {
		up = up || x.Phase == state.Up && x.Type == "wireguard"
	}
	if synced || up {
		a.store.SetGood(a.clock.Now(), synced)
	}
}

// timeSynced is told by an NTP client, again and again.
func (a *agent) timeSynced() {
	first := !a.timeTold
	a.timeTold = true
	a.keepTime()
	if first {
		a.stepped("the time is synchronised")
	}
}

// steady turns the time of day of a tunnel's last handshake, which is all that
// the kernel tells, into a moment by the clock that is never set: after a step
// of ten hours no handshake is ten hours old.
type steady struct {
	raw    time.Time // as the kernel tells it
	moment time.Time // with a monotonic reading
	looked time.Time
}

// at is asked with every report. A handshake that differs from the last came
// since the last look, whatever the clock did meanwhile.
func (s *steady) at(raw, now time.Time) time.Time {
	last := s.looked
	s.looked = now
	switch {
	case raw.IsZero():
		s.raw, s.moment = time.Time{}, time.Time{}
	case !raw.Equal(s.raw) || s.moment.IsZero():
		age := max(0, now.Round(0).Sub(raw)) // by the time of day
		if !last.IsZero() {
			age = min(age, now.Sub(last))
		}
		s.raw, s.moment = raw, now.Add(-age)
	}
	return s.moment
}

// stepped starts the handshakes anew: the server may have refused the last
// ones for their time. A session that is alive goes on.
func (a *agent) stepped(why string) {
	a.note("clock", "", why)
	for name, t := range a.exits {
		t.order(state.Effect{Kind: state.Kick, Exit: name})
	}
}

// watchClock reports steps of the clock. Without it they are noticed only by
// handshakes that do not come.
func (a *agent) watchClock(ctx context.Context) {
	if err := clock.Watch(ctx, a.clockSteps); err != nil {
		a.log.Warn(err.Error())
	}
}

// cmdNotify passes on what a hotplug script was told. Where no agent runs
// there is nobody to tell, which is no error.
func cmdNotify(ctx context.Context, g globals, args []string) (int, error) {
	operands, err := flags(args, func(*flag.FlagSet) {})
	if err == nil && (len(operands) != 1 || operands[0] != "time-synced") {
		err = fmt.Errorf("one event is needed: time-synced")
	}
	if err != nil {
		return 2, err
	}
	return tellAgent(ctx, g, "/api/v1/"+operands[0])
}
