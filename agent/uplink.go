package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/rules"
)

// uplinkNotes is the least time between two entries about the uplink: one that
// flaps must not fill the history.
const uplinkNotes = 30 * time.Second

// uplink is what the ways out of the machine looked like.
type uplink struct {
	seen   bool
	linked bool   // one of them has a default route and a carrier
	who    string // those that do, with their addresses
	noted  time.Time
}

// remember keeps the router's own networks for the resolver, and has the
// handshakes started anew after a change of the uplink: a userspace tunnel may
// hold on to an address that is gone.
func (a *agent) remember(ctx context.Context, s kernel.State) {
	var own []netip.Prefix
	now := uplink{seen: true, who: a.uplink.who, noted: a.uplink.noted}
	who := ""
	for _, name := range slices.Sorted(maps.Keys(s.Facts.Links)) {
		l := s.Facts.Links[name]
		for _, p := range l.Prefixes {
			own = append(own, p.Masked())
		}
		if slices.Contains(s.Facts.Uplinks, name) && s.Carrier[name] && !a.inner(name) {
			now.linked = true
			who += fmt.Sprint(name, l.Prefixes)
		}
	}
	a.names.own.Store(&own)
	a.web.follow(a.cfg, a.st.Policy, s.Facts)
	if now.linked {
		now.who = who // while there is none, the last one is remembered
	}
	old := a.uplink
	changed := old.who != "" && now.linked && now.who != old.who
	if changed && time.Since(now.noted) >= uplinkNotes {
		now.noted = time.Now()
		a.note("uplink", "", "the uplink changed: "+now.who)
	}
	a.uplink = now
	if changed || old.linked != now.linked && (old.seen || !now.linked) {
		a.step(ctx, state.Uplink{Linked: now.linked})
	}
}

// inner says that a device is a LAN's or an exit's, whatever routes lead there.
func (a *agent) inner(name string) bool {
	return slices.Contains(a.st.Policy.LAN, name) ||
		slices.ContainsFunc(a.st.Policy.Exits, func(e rules.Exit) bool { return e.Device == name })
}
