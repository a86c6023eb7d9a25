package state

import (
	"slices"
	"strings"
)

// portalHint is how a suspected captive portal is told.
const portalHint = "this looks like a captive portal: "

// judgePortal tells of a captive portal in front of the uplink: the resolvers
// answer the name of a server with an address at which none can be, while no
// exit is up. lanseal does not work around it; a person may let one device out
// for some minutes to sign in.
func (s *State) judgePortal() {
	found := ""
	for _, x := range s.Exits {
		if x.Phase == Up && s.Cut.Since.IsZero() {
			found = ""
			break
		}
		if x.Phase != Disabled && x.Status.False != "" {
			found = portalHint + x.Status.False
		}
	}
	s.Portal = found
}

// tellPortal notes a portal that has just been found, where the change of the
// whole does not tell of it already.
func (s State) tellPortal(before string, fx []Effect) []Effect {
	told := slices.ContainsFunc(fx, func(f Effect) bool { return f.Kind == Note && strings.Contains(f.Text, s.Portal) })
	if s.Portal == "" || before != "" || told {
		return fx
	}
	return append(fx, Effect{Kind: Note, Text: s.Portal})
}
