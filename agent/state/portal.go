package state

// portalHint is how a suspected captive portal is told.
const portalHint = "this looks like a captive portal: "

// judgePortal tells of a captive portal in front of the uplink: the resolvers
// answer the name of a server with an address at which none can be, while no
// exit is up. lanseal does not work around it; a person may let one device out
// for some minutes to sign in.
func (s *State) judgePortal() []Effect {
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
	was := s.Portal
	s.Portal = found
	if found == "" || was != "" {
		return nil
	}
	return []Effect{{Kind: Note, Text: found}}
}
