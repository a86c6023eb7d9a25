package kernel

import (
	"context"
	"slices"
	"testing"
)

// While no transaction has changed the ruleset, a full check runs no program;
// after any transaction, a doubt, or for another lock it does.
func TestFullCheckByGeneration(t *testing.T) {
	w := newWalkLab(t)
	all := walkStories(t)
	s := all[slices.IndexFunc(all, func(s walkStory) bool { return s.name == "usual" })]
	w.goTo(s.plan, nil, nil)
	n := w.k.fw.(*nft)
	programs := func() int {
		clear(n.own)
		if diffs, err := w.k.FirewallDiffers(context.Background(), s.plan.Firewall); err != nil || len(diffs) > 0 {
			t.Errorf("%v %v", diffs, err)
		}
		return len(n.own)
	}
	if programs() == 0 {
		t.Error("nothing is looked at after a change of its own")
	}
	if got := programs(); got > 0 {
		t.Errorf("%d programs although nothing has changed", got)
	}
	w.nft("add table inet somebody")
	if programs() == 0 {
		t.Error("nothing is looked at after somebody's transaction")
	}
	if got := programs(); got > 0 {
		t.Errorf("%d programs although nothing has changed again", got)
	}
	w.k.Doubt()
	if programs() == 0 {
		t.Error("nothing is looked at in doubt")
	}
	other := *s.plan.Firewall
	if diffs, err := w.k.FirewallDiffers(context.Background(), &other); err != nil || len(diffs) > 0 || len(n.own) == 0 {
		t.Errorf("another lock of the same text: %v %v, %d programs", diffs, err, len(n.own))
	}
	w.nft("flush table inet lanseal")
	if diffs, err := w.k.FirewallDiffers(context.Background(), s.plan.Firewall); err != nil || len(diffs) == 0 {
		t.Errorf("a flushed table is not seen: %v", err)
	}
	if diffs, err := w.k.FirewallDiffers(context.Background(), s.plan.Firewall); err != nil || len(diffs) == 0 {
		t.Errorf("a flushed table is not seen a second time: %v", err)
	}
}
