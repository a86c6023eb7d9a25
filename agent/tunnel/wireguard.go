package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// WireGuardDriver keeps one WireGuard device in being, in the kernel or in a
// child. Its methods may be called from any goroutine; Status never waits for
// the others.
type WireGuardDriver struct {
	names Names
	now   func() time.Time

	acting sync.Mutex // one change of the device at a time

	mu    sync.Mutex // the rest
	conf  WireGuard
	hosts map[string]*choice
	asked map[wgtypes.Key]netip.AddrPort // the endpoint last set
	began time.Time                      // when peers were last added
	lies  map[string]*FalseAnswer        // the last answer to a name, where it was not believed
}

// NewWireGuard makes a driver; nothing happens before Up. names may be nil when
// every endpoint is an address.
func NewWireGuard(conf WireGuard, names Names) *WireGuardDriver {
	return &WireGuardDriver{
		names: names, now: time.Now, conf: conf,
		hosts: map[string]*choice{}, asked: map[wgtypes.Key]netip.AddrPort{},
		lies: map[string]*FalseAnswer{},
	}
}

// Format prints the device's name: the driver holds keys.
func (d *WireGuardDriver) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "wireguard "+d.config().Device)
}

// SetConfig takes another configuration of the same device, which the next Up
// applies.
func (d *WireGuardDriver) SetConfig(conf WireGuard) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if conf.Device != d.conf.Device {
		return fmt.Errorf("wireguard %s: the configuration is of another device, %s", d.conf.Device, conf.Device)
	}
	d.conf = conf
	return nil
}

func (d *WireGuardDriver) config() WireGuard {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conf
}

// Up makes the device, gives it its configuration and brings it up. Endpoints
// that are remembered are used at once; names that are not are asked for last,
// when everything else is in place.
func (d *WireGuardDriver) Up(ctx context.Context) error {
	d.acting.Lock()
	defer d.acting.Unlock()
	conf := d.config()
	wrap := func(err error) error { return fmt.Errorf("wireguard %s: %w", conf.Device, err) }
	if !validDevice(conf.Device) {
		return wrap(errors.New("not a device name"))
	}
	if err := ensure(ctx, conf.Device); err != nil {
		return wrap(err)
	}
	if err := d.apply(ctx, conf); err != nil {
		return wrap(err)
	}
	if err := raiseLink(conf.Device, conf.MTU); err != nil {
		return wrap(err)
	}
	asked, err := d.resolve(ctx, conf)
	if asked {
		err = oneLine(d.apply(ctx, conf), err)
	}
	if err != nil {
		return wrap(err)
	}
	return nil
}

// apply changes what differs and nothing else.
func (d *WireGuardDriver) apply(ctx context.Context, conf WireGuard) error {
	have, err := readDevice(ctx, conf.Device, answerWithin)
	if err != nil {
		return fmt.Errorf("reading the device: %w", err)
	}
	d.recall(conf, have)
	want := newTarget(conf, d.endpoint)
	c := diff(have, want, peerView{keep: d.keep(conf), stale: d.stale})
	if err := applyChanges(ctx, conf.Device, c); err != nil {
		return err
	}
	d.remember(want, c)
	return nil
}

func (d *WireGuardDriver) remember(want target, c changes) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range want.peers {
		if p.endpoint.IsValid() {
			d.asked[p.key] = p.endpoint
		}
	}
	if slices.ContainsFunc(c.set.Peers, func(p wgtypes.PeerConfig) bool { return !p.UpdateOnly }) {
		d.began = d.now()
	}
}

