package state

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lanseal/lanseal/rules"
)

// Whole is the state of the whole, as the contract names it.
type Whole string

// The states of the whole.
const (
	Protected  Whole = "protected"  // every device with an exit reaches it
	Degraded   Whole = "degraded"   // some exit is down, a fallback carries its devices
	Connecting Whole = "connecting" // no exit yet; nothing leaves
	Sealed     Whole = "sealed"     // no exit; nothing leaves
	Open       Whole = "open"       // disabled, or no exit with the kill switch off
)

// Phase is the state of one exit.
type Phase string

// The phases of an exit.
const (
	Up       Phase = "up"
	Starting Phase = "connecting"
	Down     Phase = "down"
	Disabled Phase = "disabled"
)

// How long evidence counts.
const (
	// SessionLife is how long a WireGuard session is good for without a new
	// handshake: Reject-After-Time of the WireGuard paper, section 6.1.
	SessionLife = 180 * time.Second
	// StartLimit is how long an exit may be connecting before it counts as
	// down; it goes on trying.
	StartLimit = 15 * time.Second
	// SilenceLimit is how long the tunnel may send without receiving before
	// it is asked for a sign of life.
	SilenceLimit = time.Second
	// ProbeLimit is how many questions may stay unanswered.
	ProbeLimit = 3
	// Grace is how long flows of the only exit wait for a device that has
	// gone, without being refused: it is made again in a moment, and a TCP
	// reset would end what a pause does not.
	Grace = 3 * time.Second
	// KickInterval is how often a tunnel that does not come up is made sure
	// of, and another address of its server tried. Between these, one that is
	// down is asked for a handshake at every tick: that costs 148 bytes.
	KickInterval = 5 * time.Second
	// EagerKick is how soon a lost first handshake is repeated; the protocol
	// itself waits for 5 s.
	EagerKick = 2 * time.Second
)

// Exit is what is known of one exit.
type Exit struct {
	Name      string
	Type      string
	Device    string
	Phase     Phase
	Since     time.Time
	Reason    string
	Status    Status
	LastRx    time.Time // when received bytes last grew
	TxUnheard time.Time // when sending without hearing began; zero: not now
	Unheard   int       // probes unanswered in a row
	Renewed   time.Time // when it was asked for a handshake as the last proof of life
	Answers   bool      // a probe has been answered at least once
	LastKick  time.Time
	Lost      time.Time // when its device was last seen to be gone; zero: there
	RTT       time.Duration
}

// Status is what a driver reports of its tunnel.
type Status struct {
	Exists    bool
	Handshake time.Time // zero: none yet, or the type has none
	Endpoint  string
	Rx, Tx    uint64 // bytes
	Error     string
}

// State is all that is decided from.
type State struct {
	Policy      rules.Policy
	ConfigError string // of the newest configuration; the one in force is older, or the seal
	Valid       bool   // a valid configuration is in force
	Exits       []Exit // as Policy.Exits
	Whole       Whole
	Since       time.Time
	Reason      string
}

// Event is one thing that happened. The types below are all there are.
type Event interface{ event() }

// Configured says that a configuration came into force. Types name the kind
// of each exit of the policy; Found are tunnels that are there already, left
// by an agent before this one.
type Configured struct {
	Policy rules.Policy
	Types  []string
	Found  map[string]Status
}

// Refused says that a configuration was not accepted. Seal is the policy to
// hold with if none is in force.
type Refused struct {
	Error string
	Seal  rules.Policy
}

// Reported brings a driver's report.
type Reported struct {
	Exit   string
	Status Status
}

// Probed brings the answer to a probe; RTT is 0 when none came.
type Probed struct {
	Exit string
	RTT  time.Duration
}

// Vanished says that the exit's device is gone from the kernel.
type Vanished struct{ Exit string }

// Tick says that time passed.
type Tick struct{}

func (Configured) event() {}
func (Refused) event()    {}
func (Reported) event()   {}
func (Probed) event()     {}
func (Vanished) event()   {}
func (Tick) event()       {}

