package main

import (
	"slices"
	"sync"

	"github.com/lanseal/lanseal/agent/state"
)

// orders are what a task has still to do: each kind once, whatever may hold it
// up. A device that hangs must not be asked for handshakes so often that nobody
// replaces it.
type orders struct {
	wake chan struct{} // one for every order that waits

	mu      *sync.Mutex
	waiting map[state.EffectKind]bool
}

// inOrder is which comes first.
func inOrder() []state.EffectKind {
	return []state.EffectKind{state.Ensure, state.Next, state.Renew, state.Other, state.Kick}
}

func newOrders() orders {
	return orders{wake: make(chan struct{}, len(inOrder())), mu: new(sync.Mutex), waiting: map[state.EffectKind]bool{}}
}

func (o orders) put(k state.EffectKind) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting[k] || !slices.Contains(inOrder(), k) {
		return
	}
	o.waiting[k] = true
	o.wake <- struct{}{}
}

// take returns the next order; "" when there is none.
func (o orders) take() state.EffectKind {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range inOrder() {
		if o.waiting[k] {
			delete(o.waiting, k)
			return k
		}
	}
	return ""
}
