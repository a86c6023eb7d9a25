package main

import (
	"testing"

	"github.com/lanseal/lanseal/agent/state"
)

// However often handshakes are ordered, the order to make the device again is
// not lost, and comes first.
func TestOrdersAreNotStarved(t *testing.T) {
	o := newOrders()
	for range 100 {
		o.put(state.Renew)
		o.put(state.Kick)
		o.put(state.Look) // not one of these
	}
	o.put(state.Ensure)
	var got []state.EffectKind
	for range 3 {
		<-o.wake
		got = append(got, o.take())
	}
	if len(o.wake) != 0 || o.take() != "" || got[0] != state.Ensure || got[1] != state.Renew || got[2] != state.Kick {
		t.Errorf("taken: %v, then %d more", got, len(o.wake))
	}
}
