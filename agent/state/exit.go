package state

import (
	"fmt"
	"time"
)

// How long evidence counts.
const (
	// SessionLife is how long a WireGuard session is good for without a new
	// handshake: Reject-After-Time of the WireGuard paper, section 6.1.
	SessionLife = 180 * time.Second
	// StartLimit is how long an exit may be connecting before it counts as
	// down; it goes on trying.
	StartLimit = 15 * time.Second
	// Grace is how long flows of the only exit wait for a device that has
	// gone, and all flows for an uplink that has, without being refused: it
	// may be back in a moment, and a TCP reset would end what a pause does not.
	Grace = 3 * time.Second
	// KickInterval is how often a tunnel that does not come up is made sure
	// of, and another address of its server tried; PatientKick is it after
	// PatientAfter, so that a server that is gone for good costs little.
	KickInterval = 5 * time.Second
	PatientKick  = 30 * time.Second
	PatientAfter = 2 * time.Minute
	// EagerKick is how soon a lost first handshake is repeated; the protocol
	// itself waits for 5 s.
	EagerKick = 2 * time.Second
	// RetryInterval is how often a server that fell silent is asked for a new
	// handshake while nothing else carries the LAN, at 148 bytes; see retryAfter.
	RetryInterval = 500 * time.Millisecond
	// Once in LongWay the tries pause for LongAnswer, in case the way to the
	// server has become a long one.
	LongWay    = 2 * time.Minute
	LongAnswer = 1600 * time.Millisecond
	// RenewAfter is how long a silent way may be a pause, in which sessions are
	// kept.
	RenewAfter = time.Second
	// RenewWait is how long that handshake may take where it is the last proof
	// of life.
	RenewWait = 2 * time.Second
	// LookInterval is how often a driver is asked for the handshake's age and
	// the bytes received.
	LookInterval = 20 * time.Second
)

// reported takes in a driver's report: what grew, what fell silent.
func (x *Exit) reported(st Status, now time.Time) {
	if x.Phase == Disabled {
		return
	}
	if st.Exists {
		x.Lost = time.Time{}
	} else if x.Lost.IsZero() {
		x.Lost = now
	}
	// What grew since the last report may have grown before the doubt began.
	lately := x.Doubt.IsZero() || !x.Reported.Before(x.Doubt)
	shook := !st.Handshake.IsZero() && !st.Handshake.Equal(x.Shook)
	if shook {
		x.Shook = st.Handshake
	}
	// What was heard meanwhile explains the bytes; less than before: they were reset.
	grew := st.Rx > x.Status.Rx && !x.LastRx.After(x.Reported)
	if shook && (lately || st.Handshake.After(x.Doubt)) || lately && grew {
		x.heard(now)
	}
	x.Status, x.Reported = st, now
}

// ticked looks at what the devices carried, asks exits for signs of life and
// starts dead ones anew, for as long as it takes.
func (s *State) ticked(e Tick, now time.Time) []Effect {
	for i := range s.Exits {
		x := &s.Exits[i]
		if t, ok := e.Traffic[x.Name]; ok && x.Phase != Disabled {
			x.sampled(t, now)
		}
	}
	var fx []Effect
	for i := range s.Exits {
		x := &s.Exits[i]
		switch {
		case x.Phase == Disabled:
			continue
		case !s.Cut.Since.IsZero():
			if !s.back(*x, now) { // a session that is alive after all is kept
				fx = append(fx, s.retry(x, s.Cut.Since, now)...)
			}
		case x.Phase == Starting:
			if wait := now.Sub(x.LastKick); wait >= KickInterval || wait >= EagerKick && now.Sub(x.Since) < StartLimit {
				x.LastKick = now
				how := Kick
				if now.Sub(x.Since) >= KickInterval && now.Sub(x.LastTry) >= KickInterval {
					how, x.LastTry = Other, now // it may be the address
				}
				fx = append(fx, Effect{Kind: Ensure, Exit: x.Name}, Effect{Kind: how, Exit: x.Name})
			}
		case x.Phase == Down:
			fx = append(fx, s.retry(x, x.Since, now)...)
		}
		fx = append(fx, s.ask(x, now)...)
		if now.Sub(x.Looked) >= s.lookInterval(x, now) {
			x.Looked = now
			fx = append(fx, Effect{Kind: Look, Exit: x.Name})
		}
	}
	return fx
}

