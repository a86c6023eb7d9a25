package main

import (
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/rules"
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

// What an exit carried is told as the beat reads it of the device. A driver is
// asked far too seldom for a live curve.
func TestTrafficIsTheDevices(t *testing.T) {
	x := state.Exit{Name: "se", Phase: state.Up, Status: state.Status{Rx: 1, Tx: 2}}
	x.Traffic = state.Traffic{Rx: 50, Tx: 60}
	if d := describeExit(x, rules.Exit{}, nil); d.Rx != 50 || d.Tx != 60 {
		t.Errorf("told are %d and %d bytes", d.Rx, d.Tx)
	}
}
