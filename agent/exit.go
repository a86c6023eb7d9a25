package main

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
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
	orders  chan state.EffectKind
	probes  chan struct{}
	start   func() // begins the work, once
	begun   bool   // the loop's
	stop    context.CancelFunc
	done    chan struct{}
	shook   steady
}

// Times of the task.
const (
	statusInterval = time.Second
	eagerInterval  = 100 * time.Millisecond // while the first handshake is awaited
	eagerSpan      = 10 * time.Second
	ensureLimit    = 20 * time.Second
	probeLimit     = 800 * time.Millisecond
)

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
func (t *exitTask) order(k state.EffectKind) {
	if k == state.Probe {
		select {
		case t.probes <- struct{}{}:
		default:
		}
		return
	}
	select {
	case t.orders <- k:
	default:
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
	status := time.NewTimer(statusInterval)
	defer status.Stop()
	began, lastErr := time.Now(), ""
	t.order(state.Ensure)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.probes:
				report(state.Probed{Exit: t.exit.Name, RTT: t.probe(ctx)})
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-status.C:
		case k := <-t.orders:
			switch k {
			case state.Ensure:
				lastErr = t.ensure(ctx)
				began = time.Now()
			case state.Kick, state.Renew, state.Next:
				t.restart(ctx, k)
			}
		}
		st := t.status(lastErr)
		report(state.Reported{Exit: t.exit.Name, Status: st})
		if st.Handshake.IsZero() && time.Since(began) < eagerSpan {
			status.Reset(eagerInterval)
		} else {
			status.Reset(statusInterval)
		}
	}
}

// restart starts the handshake anew, where the driver has one. A failure shows
// as a handshake that does not come.
func (t *exitTask) restart(ctx context.Context, how state.EffectKind) {
	d, ok := t.driver.(interface {
		Kick(context.Context) error
		Renew(context.Context) error
		Next(context.Context) error
	})
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
	default:
		_ = d.Kick(ctx)
	}
}

func (t *exitTask) ensure(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, ensureLimit)
	defer cancel()
	if err := t.driver.Up(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err.Error()
	}
	return ""
}

func (t *exitTask) status(lastErr string) state.Status {
	s, err := t.driver.Status()
	out := state.Status{Exists: s.Exists && s.Up, Handshake: t.shook.at(s.Handshake, time.Now()), Rx: s.RxBytes, Tx: s.TxBytes, Error: lastErr}
	if s.Endpoint.IsValid() {
		out.Endpoint = s.Endpoint.String()
	}
	if err != nil && lastErr == "" {
		out.Error = err.Error()
	}
	return out
}

// probe asks every target at once, by ICMP echo and by DNS: any answer is a
// sign of life. It runs beside the task, one at a time.
func (t *exitTask) probe(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	answers := make(chan time.Duration, 2*len(t.targets))
	for _, target := range t.targets {
		for _, ask := range []func(context.Context, string, netip.Addr) (time.Duration, error){tunnel.Probe, tunnel.ProbeDNS} {
			go func() {
				rtt, err := ask(ctx, t.exit.Device, target)
				if err != nil {
					rtt = 0
				} else {
					rtt = max(rtt, time.Microsecond)
				}
				answers <- rtt
			}()
		}
	}
	for range cap(answers) {
		if rtt := <-answers; rtt > 0 {
			return rtt
		}
	}
	return 0
}
