package rules_test

import (
	"slices"
	"testing"

	"github.com/lanseal/lanseal/rules"
)

// Flows are looked through when something has decided anew how they are
// translated, after it has, and never otherwise.
func TestWhenFlowsAreFlushed(t *testing.T) {
	device := rules.LinkPlan{Name: "ls-se", MTU: 1420, Addresses: prefixes("10.64.0.2/32", "fd64::2/128")}
	bare := device
	bare.Addresses = nil
	lock := &rules.Firewall{LAN: []string{"br-lan"}}
	other := &rules.Firewall{LAN: []string{"br-lan", "guest"}}
	want := rules.Plan{Firewall: lock, Links: []rules.LinkPlan{device}, Routes: []rules.Route{{Family: 4, Table: 5200, Device: "ls-se"}}}
	for name, c := range map[string]struct {
		have  rules.Plan
		after []rules.StepKind // that the flush comes after; none: no flush
	}{
		"nothing to do":         {have: want},
		"a route was lost":      {have: rules.Plan{Firewall: lock, Links: want.Links}},
		"addresses were lost":   {rules.Plan{Firewall: lock, Links: []rules.LinkPlan{bare}, Routes: want.Routes}, []rules.StepKind{rules.StepLink}},
		"the device was made":   {rules.Plan{Firewall: lock}, []rules.StepKind{rules.StepLink, rules.StepSetRoute}},
		"another lock":          {rules.Plan{Firewall: other, Links: want.Links, Routes: want.Routes}, []rules.StepKind{rules.StepFirewall}},
		"everything at a start": {rules.Plan{}, []rules.StepKind{rules.StepFirewall, rules.StepLink, rules.StepSetRoute}},
	} {
		var kinds []rules.StepKind
		for _, s := range rules.Steps(c.have, want) {
			kinds = append(kinds, s.Kind)
		}
		at := slices.Index(kinds, rules.StepFlush)
		if (at >= 0) != (len(c.after) > 0) {
			t.Errorf("%s: %q", name, kinds)
		}
		for _, k := range c.after {
			if i := slices.Index(kinds, k); i < 0 || i > at {
				t.Errorf("%s: %q; want the flush after %q", name, kinds, k)
			}
		}
	}
	if steps := rules.Steps(want, rules.Plan{Links: []rules.LinkPlan{bare}}); slices.ContainsFunc(steps, func(s rules.Step) bool { return s.Kind == rules.StepFlush }) {
		t.Errorf("without a lock flows are nobody's business: %v", steps)
	}
}
