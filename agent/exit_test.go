package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/agent/tunnel"
)

// mute is a driver whose resolver never answers.
type mute struct {
	asked, renewed chan struct{}
}

func (m *mute) Up(context.Context) error       { return nil }
func (m *mute) Status() (tunnel.Status, error) { return tunnel.Status{Exists: true, Up: true}, nil }
func (m *mute) Down() error                    { return nil }
func (m *mute) Kick(context.Context) error     { return nil }
func (m *mute) Next(context.Context) error     { return nil }
func (m *mute) KickNext(context.Context) error { return nil }
func (m *mute) Renew(context.Context) error    { poke(m.renewed); return nil }
func (m *mute) Ask(ctx context.Context) (bool, error) {
	poke(m.asked)
	<-ctx.Done()
	return false, ctx.Err()
}

// While the resolver does not answer, as in an outage of the ISP, handshakes are
// tried all the same, and the end of the task is not waited for.
func TestResolverHoldsUpNothing(t *testing.T) {
	d := &mute{make(chan struct{}, 1), make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	task := &exitTask{
		driver: d, orders: newOrders(), probes: make(chan state.Effect, 1),
		looks: make(chan struct{}, 1), asks: make(chan struct{}, 1), done: make(chan struct{}),
	}
	var running sync.WaitGroup
	running.Go(func() { task.run(ctx, func(state.Event) {}) })
	wait := func(c chan struct{}, what string) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(10 * time.Second):
			t.Fatal(what + " was not done")
		}
	}
	task.order(state.Effect{Kind: state.Next})
	wait(d.asked, "asking")
	for range 3 {
		task.order(state.Effect{Kind: state.Renew})
		wait(d.renewed, "a handshake")
	}
	cancel()
	running.Wait()
}
