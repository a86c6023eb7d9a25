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
	liked   atomic.Pointer[question] // the one answered last
	start   func()                   // begins the work, once
	begun   bool                     // the loop's
	stop    context.CancelFunc
	done    chan struct{}
	shook   steady

	falsehood string // see believed; the task's own
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
		select {
		case t.looks <- struct{}{}:
		default:
		}
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
	var probing sync.WaitGroup
	defer probing.Wait()
	probing.Go(func() { t.probing(ctx, report) })
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
			case state.Next: // its failure is one to find the server, not the device
				t.believed(t.restart(ctx, k))
			default:
				_ = t.restart(ctx, k) // shows as a handshake that does not come
			}
		}
	}
}

// restart starts the handshake anew, where the driver has one.
func (t *exitTask) restart(ctx context.Context, how state.EffectKind) error {
	d, ok := t.driver.(interface {
		Kick(context.Context) error
		Renew(context.Context) error
		Next(context.Context) error
	})
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ensureLimit)
	defer cancel()
	switch how {
	case state.Renew:
		return d.Renew(ctx)
	case state.Next:
		return d.Next(ctx)
	default:
		return d.Kick(ctx)
	}
}

func (t *exitTask) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ensureLimit)
	defer cancel()
	err := t.driver.Up(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	t.believed(err)
	return err
}

// believed keeps what an attempt says of the answers to the server's name.
func (t *exitTask) believed(err error) {
	var f *tunnel.FalseAnswer
	t.falsehood = ""
	if errors.As(err, &f) {
		t.falsehood = fmt.Sprintf("the server's name is answered with %s, which is %s", f.Addr, f.Why)
	}
}

func (t *exitTask) status(lastErr error) state.Status {
	s, err := t.driver.Status()
	out := state.Status{Exists: s.Exists && s.Up, Handshake: t.shook.at(s.Handshake, time.Now()), Rx: s.RxBytes, Tx: s.TxBytes, False: t.falsehood}
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
