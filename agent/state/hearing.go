package state

import (
	"math"
	"time"
)

// How the far side of an exit is listened for.
const (
	// FastPace is how often devices' counters are read while traffic flows or
	// something is awaited, and how often an exit in doubt is asked; LivelyPace
	// is for what may go on soon, and IdlePace is the rest of the time.
	FastPace   = 100 * time.Millisecond
	LivelyPace = time.Second
	IdlePace   = 5 * time.Second
	// PatientPace is for an outage that lasts.
	PatientPace = 250 * time.Millisecond
	// SilenceLimit is how long a tunnel may send without receiving before it
	// is asked for a sign of life. Its own round trip is allowed for.
	SilenceLimit = 300 * time.Millisecond
	// AskInterval is how often an exit is asked of which it is not known whether
	// it answers.
	AskInterval = time.Second
	// QuietInterval is how often a tunnel that carries nothing is asked.
	QuietInterval = 5 * time.Second
	// DumbInterval is how often one is asked that has not answered any probe.
	DumbInterval = time.Minute
	// ProbeLimit is how many questions in a row may stay unanswered; on a
	// lossy way more: see limit.
	ProbeLimit     = 3
	LossyLimit     = 10
	shortestAnswer = 150 * time.Millisecond // that is waited for
	longestAnswer  = 3 * time.Second
	unknownAnswer  = time.Second // while no round trip has been measured
	// Answer is what the answers to a probe may have, in bytes: a packet.
	Answer = 1500
	// Murmur is what may be sent without an answer and means nothing: a
	// keepalive. BusyRate is the traffic that is worth a faster pace, which
	// probes alone are not. In bytes, and bytes per second.
	Murmur   = 100
	BusyRate = 256
	busySpan = 2 * time.Second
	// livelySpan is for how long after traffic, or after it came up, an exit is
	// looked at oftener than an idle one.
	livelySpan = 30 * time.Second
	// FirstPatience is how long silence may last where nobody answers probes,
	// before a new handshake is the last proof of life. When that finds the
	// server alive, it doubles up to LastPatience: a WireGuard server that has
	// nothing to say sends a keepalive 10 s after what it received.
	FirstPatience = 3 * time.Second
	LastPatience  = 12 * time.Second
	// ForeignSilence and ForeignRetry are for foreign devices whose far side
	// has never answered a probe and has no handshake: how long it may send
	// without receiving, and after how long it is given another chance.
	ForeignSilence = 10 * time.Second
	ForeignRetry   = time.Minute
)

// Hearing is what is known of the far side being alive.
type Hearing struct {
	Traffic  Traffic // at the last look
	Sampled  time.Time
	Busy     time.Time // when traffic last flowed
	LastRx   time.Time // the last sign of life
	Doubt    time.Time // when sending without hearing began; zero: not now
	Unheard  uint64    // bytes sent since the last sign of life
	Suspect  bool      // ask at once: the uplink has changed
	Missed   int       // probes unanswered in a row
	Asked    time.Time // the last probe
	Pressed  time.Time // when the first answer of this doubt was missed: who is heard later is alive while this is not
	Looked   time.Time // the last Look
	Renewed  time.Time // when it was asked for a handshake as the last proof of life
	Patience time.Duration
	Answers  bool      // a probe has been answered since it came up
	Answered time.Time // when the last probe that was answered was sent
	RTT, Var time.Duration
	Loss     float64 // of probes while the exit was alive, from 0 to 1
}

// heard takes in a sign of life.
func (x *Exit) heard(now time.Time) {
	if !x.Renewed.IsZero() {
		x.Patience = min(2*x.patience(), LastPatience)
	}
	x.learnLoss(x.Missed, 0)
	x.LastRx, x.Doubt, x.Renewed, x.Pressed = now, time.Time{}, time.Time{}, time.Time{}
	x.Unheard, x.Missed, x.Dead, x.Suspect = 0, 0, false, false
}

func (x *Exit) patience() time.Duration { return max(x.Patience, FirstPatience) }

// sampled takes in what the device has carried.
func (x *Exit) sampled(t Traffic, now time.Time) {
	old, before := x.Traffic, x.Sampled
	x.Traffic, x.Sampled = t, now
	if before.IsZero() || t.Rx < old.Rx || t.Tx < old.Tx { // the device was made again
		return
	}
	sent, received := t.Tx-old.Tx, t.Rx-old.Rx
	gap := now.Sub(before)
	if gap > 0 && float64(sent+received)/gap.Seconds() > BusyRate {
		x.Busy = now
	}
	switch {
	case received > 0 && received <= Answer && x.LastRx.After(before): // a probe's answer, which has been heard
	case received > 0:
		x.heard(now)
	case sent > 0:
		x.Unheard += sent
		if x.Doubt.IsZero() && x.Unheard > Murmur {
			x.Doubt = now
			if gap < 2*FastPace {
				x.Doubt = before
			}
		}
	}
}

// probed takes in the answer to a probe, or that none came in time.
func (x *Exit) probed(rtt time.Duration, now time.Time, cut bool) {
	switch {
	case x.Phase == Disabled:
	case rtt > 0:
		x.learnRTT(rtt)
		x.heard(now)
		x.learnLoss(0, 1)
		x.Answers, x.Patience, x.Answered = true, 0, now.Add(-rtt)
	case !x.Dead && !cut: // what nobody hears says nothing of the way's quality
		x.Missed++
		if x.Doubt.IsZero() {
			x.Doubt = now
		}
		if x.Pressed.IsZero() {
			x.Pressed = now
		}
	}
}

