package rules_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/lanseal/lanseal/rules"
)

// A device of lanseal's whose exit is not in force, because it was disabled or
// because the configuration is not valid any more, is held by both locks: what
// its tunnel still delivers goes nowhere.
func TestOrphanedDevicesAreHeld(t *testing.T) {
	policy := rules.Policy{
		Enabled: true, KillSwitch: true, LAN: []string{"br-lan"}, WAN: []string{"wan"}, Via: []string{"se"},
		Exits: []rules.Exit{
			{Name: "se", Number: 1, Enabled: true, Device: "ls-se", Addresses: prefixes("10.64.0.2/32"), Allowed: prefixes("0.0.0.0/0")},
			{Name: "no", Number: 2, Device: "ls-no"},
		},
	}
	facts := rules.Facts{Uplinks: []string{"wan"}, Up: map[string]bool{"se": true}, Links: map[string]rules.Link{
		"br-lan": {Up: true, Prefixes: prefixes("192.168.1.1/24")},
		"wan":    {Up: true, Prefixes: prefixes("203.0.113.2/24")},
		"ls-se":  {Up: true, Prefixes: prefixes("10.64.0.2/32")},
		"ls-no":  {Up: true, Prefixes: prefixes("10.65.0.2/32")},
	}}
	unknown := policy
	unknown.Exits = nil
	for name, c := range map[string]struct {
		policy rules.Policy
		want   []string
	}{
		"disabled": {policy, []string{"ls-no"}},
		"unknown":  {rules.SealedPolicy(unknown), []string{"ls-no", "ls-se"}},
	} {
		plan := rules.Compile(c.policy, facts)
		if !slices.Equal(plan.Firewall.Orphans, c.want) {
			t.Errorf("%s: the orphans are %v, not %v", name, plan.Firewall.Orphans, c.want)
		}
		for _, d := range c.want {
			for _, family := range []int{4, 6} {
				if !slices.ContainsFunc(plan.Rules, func(r rules.Rule) bool { return r.Family == family && r.In == d && r.Unreachable }) {
					t.Errorf("%s: no rule of IPv%d holds %s", name, family, d)
				}
			}
			_, set, _ := strings.Cut(rules.NFT(plan.Firewall), "set tunnels {")
			if set, _, _ = strings.Cut(set, "}\n\t}"); !strings.Contains(set, `"`+d+`"`) {
				t.Errorf("%s: the firewall does not know %s as a tunnel: %s", name, d, set)
			}
			if slices.Contains(plan.Firewall.Near, d) || slices.Contains(plan.Firewall.Uplinks, d) {
				t.Errorf("%s: %s counts as something else", name, d)
			}
		}
	}
}
