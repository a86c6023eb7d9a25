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

// Exit is what is known of one exit.
type Exit struct {
	Name   string
	Type   string
	Device string
	Phase  Phase
	Since  time.Time
	Reason string
	Status Status
	Hearing
	Dead     bool      // given up for silence, until it shows a sign of life
	Shook    time.Time // the latest handshake known: another one is a sign of life
	Reported time.Time // the last report
	LastKick time.Time
	LastTry  time.Time // of a new handshake with a server that does not answer
	Lost     time.Time // when its device was last seen to be gone; zero: there
	Failed   time.Time // when it last ceased to be up; zero: never
	Fresh    int       // as in rules.Facts
}

// Status is what a driver reports of its tunnel.
type Status struct {
	Exists    bool
	Handshake time.Time // zero: none yet, or the type has none
	Endpoint  string
	Rx, Tx    uint64 // bytes
	Error     string
	False     string // a false answer to the name of its server, in words: see Portal
}

// State is all that is decided from.
type State struct {
	Policy      rules.Policy
	ConfigError string    // of the newest configuration; the one in force is older, or the seal
	Valid       bool      // a valid configuration is in force
	Exits       []Exit    // as Policy.Exits
	Unlinked    bool      // there is no uplink with a default route and a carrier
	Linked      time.Time // when there last began to be one again
	Cut         Cut
	Portal      string // what points to a captive portal; empty: nothing
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

// Probed brings the answer to a probe; RTT is 0 when none came in time. An
// answer that is late comes after that.
type Probed struct {
	Exit string
	RTT  time.Duration
}

// Vanished says that the exit's device is gone from the kernel.
type Vanished struct{ Exit string }

// Uplink says whether the machine has an uplink with a default route and a
// carrier. It is sent when that changes, and when the uplink's addresses do.
type Uplink struct{ Linked bool }

// Tick says that time passed, as [State.Pace] asked for. Traffic are the
// devices' counters by exit; an exit that is not in it has no device.
type Tick struct{ Traffic map[string]Traffic }

// Traffic is what a device has carried, in bytes.
type Traffic struct{ Rx, Tx uint64 }

func (Configured) event() {}
func (Refused) event()    {}
func (Reported) event()   {}
func (Probed) event()     {}
func (Vanished) event()   {}
func (Uplink) event()     {}
func (Tick) event()       {}

// Effect is something to be done after a step.
type Effect struct {
	Kind EffectKind
	Exit string
	Text string

	Within   time.Duration // of Probe: unanswered after this
	Thorough bool          // of Probe: ask everybody who may answer, not the one who did last
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
	Other  EffectKind = "other"  // kick at another of the server's addresses
	Probe  EffectKind = "probe"  // ask for a sign of life
	Look   EffectKind = "look"   // have the driver report
	Note   EffectKind = "note"   // write Text to the log and the history
	Log    EffectKind = "log"    // write Text to the log alone
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
			x.reported(e.Status, now)
		}
	case Probed:
		if x := s.exit(e.Exit); x != nil {
			x.probed(e.RTT, now, !s.Cut.Since.IsZero())
		}
	case Vanished:
		if x := s.exit(e.Exit); x != nil && x.Phase != Disabled {
			if x.Lost.IsZero() {
				x.Lost = now
			}
			x.Status.Exists, x.Status.Handshake = false, time.Time{}
			fx = append(fx, Effect{Kind: Ensure, Exit: x.Name})
		}
	case Uplink:
		fx = s.uplink(e.Linked, now)
	case Tick:
		fx = s.ticked(e, now)
	}
	cut := !s.Cut.Since.IsZero()
	if cut {
		fx = append(fx, s.judgeCut(now)...)
	}
	for i := 0; i < len(s.Exits) && s.Cut.Since.IsZero(); i++ {
		fx = append(fx, s.judge(&s.Exits[i], now)...)
	}
	if s.rank(now) {
		fx = append(fx, Effect{Kind: Replan})
	}
	portal := s.Portal
	s.judgePortal()
	s, fx = s.judgeWhole(now, fx, cut)
	return s, s.tellPortal(portal, fx)
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
	s.Policy, s.Exits, s.Cut = rules.SealedPolicy(e.Seal), nil, Cut{}
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