// learnRTT is the estimator of RFC 6298, section 2.
func (x *Exit) learnRTT(r time.Duration) {
	if x.RTT == 0 {
		x.RTT, x.Var = r, r/2
		return
	}
	x.Var = (3*x.Var + (x.RTT - r).Abs()) / 4
	x.RTT = (7*x.RTT + r) / 8
}

// Timeout is after how long a probe counts as unanswered.
func (x *Exit) Timeout() time.Duration {
	if x.RTT == 0 {
		return unknownAnswer
	}
	return min(max(x.RTT+max(4*x.Var, x.RTT/2), shortestAnswer), longestAnswer)
}

// learnLoss counts probes whose fate is certain: those that an exit that is
// alive did not answer, and those that it did.
func (x *Exit) learnLoss(lost, answered int) {
	const weight = 1.0 / 32
	for range min(lost, LossyLimit) {
		x.Loss += (1 - x.Loss) * weight
	}
	for range answered {
		x.Loss -= x.Loss * weight
	}
}

// limit is how many questions in a row may stay unanswered: so many that
// chance alone does it once in 10,000.
func (x *Exit) limit() int {
	if x.Loss < 0.001 {
		return ProbeLimit
	}
	return min(max(int(math.Ceil(math.Log(1e-4)/math.Log(x.Loss))), ProbeLimit), LossyLimit)
}

// awaited says that a handshake is to be seen soon.
func (x *Exit) awaited() bool {
	return !x.Renewed.IsZero() || x.Type != "device" && x.Status.Handshake.IsZero()
}

// doubtful says that the exit has sent without hearing for too long.
func (x *Exit) doubtful(now time.Time) bool {
	return !x.Doubt.IsZero() && (x.Missed > 0 || x.Suspect || now.Sub(x.Doubt) >= max(SilenceLimit, x.RTT*3/2))
}

// silent says that the exit has been asked often enough.
func (x *Exit) silent(now time.Time) bool {
	switch {
	case x.Answers:
		return x.Missed >= x.limit()
	case x.Type == "device":
		return x.Missed >= ProbeLimit && !x.Doubt.IsZero() && x.Unheard > Murmur && now.Sub(x.Doubt) >= ForeignSilence
	}
	return !x.Renewed.IsZero() && now.Sub(x.Renewed) >= RenewWait
}

// ask decides whether the exit is asked for a sign of life now.
func (s *State) ask(x *Exit, now time.Time) []Effect {
	if !x.Status.Exists || x.Type != "device" && x.Status.Handshake.IsZero() {
		return nil // without a handshake a tunnel carries no question
	}
	wait, thorough := QuietInterval, true
	switch doubt := x.doubtful(now); {
	case !s.Cut.Since.IsZero() && x.LastRx.After(s.Cut.Since) && x.LastRx.After(x.Asked): // something came: is it back?
		wait = FastPace
	case !s.Cut.Since.IsZero() && !s.Unlinked:
		wait = RetryInterval
	case !s.Cut.Since.IsZero():
	case x.Phase != Up:
		wait = AskInterval
	case doubt && !x.Answers && x.Type != "device":
		return s.demand(x, now)
	case doubt, s.othersInDoubt(x, now):
		wait = max(FastPace, x.Timeout()/3)
	case !x.Answers && now.Sub(x.Since) < StartLimit: // does it answer at all? Better known before it matters
		wait = AskInterval
	case !x.Answers:
		wait = DumbInterval
	default:
		if now.Sub(x.LastRx) < QuietInterval-IdlePace/2 { // the answer before is no news
			return nil
		}
		thorough = false
	}
	if now.Sub(x.Asked) < wait {
		return nil
	}
	x.Asked = now
	return []Effect{{Kind: Probe, Exit: x.Name, Within: x.Timeout(), Thorough: thorough}}
}

// demand asks an exit that answers no probes for a new handshake.
func (s *State) demand(x *Exit, now time.Time) []Effect {
	if !x.Renewed.IsZero() || now.Sub(x.Doubt) < x.patience() {
		return nil
	}
	x.Renewed, x.Pressed, x.LastTry = now, now, now
	return []Effect{{Kind: Renew, Exit: x.Name}}
}

// othersInDoubt says that another exit has begun to miss answers: then the one
// that may have to carry its devices proves now that it can, which also tells
// a server that is silent from an uplink that is.
func (s *State) othersInDoubt(x *Exit, now time.Time) bool {
	for i := range s.Exits {
		o := &s.Exits[i]
		if o.Name != x.Name && o.Phase == Up && (o.Missed > 0 || !o.Renewed.IsZero()) && !x.LastRx.After(o.Pressed) {
			return true
		}
	}
	return false
}

// Pace is when the next tick is wanted.
func (s State) Pace(now time.Time) time.Duration {
	up, waiting, lively := false, false, false
	for i := range s.Exits {
		x := &s.Exits[i]
		switch x.Phase {
		case Up:
			up = true
			if !x.Doubt.IsZero() || x.awaited() || !x.Busy.IsZero() && now.Sub(x.Busy) < busySpan {
				return FastPace
			}
			lively = lively || now.Sub(x.Since) < livelySpan || !x.Busy.IsZero() && now.Sub(x.Busy) < livelySpan
		case Starting, Down:
			waiting = true
			if x.Phase == Starting && now.Sub(x.Since) < StartLimit {
				return FastPace
			}
		}
	}
	switch {
	case lively && !s.Unlinked && s.Cut.Since.IsZero():
		return LivelyPace
	case s.Unlinked, up && s.Cut.Since.IsZero(), !up && !waiting:
		return IdlePace
	case s.Cut.Since.IsZero() && now.Sub(s.Since) < PatientAfter, !s.Cut.Since.IsZero() && now.Sub(s.Cut.Since) < PatientAfter:
		return FastPace
	}
	return PatientPace
}
