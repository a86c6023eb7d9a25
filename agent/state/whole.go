package state

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lanseal/lanseal/rules"
)

// judgeWhole decides the state of the whole from the exits that devices ask
// for, and notes a change. The end of a cut is in the log alone: one outage is
// one entry of the history.
func (s State) judgeWhole(now time.Time, fx []Effect, cut bool) (State, []Effect) {
	whole, reason := s.whole()
	s.Reason = reason
	if whole != s.Whole {
		kind := Note
		if cut && s.Cut.Since.IsZero() {
			kind = Log
		}
		fx = append(fx, Effect{Kind: kind, Text: fmt.Sprintf("%s → %s: %s", orNone(s.Whole), whole, reason)})
		s.Whole, s.Since = whole, now
	}
	return s, dedupe(fx)
}

func orNone(w Whole) Whole {
	if w == "" {
		return "started"
	}
	return w
}

func dedupe(fx []Effect) []Effect {
	var out []Effect
	for _, e := range fx {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// wishes are the lists of exits that somebody's traffic depends on, each with
// whose it is.
func (s State) wishes() map[string][]string {
	w := map[string][]string{}
	add := func(who string, via []string) {
		if len(via) > 0 && via[0] != rules.ViaDirect && via[0] != rules.ViaBlock {
			w[who] = via
		}
	}
	add("", s.Policy.Via)
	for _, d := range s.Policy.Devices {
		add(d.Name, d.Via)
	}
	return w
}

func (s State) whole() (Whole, string) {
	switch {
	case !s.Valid && s.ConfigError == "":
		return Sealed, "starting"
	case !s.Valid:
		return Sealed, "the configuration is not valid: " + firstLine(s.ConfigError)
	case !s.Policy.Enabled:
		return Open, "lanseal is disabled"
	}
	var without, fallback []string
	served := 0
	wishes := s.wishes()
	for who, via := range wishes {
		switch i := s.carrier(via); {
		case i < 0, s.Cut.Sealed:
			without = append(without, who)
		case i > 0:
			fallback = append(fallback, s.fallback(via[0], via[i]))
			served++
		default:
			served++
		}
	}
	slices.Sort(without)
	slices.Sort(fallback)
	switch {
	case len(wishes) == 0 && s.Policy.Via[0] == rules.ViaDirect:
		return Open, "no device is protected: via is 'direct' and no device has a rule"
	case len(wishes) == 0:
		return Sealed, "no exit is configured"
	case len(without) == 0 && len(fallback) == 0:
		return Protected, s.reasonUp()
	case len(without) == 0:
		return Degraded, strings.Join(slices.Compact(fallback), "; ")
	case served > 0 && without[0] != "":
		return Degraded, "no exit is up for " + strings.Join(without, ", ")
	case served > 0:
		return Degraded, "no exit is up for devices without a rule"
	case !s.Policy.KillSwitch:
		return Open, "no exit is up and the kill switch is off: devices use the WAN"
	case s.Portal != "":
		return Sealed, s.Portal
	case s.Cut.Sealed:
		return Sealed, s.Cut.Why
	case s.anyStarting():
		return Connecting, s.reasonDown()
	}
	return Sealed, s.reasonDown()
}

func (s State) phase(name string) Phase {
	for _, x := range s.Exits {
		if x.Name == name {
			return x.Phase
		}
	}
	return Down
}

func (s State) anyStarting() bool {
	return slices.ContainsFunc(s.Exits, func(x Exit) bool { return x.Phase == Starting })
}

// reasonUp speaks of the first exit that is up, in the order of preference.
func (s State) reasonUp() string {
	for _, name := range s.Policy.Via {
		for _, x := range s.Exits {
			if x.Name == name && x.Phase == Up {
				return x.Name + " up, " + x.Reason
			}
		}
	}
	for _, x := range s.Exits {
		if x.Phase == Up {
			return x.Name + " up, " + x.Reason
		}
	}
	return "every device has its exit"
}

func (s State) reasonDown() string {
	var rs []string
	for _, x := range s.Exits {
		if x.Phase != Disabled {
			rs = append(rs, x.Name+": "+x.Reason)
		}
	}
	if len(rs) == 0 {
		return "no exit is enabled"
	}
	return strings.Join(rs, "; ")
}
