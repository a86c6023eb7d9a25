package main

import (
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/state"
)

// While lanseal is off the router's resolver is its own business, and the
// status claims nothing about it.
func TestStatusNamesTheResolver(t *testing.T) {
	for _, c := range []struct {
		whole    state.Whole
		resolver bool
		want     string
	}{
		{state.Open, false, "  OpenWrt: LAN br-lan\n"},
		{state.Protected, false, "  OpenWrt: LAN br-lan; questions are answered by the exit's resolver\n"},
		{state.Protected, true, "  OpenWrt: LAN br-lan; questions are answered by the router's resolver, through the exit\n"},
	} {
		var out strings.Builder
		d := statusDoc{State: string(c.whole), OpenWrt: &openwrtDoc{LAN: []string{"br-lan"}, Resolver: c.resolver}}
		printStatus(&out, d, time.Now())
		if !strings.HasSuffix(out.String(), c.want) {
			t.Errorf("%s, %v: %q, want %q at its end", c.whole, c.resolver, out.String(), c.want)
		}
	}
}