// retry starts handshakes with a server that does not answer: often while
// nothing else carries the LAN, at another of its addresses now and then.
func (s *State) retry(x *Exit, since time.Time, now time.Time) []Effect {
	every, kick := x.retryAfter(), KickInterval
	if now.Sub(since) >= PatientAfter {
		kick = PatientKick
	}
	if s.otherUp(x) && s.Cut.Since.IsZero() || s.Unlinked {
		every = kick
	}
	switch down := now.Sub(since); {
	case !s.Cut.Since.IsZero() && x.Phase == Up && down < RenewAfter:
		return nil // it may be a pause: its session is kept, and it is asked by probes
	case now.Sub(x.LastKick) >= kick:
		x.LastKick, x.LastTry = now, now
		return []Effect{{Kind: Ensure, Exit: x.Name}, {Kind: Next, Exit: x.Name}}
	case now.Sub(x.LastTry) >= every && down%LongWay < LongWay-LongAnswer:
		x.LastTry = now
		return []Effect{{Kind: Renew, Exit: x.Name}}
	}
	return nil
}

// retryAfter lets the answer come before the next try makes it worthless.
func (x *Exit) retryAfter() time.Duration {
	return max(RetryInterval, x.Timeout()*3/2)
}

func (s *State) lookInterval(x *Exit, now time.Time) time.Duration {
	switch cut := !s.Cut.Since.IsZero(); {
	case x.Phase == Up && !cut && !x.awaited():
		return LookInterval
	case x.Phase == Down && !cut && s.otherUp(x) && now.Sub(x.LastTry) > Grace:
		return LookInterval
	}
	return FastPace // a handshake is awaited: at every tick
}

// judge decides the exit's phase from the evidence.
func (s *State) judge(x *Exit, now time.Time) []Effect {
	if x.Phase == Disabled {
		return nil
	}
	if x.Phase == Up && !x.Dead && x.silent(now) {
		switch s.verdict(x, now) {
		case undecided:
			return nil
		case cutOff:
			s.cut(now)
			return s.judgeCut(now)
		case dead:
			x.Dead, x.Answers, x.Missed = true, x.Answers && x.Type == "device", 0
			x.LastKick, x.LastTry = now, time.Time{}
		}
	}
	phase, why := x.evidence(now)
	if phase != Up && x.Phase == Up && !x.Lost.IsZero() && now.Sub(x.Lost) < Grace && !s.otherUp(x) {
		return nil // its device is being made again, and there is no other way meanwhile
	}
	if phase == Starting && x.Phase == Up && now.Sub(x.LastRx) < Grace && !s.otherUp(x) {
		return nil // made again, its handshake is under way
	}
	if phase == Starting && x.Phase == Up && now.Sub(x.LastTry) < RenewWait {
		return nil // it was asked for a new one
	}
	if phase == Starting && (x.Phase == Down || now.Sub(x.Since) > StartLimit) {
		phase = Down
	}
	x.Reason = why
	if phase == x.Phase {
		return nil
	}
	old := x.Phase
	x.Phase, x.Since = phase, now
	if old == Up {
		x.Failed = now
	}
	return []Effect{
		{Kind: Replan},
		{Kind: Note, Exit: x.Name, Text: fmt.Sprintf("exit %s: %s → %s: %s", x.Name, old, phase, why)},
	}
}

func (s *State) otherUp(x *Exit) bool {
	for i := range s.Exits {
		if o := &s.Exits[i]; o.Name != x.Name && o.Phase == Up {
			return true
		}
	}
	return false
}

func (x *Exit) evidence(now time.Time) (Phase, string) {
	switch {
	case x.Status.Error != "" && !x.Status.Exists:
		return Down, x.Status.Error
	case !x.Status.Exists:
		return Starting, "its device is not there yet"
	case x.Dead && x.Type == "device" && !x.Answers && now.Sub(x.Since) >= ForeignRetry:
		x.heard(now) // nobody knows whether its far side answers probes at all: it is tried again
	case x.Dead:
		return Down, x.silence(now)
	}
	switch {
	case x.Type == "device":
		return Up, "its device is up"
	case x.Status.Handshake.IsZero():
		return Starting, "waiting for the first handshake"
	case now.Sub(x.Status.Handshake) > SessionLife:
		return Down, fmt.Sprintf("last handshake %s ago", now.Sub(x.Status.Handshake).Round(time.Second))
	}
	return Up, fmt.Sprintf("handshake %s ago", max(0, now.Sub(x.Status.Handshake)).Round(time.Second))
}

func (x *Exit) silence(now time.Time) string {
	if x.LastRx.IsZero() {
		return "sent without ever an answer"
	}
	return fmt.Sprintf("sent without an answer for %s", max(now.Sub(x.LastRx), time.Second).Round(time.Second))
}
