package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/agent/tunnel"
	"github.com/lanseal/lanseal/rules"
)

// exitTask keeps one tunnel in being, beside the loop: the calls that may take
// long are made here, and what they found is reported.
type exitTask struct {
	exit    rules.Exit
	section config.Tunnel // with exit: what the driver was made from
	driver  tunnel.Driver
	targets []netip.Addr // who answers probes
	orders  orders
	probes  chan state.Effect
	looks   chan struct{}
	asks    chan struct{}            // for the server's name
	liked   atomic.Pointer[question] // the one answered last
	start   func()                   // begins the work, once
	begun   bool                     // the loop's
	stop    context.CancelFunc
	done    chan struct{}
	shook   steady
}

// ensureLimit bounds one attempt to bring a device up.
const ensureLimit = 20 * time.Second

// newDriver makes the driver of a tunnel section.
func newDriver(e rules.Exit, t config.Tunnel, names tunnel.Names) tunnel.Driver {
	if t.WireGuard == nil {
		return tunnel.NewDevice(e.Device)
	}
	return tunnel.NewWireGuard(wireGuard(e, t.WireGuard), names)
}

// wireGuard carries a file's content over to the driver's type: the packages
// do not know each other.
func wireGuard(e rules.Exit, f *config.WireGuard) tunnel.WireGuard {
	w := tunnel.WireGuard{Device: e.Device, MTU: e.MTU, PrivateKey: [32]byte(f.PrivateKey)}
	if f.ListenPort != 0 {
		port := int(f.ListenPort)
		w.ListenPort = &port
	}
	for _, p := range f.Peers {
		q := tunnel.Peer{
			PublicKey:  [32]byte(p.PublicKey),
			Endpoint:   tunnel.Endpoint{Host: p.Endpoint.Host, Addr: p.Endpoint.Addr, Port: p.Endpoint.Port},
			AllowedIPs: p.AllowedIPs,
			Keepalive:  time.Duration(p.Keepalive) * time.Second,
		}
		if p.HasPresharedKey {
			k := [32]byte(p.PresharedKey)
			q.PresharedKey = &k
		}
		w.Peers = append(w.Peers, q)
	}
	return w
}

// same says whether a configuration asks for what the task already does.
func (t *exitTask) same(e rules.Exit, section config.Tunnel) bool {
	return reflect.DeepEqual(t.exit, e) && t.section.Type == section.Type && reflect.DeepEqual(t.section.WireGuard, section.WireGuard)
}

// order hands the task something to do; an order already waiting is enough.
func (t *exitTask) order(f state.Effect) {
	switch f.Kind {
	case state.Probe:
		select {
		case t.probes <- f:
		default:
		}
	case state.Look:
		poke(t.looks)
	default:
		t.orders.put(f.Kind)
	}
}

// end stops the work and waits for it; the device stays.
func (t *exitTask) end() {
	t.stop()
	if t.begun {
		<-t.done
	}
}

// run works until its context ends and leaves the device as it is.
func (t *exitTask) run(ctx context.Context, report func(state.Event)) {
	defer close(t.done)
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { t.probing(ctx, report) })
	beside.Go(func() { t.asking(ctx) })
	err := t.ensure(ctx)
	for {
		report(state.Reported{Exit: t.exit.Name, Status: t.status(err)})
		select {
		case <-ctx.Done():
			return
		case <-t.looks:
		case <-t.orders.wake:
			switch k := t.orders.take(); k {
			case "":
			case state.Ensure:
				err = t.ensure(ctx)
			default:
				t.restart(ctx, k)
			}
		}
	}
}

// restarter is a driver that has handshakes and names of servers.
type restarter interface {
	Kick(context.Context) error
	Renew(context.Context) error
	Next(context.Context) error
	KickNext(context.Context) error
	Ask(context.Context) (moved bool, err error)
}

// restart starts the handshake anew, where the driver has one; its failure
// shows as a handshake that does not come.
func (t *exitTask) restart(ctx context.Context, how state.EffectKind) {
	d, ok := t.driver.(restarter)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ensureLimit)
	defer cancel()
	switch how {
	case state.Renew:
		_ = d.Renew(ctx)
	case state.Next:
		_ = d.Next(ctx)
		poke(t.asks)
	case state.Other:
		_ = d.KickNext(ctx)
		poke(t.asks)
	default:
		_ = d.Kick(ctx)
	}
}

// asking asks for the server's name, beside the handshakes: a resolver that
// does not answer must not hold them up.
func (t *exitTask) asking(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.asks:
		}
		moved, _ := t.driver.(restarter).Ask(ctx) // a failure shows in the status, if it means something
		if moved {
			t.orders.put(state.Kick)
		}
		poke(t.looks)
	}
}

// poke wakes who waits; one that is awake already is enough.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (t *exitTask) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ensureLimit)
	defer cancel()
	err := t.driver.Up(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (t *exitTask) status(lastErr error) state.Status {
	s, err := t.driver.Status()
	out := state.Status{Exists: s.Exists && s.Up, Handshake: t.shook.at(s.Handshake, time.Now()), Rx: s.RxBytes, Tx: s.TxBytes}
	if f := s.False; f != nil {
		out.False = fmt.Sprintf("the server's name is answered with %s, which is %s", f.Addr, f.Why)
	}
	if s.Endpoint.IsValid() {
		out.Endpoint = s.Endpoint.String()
	}
	if lastErr != nil {
		err = lastErr
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}
