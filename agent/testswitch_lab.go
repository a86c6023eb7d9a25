//go:build lanseal_lab

package main

import (
	"os"
	"slices"

	"github.com/lanseal/lanseal/rules"
)

// lockSwitch leaves out one of the locks, so that the lab can show that the
// other is enough: LANSEAL_LAB_WITHOUT=firewall or routing.
type lockSwitch struct{ without string }

func testSwitch() lockSwitch { return lockSwitch{os.Getenv("LANSEAL_LAB_WITHOUT")} }

func (l lockSwitch) apply(p rules.Plan) rules.Plan {
	switch l.without {
	case "firewall":
		p.Firewall = nil
	case "routing": // marked packets still find their exit; nothing is unreachable
		p.Rules = slices.DeleteFunc(p.Rules, func(r rules.Rule) bool { return r.Unreachable })
		p.Routes = slices.DeleteFunc(p.Routes, func(r rules.Route) bool { return r.Unreachable })
		if p.Firewall != nil { // alone means without the third net too
			alone := *p.Firewall
			alone.Net = nil
			p.Firewall = &alone
		}
	}
	return p
}
