package kernel

import (
	"context"
	"slices"
	"testing"

	"github.com/lanseal/lanseal/rules"
)

// TestSealLeavesAWholeLock: a whole lock stays when the boot seal is laid once
// more; what is left of one after a flush is not taken for it.
func TestSealLeavesAWholeLock(t *testing.T) {
	w := newWalkLab(t)
	all := walkStories(t)
	s := all[slices.IndexFunc(all, func(s walkStory) bool { return s.name == "devices" })]
	ctx := context.Background()
	sealed := rules.Sealed(rules.Policy{LAN: s.plan.Firewall.LAN, DNS: rules.DNSTunnel})
	for what, sealing := range map[string]bool{
		"": false, "nft flush table inet lanseal": true, "nft flush chain inet lanseal from_lan": true, "nft flush chain inet lanseal refuse": true,
		"nft delete element inet lanseal lan { br-lan }": true, "nft add table inet lanseal { flags dormant ; }": true, "nft delete table inet lanseal": true,
	} {
		w.goTo(s.plan, nil, nil)
		if what != "" {
			w.sabotage(what)
		}
		w.must(w.k.Seal(ctx, sealed))
		guard := w.try("nft", "list", "table", "inet", rules.NFTableGuard) != ""
		if guard != sealing {
			t.Errorf("after %q: the boot seal is there: %v", what, guard)
		}
	}
}
