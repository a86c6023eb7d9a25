package kernel

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lanseal/lanseal/rules"
)

// LoadGuard loads the text of a boot seal, checked first. It needs nft.
func (k *Kernel) LoadGuard(ctx context.Context, text string) error {
	n, ok := k.fw.(*nft)
	if !ok {
		return fmt.Errorf("the boot seal's file is nft text, and the firewall is %s", k.name)
	}
	if _, err := n.run(ctx, text, "-c", "-f", "-"); err != nil {
		return fmt.Errorf("checking the boot seal: %w", err)
	}
	if _, err := n.run(ctx, text, "-f", "-"); err != nil {
		return fmt.Errorf("loading the boot seal: %w", err)
	}
	return nil
}

// CheckGuard says whether nft accepts the text, without loading it.
func (k *Kernel) CheckGuard(ctx context.Context, text string) error {
	if n, ok := k.fw.(*nft); ok {
		_, err := n.run(ctx, text, "-c", "-f", "-")
		return err
	}
	return nil
}

// Seal brings a plan of the boot in force: its rules, then its firewall. With
// nft that is the guard's own table, so that the agent's table can replace it
// in one transaction later; a whole lock of the agent's that stands already
// stays, and the traffic that it lets through goes on.
func (k *Kernel) Seal(ctx context.Context, p rules.Plan) error {
	s, err := k.Observe()
	if err != nil {
		return err
	}
	var steps []rules.Step
	for _, r := range missingIn(p.Rules, s.Have.Rules) {
		steps = append(steps, rules.Step{Kind: rules.StepAddRule, Rule: r})
	}
	routingErr := k.Apply(ctx, s, steps) // nothing that stands is taken away
	if n, ok := k.fw.(*nft); ok {
		if standing, err := n.list(ctx, rules.NFTable); err == nil && nftHolds(standing, p.Firewall.LAN) {
			return routingErr
		}
		if err := k.LoadGuard(ctx, rules.NFTGuard(p.Firewall)); err != nil {
			return err
		}
		return routingErr
	}
	if t, ok := k.fw.(*IPTables); ok && t.holds(ctx, p.Firewall.LAN) {
		return routingErr
	}
	if err := k.fw.Apply(ctx, p.Firewall); err != nil {
		return err
	}
	return routingErr
}

// nftHolds says whether a listing is that of a whole lock over the LANs, and
// not what is left of one after a flush.
func nftHolds(listing string, lan []string) bool {
	l := contextLines(listing)
	has := func(where, start, end string) bool {
		return slices.ContainsFunc(l.order, func(s string) bool {
			s, ok := strings.CutPrefix(s, where+": ")
			return ok && strings.HasPrefix(s, start) && strings.HasSuffix(s, end)
		})
	}
	for _, d := range lan {
		if !slices.ContainsFunc(l.order, func(s string) bool {
			return strings.HasPrefix(s, "set lan: ") && strings.Contains(s, `"`+d+`"`)
		}) {
			return false
		}
	}
	return !has("table inet "+rules.NFTable, "flags dormant", "") &&
		has("chain prerouting", "type filter hook prerouting", "") && has("chain prerouting", "iifname @lan", "") &&
		has("chain forward", "type filter hook forward", "") && has("chain forward", "iifname @lan goto from_lan", "") &&
		has("chain from_lan", "goto refuse", `"nothing else leaves"`) && has("chain refuse", "reject", "") &&
		has("chain output", "type filter hook output", "") && has("chain output", "oifname", "")
}

func missingIn(from, in []rules.Rule) []rules.Rule {
	have := map[rules.Rule]bool{}
	for _, r := range in {
		have[r.Key()] = true
	}
	var out []rules.Rule
	for _, r := range from {
		if !have[r.Key()] {
			out = append(out, r)
		}
	}
	return out
}

// SealStrictly holds everything that is forwarded, where it is not known which
// devices are the LAN's. It looks first, and leaves a seal that stands as it
// is. The agent's lock replaces it.
func (k *Kernel) SealStrictly(ctx context.Context) error {
	if n, ok := k.fw.(*nft); ok {
		standing, err := n.list(ctx, rules.NFTableGuard)
		if err == nil && strings.Contains(standing, "hook forward") &&
			strings.Contains(standing, `drop comment "no valid configuration: nothing is forwarded"`) {
			return nil
		}
		return k.LoadGuard(ctx, rules.NFTStrict())
	}
	strict := rules.Sealed(rules.Policy{DNS: rules.DNSOff, RouterDirect: true}).Firewall
	if diffs, err := k.fw.Differs(ctx, strict); err == nil && len(diffs) == 0 {
		return nil
	}
	return k.fw.Apply(ctx, strict)
}