// keep lets an endpoint be that differs from the wanted one: at first contact
// another address of the same name, chosen by the agent before this one; later
// an address that the peer itself moved to, as its handshake proves.
func (d *WireGuardDriver) keep(conf WireGuard) func(targetPeer, wgtypes.Peer) bool {
	hosts := map[wgtypes.Key]string{}
	for _, p := range conf.Peers {
		if !p.Endpoint.Addr.IsValid() {
			hosts[p.PublicKey] = p.Endpoint.Host
		}
	}
	return func(p targetPeer, have wgtypes.Peer) bool {
		at := udpAddrPort(have.Endpoint)
		if !at.IsValid() || d.stale(have) {
			return false
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if last, ok := d.asked[p.key]; ok {
			return last == p.endpoint
		}
		c := d.hosts[hosts[p.key]]
		return c != nil && at.Port() == p.endpoint.Port() && slices.Contains(c.addrs, at.Addr())
	}
}

// stale says that a peer has no session that could be lost.
func (d *WireGuardDriver) stale(p wgtypes.Peer) bool {
	return p.LastHandshakeTime.IsZero() || d.now().Sub(p.LastHandshakeTime) >= rejectAfter
}

// Kick starts a handshake now, where it can be done without losing a session:
// a peer whose session is over is added anew, so that no retry of 5 s is waited
// for; to any other one packet is sent, and its endpoint is set again, which
// makes it forget the source address that a WAN change took away.
func (d *WireGuardDriver) Kick(ctx context.Context) error { return d.restart(ctx, d.stale) }

// Renew starts a handshake now and gives up the sessions there are. It is for
// when probes have shown that they are dead: a server that restarted does not
// say so, and a session counts as alive for 180 s.
func (d *WireGuardDriver) Renew(ctx context.Context) error {
	return d.restart(ctx, func(wgtypes.Peer) bool { return true })
}

// KickNext is Kick at the next address of every name, where there is no session;
// after the last comes the first again, and Ask then has something to do.
func (d *WireGuardDriver) KickNext(ctx context.Context) error { return d.elsewhere(ctx, d.stale) }

// Next is KickNext, and gives up the sessions there are.
func (d *WireGuardDriver) Next(ctx context.Context) error {
	return d.elsewhere(ctx, func(wgtypes.Peer) bool { return true })
}

func (d *WireGuardDriver) elsewhere(ctx context.Context, over func(wgtypes.Peer) bool) error {
	conf := d.config()
	have, err := readDevice(ctx, conf.Device, answerWithin)
	if err != nil {
		return fmt.Errorf("wireguard %s: reading the device: %w", conf.Device, err)
	}
	alive := map[string]bool{}
	for _, p := range conf.Peers {
		for _, h := range have.Peers {
			if h.PublicKey == p.PublicKey && !over(h) {
				alive[p.Endpoint.Host] = true
			}
		}
	}
	d.move(conf, alive)
	return d.restart(ctx, over)
}

// betweenHandshakes is the least time between two first messages to a server:
// it drops what comes faster (20 ms), and may have lost the first.
const betweenHandshakes = 250 * time.Millisecond

func (d *WireGuardDriver) restart(ctx context.Context, over func(wgtypes.Peer) bool) error {
	d.acting.Lock()
	defer d.acting.Unlock()
	conf := d.config()
	wrap := func(what string, err error) error { return fmt.Errorf("wireguard %s: %s: %w", conf.Device, what, err) }
	have, err := readDevice(ctx, conf.Device, answerWithin)
	if err != nil {
		return wrap("reading the device", err)
	}
	want := newTarget(conf, d.endpoint)
	var c changes
	var off, on []wgtypes.PeerConfig
	for _, p := range want.peers {
		i := slices.IndexFunc(have.Peers, func(h wgtypes.Peer) bool { return h.PublicKey == p.key })
		switch {
		case p.waits:
		case i < 0:
			c.set.Peers = append(c.set.Peers, addPeer(p))
		case over(have.Peers[i]):
			if d.hasty(have.Peers[i], p) {
				continue
			}
			if !p.endpoint.IsValid() {
				p.endpoint = udpAddrPort(have.Peers[i].Endpoint)
			}
			c.remove = append(c.remove, removePeer(p.key))
			c.set.Peers = append(c.set.Peers, addPeer(p))
		default:
			off = append(off, wgtypes.PeerConfig{
				PublicKey: p.key, UpdateOnly: true,
				Endpoint: have.Peers[i].Endpoint, PersistentKeepaliveInterval: ptr(time.Duration(0)),
			})
			on = append(on, wgtypes.PeerConfig{
				PublicKey: p.key, UpdateOnly: true,
				PersistentKeepaliveInterval: ptr(p.keepalive),
			})
		}
	}
	if have.FirewallMark != transportMark {
		c.set.FirewallMark = ptr(transportMark)
	}
	if err := applyChanges(ctx, conf.Device, c); err != nil {
		return wrap("starting a handshake", err)
	}
	d.remember(want, c)
	for _, peers := range [][]wgtypes.PeerConfig{off, on} {
		if len(peers) == 0 {
			continue
		}
		if err := configureDevice(ctx, conf.Device, wgtypes.Config{Peers: peers}); err != nil {
			return wrap("sending a keepalive", err)
		}
	}
	return nil
}

// hasty says that a handshake with this very endpoint has only just begun.
func (d *WireGuardDriver) hasty(have wgtypes.Peer, p targetPeer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	since := d.now().Sub(d.began)
	return since >= 0 && since < betweenHandshakes && (!p.endpoint.IsValid() || udpAddrPort(have.Endpoint) == p.endpoint)
}

// Down removes the device, whoever serves it.
func (d *WireGuardDriver) Down() error {
	d.acting.Lock()
	defer d.acting.Unlock()
	device := d.config().Device
	if err := remove(device); err != nil {
		return fmt.Errorf("wireguard %s: %w", device, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.asked)
	return nil
}
