package kernel

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/lanseal/lanseal/rules"
)

// thirdNet is what is known of the netdev table. It is laid where the kernel
// can hold it and fails nothing where it cannot: the two locks do not count on
// it.
type thirdNet struct {
	probed, can bool
	loaded      string // the text in force, as far as is known
	failures    int    // of loading, one after the other
}

// mostNetFailures is how often in a row the third net is tried before its
// absence is no longer reported as something to heal.
const mostNetFailures = 3

// canNet says whether nft and the kernel know the egress hook: they check the
// net's own text, on a device that is always there.
func (n *nft) canNet(ctx context.Context) bool {
	if !n.net.probed {
		_, err := n.run(ctx, rules.NFTNet(&rules.Firewall{Net: []string{"lo"}}), "-c", "-f", "-")
		n.net.probed, n.net.can = true, err == nil
	}
	return n.net.can
}

// netOf is the net that may be laid for a lock. Flows in a flowtable pass by
// the chain that marks them and would be taken for the router's own, so there
// is none while one exists.
func (n *nft) netOf(ctx context.Context, fw *rules.Firewall) *rules.Firewall {
	if fw == nil || len(fw.Net) == 0 || len(n.flowtables(ctx)) > 0 {
		return nil
	}
	return fw
}

// applyNet brings the third net in line with the lock that has been loaded.
func (n *nft) applyNet(ctx context.Context, fw *rules.Firewall) {
	if !n.canNet(ctx) {
		return
	}
	if text := rules.NFTNet(fw); text == n.net.loaded && n.net.failures == 0 {
		return // a change of exits does not wait for what is in place
	}
	text := rules.NFTNet(n.netOf(ctx, fw))
	if _, err := n.run(ctx, text, "-f", "-"); err != nil {
		n.net.loaded = ""
		n.net.failures++
		return
	}
	n.net.loaded, n.net.failures = text, 0
}

// netDiffers compares the third net with what it should be.
func (n *nft) netDiffers(ctx context.Context, fw *rules.Firewall) ([]string, error) {
	if !n.canNet(ctx) || n.net.failures >= mostNetFailures {
		return nil, nil
	}
	have, err := n.listFamily(ctx, "netdev", rules.NFTable)
	if err != nil {
		return nil, err
	}
	var diffs []string
	want := n.netOf(ctx, fw)
	switch {
	case want == nil && have != "":
		diffs = []string{"table netdev " + rules.NFTable + " is there, and should not be"}
	case want != nil && have == "":
		diffs = []string{"table netdev " + rules.NFTable + " is missing"}
	case want != nil:
		diffs, err = n.compareNet(ctx, want, have)
	}
	if len(diffs) > 0 {
		n.net.loaded = ""
	}
	return diffs, err
}

// compareNet compares the devices by their names, and the rest with how nft
// lists the same table on a device that exists everywhere.
func (n *nft) compareNet(ctx context.Context, fw *rules.Firewall, have string) ([]string, error) {
	alone := *fw
	alone.Net = []string{"lo"}
	ref, err := n.reference(ctx, "netdev", rules.NFTNet(&alone))
	if err != nil {
		return nil, err
	}
	ref, _ = splitHook(ref)
	have, devices := splitHook(have)
	diffs := diffLines(ref, have)
	if wanted := slices.Sorted(slices.Values(fw.Net)); !slices.Equal(devices, wanted) {
		diffs = append(diffs, "the net's devices are "+strings.Join(devices, " ")+" instead of "+strings.Join(wanted, " "))
	}
	return diffs, nil
}

// hookDevices finds the devices in a listing: device "wan", or, where there
// are several, devices = { wan, wan2 }, quoted or not.
var hookDevices = regexp.MustCompile(`hook egress (?:device "([^"]*)"|devices = \{ ([^}]*) \}) `)

// splitHook takes the devices out of a listing.
func splitHook(listing string) (rest string, devices []string) {
	names := map[string]bool{}
	rest = hookDevices.ReplaceAllStringFunc(listing, func(s string) string {
		m := hookDevices.FindStringSubmatch(s)
		for _, d := range strings.Split(m[1]+m[2], ",") {
			names[strings.Trim(d, ` "`)] = true
		}
		return "hook egress "
	})
	return rest, slices.Sorted(maps.Keys(names))
}
