package state

import (
	"fmt"
	"time"
)

// reported takes in a driver's report: what grew, what fell silent.
func (x *Exit) reported(st Status, now time.Time) []Effect {
	if x.Phase == Disabled {
		return nil
	}
	if st.Exists {
		x.Lost = time.Time{}
	} else if x.Lost.IsZero() {
		x.Lost = now
	}
	switch {
	case st.Rx > x.Status.Rx || st.Handshake.After(x.Status.Handshake): // less: the counters were reset
		x.LastRx, x.TxUnheard, x.Unheard = now, time.Time{}, 0
	case st.Tx != x.Status.Tx && x.TxUnheard.IsZero():
		x.TxUnheard = now
	}
	x.Status = st
	return nil
}

// probed takes in the answer to a probe, or that none came.
func (x *Exit) probed(rtt time.Duration, now time.Time) []Effect {
	if rtt > 0 {
		x.RTT, x.LastRx, x.TxUnheard, x.Unheard, x.Answers = rtt, now, time.Time{}, 0, true
		return nil
	}
	if x.TxUnheard.IsZero() && x.Phase == Up {
		return nil // nothing was missed
	}
	x.Unheard++
	if x.Phase != Up || x.Unheard >= x.probeLimit() {
		return nil
	}
	fx := []Effect{{Kind: Probe, Exit: x.Name}}
	if x.Unheard == ProbeLimit {
		x.Renewed = now
		fx = append(fx, Effect{Kind: Renew, Exit: x.Name})
	}
	return fx
}

// probeLimit is how many questions may stay unanswered. A tunnel in which
// nobody ever answered is asked for a new handshake before it is given up:
// perhaps its provider answers no probes at all.
func (x *Exit) probeLimit() int {
	if x.Answers || x.Type == "device" {
		return ProbeLimit
	}
	return 2 * ProbeLimit
}

// ticked asks a silent tunnel for a sign of life and starts a dead one anew,
// for as long as it takes.
func (x *Exit) ticked(now time.Time) []Effect {
	var fx []Effect
	switch x.Phase {
	case Up:
		silent := !x.TxUnheard.IsZero() && now.Sub(x.TxUnheard) >= SilenceLimit
		unknown := !x.Answers && now.Sub(x.Since) < StartLimit // does it answer at all? Better known before it matters
		if silent || unknown {
			fx = append(fx, Effect{Kind: Probe, Exit: x.Name})
		}
	case Starting:
		if wait := now.Sub(x.LastKick); wait >= KickInterval || wait >= EagerKick && now.Sub(x.Since) < StartLimit {
			x.LastKick = now
			fx = append(fx, Effect{Kind: Ensure, Exit: x.Name}, Effect{Kind: Kick, Exit: x.Name})
		}
	case Down:
		if now.Sub(x.LastKick) >= KickInterval {
			x.LastKick = now
			fx = append(fx, Effect{Kind: Ensure, Exit: x.Name}, Effect{Kind: Next, Exit: x.Name})
		} else {
			fx = append(fx, Effect{Kind: Renew, Exit: x.Name})
		}
	}
	if x.Phase == Starting || x.Phase == Down {
		// Without a handshake a tunnel carries no question; a foreign device
		// has none to show, and only an answer brings it back.
		if x.Status.Exists && (x.Type == "device" || !x.Status.Handshake.IsZero()) {
			fx = append(fx, Effect{Kind: Probe, Exit: x.Name})
		}
	}
	return fx
}

// judge decides the exit's phase from the evidence.
func (s *State) judge(x *Exit, now time.Time) []Effect {
	if x.Phase == Disabled {
		return nil
	}
	phase, why := x.evidence(now)
	if phase != Up && x.Phase == Up && !x.Lost.IsZero() && now.Sub(x.Lost) < Grace && !s.otherUp(x) {
		return nil // its device is being made again, and there is no other way meanwhile
	}
	if phase == Starting && x.Phase == Up && now.Sub(x.LastRx) < Grace && !s.otherUp(x) {
		return nil // made again, its handshake is under way
	}
	if phase == Starting && x.Phase == Up && now.Sub(x.Renewed) < Grace {
		return nil // it was asked for a last proof of life
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
	case x.Unheard >= x.probeLimit():
		return Down, x.silence(now)
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
	return fmt.Sprintf("sent without an answer for %s", now.Sub(x.LastRx).Round(time.Second))
}