// Effect is something to be done after a step.
type Effect struct {
	Kind EffectKind
	Exit string
	Text string
}

// EffectKind says what is to be done.
type EffectKind string

// The effects.
const (
	Replan EffectKind = "replan" // compile and apply
	Ensure EffectKind = "ensure" // make the exit's device again
	Kick   EffectKind = "kick"   // start a new handshake
	Renew  EffectKind = "renew"  // start a new handshake, giving up the session there is
	Next   EffectKind = "next"   // renew at another of the server's addresses
	Probe  EffectKind = "probe"  // ask for a sign of life
	Note   EffectKind = "note"   // write Text to the log and the history
)

// Step is the state machine.
func Step(s State, e Event, now time.Time) (State, []Effect) {
	s.Exits = slices.Clone(s.Exits)
	var fx []Effect
	switch e := e.(type) {
	case Configured:
		s, fx = configured(s, e, now)
	case Refused:
		s, fx = refused(s, e, now)
	case Reported:
		if x := s.exit(e.Exit); x != nil {
			fx = x.reported(e.Status, now)
		}
	case Probed:
		if x := s.exit(e.Exit); x != nil {
			fx = x.probed(e.RTT, now)
		}
	case Vanished:
		if x := s.exit(e.Exit); x != nil && x.Phase != Disabled {
			if x.Lost.IsZero() {
				x.Lost = now
			}
			x.Status.Exists, x.Status.Handshake = false, time.Time{}
			fx = append(fx, Effect{Kind: Ensure, Exit: x.Name})
		}
	case Tick:
		for i := range s.Exits {
			fx = append(fx, s.Exits[i].ticked(now)...)
		}
	}
	for i := range s.Exits {
		fx = append(fx, s.judge(&s.Exits[i], now)...)
	}
	return s.judgeWhole(now, fx)
}

func configured(s State, e Configured, now time.Time) (State, []Effect) {
	old := s.Exits
	s.Policy, s.Valid, s.ConfigError, s.Exits = e.Policy, true, "", nil
	for i, x := range e.Policy.Exits {
		next := Exit{Name: x.Name, Device: x.Device, Phase: Starting, Since: now, LastKick: now, Reason: "starting"}
		if i < len(e.Types) {
			next.Type = e.Types[i]
		}
		if !x.Enabled || !e.Policy.Enabled {
			next.Phase, next.Reason = Disabled, "disabled"
		} else if j := slices.IndexFunc(old, func(o Exit) bool {
			return o.Name == x.Name && o.Device == x.Device && o.Phase != Disabled
		}); j >= 0 {
			next = old[j]
		}
		if st, ok := e.Found[x.Name]; ok {
			next.reported(st, now)
		}
		s.Exits = append(s.Exits, next)
	}
	return s, []Effect{{Kind: Replan}}
}

func refused(s State, e Refused, now time.Time) (State, []Effect) {
	s.ConfigError = e.Error
	if s.Valid {
		return s, []Effect{{Kind: Note, Text: "the new configuration is not valid, the last valid one stays in force: " + firstLine(e.Error)}}
	}
	s.Policy, s.Exits = rules.SealedPolicy(e.Seal), nil
	return s, []Effect{{Kind: Replan}, {Kind: Note, Text: "the configuration is not valid, the LAN is sealed: " + firstLine(e.Error)}}
}

func firstLine(s string) string {
	first, rest, more := strings.Cut(s, "\n")
	if more {
		return fmt.Sprintf("%s (and %d more)", first, strings.Count(rest, "\n")+1)
	}
	return first
}

func (s *State) exit(name string) *Exit {
	for i := range s.Exits {
		if s.Exits[i].Name == name {
			return &s.Exits[i]
		}
	}
	return nil
}

// Up is the fact that plans are made from: which exits carry traffic.
func (s State) Up() map[string]bool {
	up := map[string]bool{}
	for _, x := range s.Exits {
		up[x.Name] = x.Phase == Up
	}
	return up
}
