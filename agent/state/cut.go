package state

import (
	"time"
)

// Cut is a time in which no exit answers: the ISP is out, or every server. The
// exits' phases stay as they were, so that an outage leads to no switching:
// afterwards everybody goes on where they were, if that exit is back.
type Cut struct {
	Since  time.Time // zero: there is no cut
	Why    string
	Sealed bool      // the LAN has been told: refusals instead of waiting
	Heard  time.Time // the first sign of life of any exit
}

// ReturnWait is how long, after the first exit is back from a cut, others wait
// for the one that carried them.
const ReturnWait = 1500 * time.Millisecond

// doubtLimit is how long a silent exit's devices wait for others to prove that
// they are alive.
const doubtLimit = 5 * time.Second

// judgement of a silent exit.
type judgement int

const (
	undecided judgement = iota // others are being asked
	dead                       // another is alive: it is this server
	cutOff                     // nobody is
)

// verdict tells a silent server from a silent uplink, by what others hear.
func (s *State) verdict(x *Exit, now time.Time) judgement {
	waits := false
	for i := range s.Exits {
		o := &s.Exits[i]
		switch {
		case o.Name == x.Name || o.Phase != Up || o.Dead || !o.Status.Exists:
		case o.LastRx.After(x.Pressed):
			return dead
		case o.silent(now):
		case !o.Answers && !s.Unlinked:
			return dead // it cannot be asked; it is the only way left
		default:
			waits = true
		}
	}
	switch {
	case !waits:
		return cutOff
	case now.Sub(x.Doubt) >= doubtLimit:
		return dead
	}
	return undecided
}

// cut begins.
func (s *State) cut(now time.Time) {
	s.Cut = Cut{Since: now}
	for i := range s.Exits {
		x := &s.Exits[i]
		x.Missed = 0
		if x.Phase == Up {
			x.LastTry, x.LastKick = now, now
		}
	}
}

// judgeCut says what a cut looks like, and ends it when the exits that carried
// the devices are back, or others are and those are not.
func (s *State) judgeCut(now time.Time) []Effect {
	s.Cut.Why = s.cutReason(now)
	heard, enabled := false, false
	for _, x := range s.Exits {
		enabled = enabled || x.Phase == Up
		heard = heard || s.back(x, now)
	}
	if heard && s.Cut.Heard.IsZero() {
		s.Cut.Heard = now
	}
	if !enabled || heard && (s.carriersBack(now) || now.Sub(s.Cut.Heard) >= ReturnWait) {
		return s.endCut(now)
	}
	// A long pause of the uplink is told to clients, a short one is not.
	long := now.Sub(s.Linked) >= ReturnWait
	if s.Unlinked {
		long = now.Sub(s.Cut.Since) >= Grace
	}
	if !s.Cut.Sealed && long {
		s.Cut.Sealed = true
		return []Effect{{Kind: Replan}}
	}
	return nil
}

// endCut gives exits that nobody waits for some time more, and those that were
// waited for in vain up.
func (s *State) endCut(now time.Time) []Effect {
	waited := s.Cut.Heard.IsZero() || now.Sub(s.Cut.Heard) >= ReturnWait
	for i := range s.Exits {
		x := &s.Exits[i]
		switch {
		case x.Phase != Up:
		case s.back(*x, now):
			x.Doubt, x.Unheard = time.Time{}, 0
		case waited:
			x.Dead = true
		default:
			x.Renewed = now
		}
	}
	s.Cut = Cut{}
	return []Effect{{Kind: Replan}}
}

// back says that an exit has shown since the cut began that it carries, or, if
// it has nothing to show that by, that it is time for another chance. What is
// merely received may have been under way, or the way out be closed alone.
func (s *State) back(x Exit, now time.Time) bool {
	since := s.Cut.Since
	switch {
	case x.Type == "device" && !x.Answers && x.Phase == Up && now.Sub(since) >= ForeignRetry:
		return true
	case x.Phase == Disabled || !x.Status.Exists:
		return false
	case x.Type != "device" && x.Shook.After(since):
		return x.LastRx.After(since)
	case x.Type != "device" && x.LastTry.After(since):
		return false // its session was given up
	case x.Answers:
		return x.Answered.After(since)
	}
	return x.LastRx.After(since)
}

// carriersBack says that everybody's exit from before the cut is back.
func (s *State) carriersBack(now time.Time) bool {
	for _, via := range s.wishes() {
		if i := s.carrier(via); i >= 0 && !s.back(*s.exit(via[i]), now) {
			return false
		}
	}
	return true
}

func (s *State) cutReason(now time.Time) string {
	var up []*Exit
	for i := range s.Exits {
		if s.Exits[i].Phase == Up {
			up = append(up, &s.Exits[i])
		}
	}
	switch {
	case s.Unlinked:
		return "the uplink is down"
	case len(up) == 1:
		return up[0].Name + ": " + up[0].silence(now)
	}
	return "no exit answers: the ISP is out, or every server"
}

// uplink takes in whether there is one. Nothing is decided from it alone: the
// exits are asked.
func (s *State) uplink(linked bool, now time.Time) []Effect {
	was := !s.Unlinked
	s.Unlinked = !linked
	if linked && !was {
		s.Linked = now
	}
	var fx []Effect
	for i := range s.Exits {
		x := &s.Exits[i]
		if x.Phase == Disabled {
			continue
		}
		if linked && !was {
			x.Missed, x.Pressed, x.Doubt = 0, time.Time{}, time.Time{} // what was missed says nothing of the server
		}
		if x.Phase == Up && s.Cut.Since.IsZero() && x.Doubt.IsZero() && (x.Answers || !linked) {
			x.Doubt, x.Suspect = now, true
		}
		if !linked {
			continue
		}
		x.LastTry, x.LastKick = now, now
		kind := Kick
		if !s.Cut.Since.IsZero() || !was && x.Phase != Up {
			kind = Renew
		}
		fx = append(fx, Effect{Kind: Ensure, Exit: x.Name}, Effect{Kind: kind, Exit: x.Name})
	}
	return fx
}

// Shown is an exit as people are told of it: its phase is kept through a cut,
// but it is not up then.
func (s State) Shown(x Exit) Exit {
	if s.Cut.Sealed && x.Phase == Up {
		x.Phase, x.Reason = Starting, s.Cut.Why
	}
	return x
}
