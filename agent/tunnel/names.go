package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// Names answers what the endpoints' names stand for. [Resolver] does.
type Names interface {
	Cached(host string) []netip.Addr // what is remembered, best first; asks nobody
	Lookup(ctx context.Context, host string) ([]netip.Addr, error)
}

// choice is the addresses of a name and the one in use.
type choice struct {
	addrs []netip.Addr
	at    int
	tried bool // all of them, since the name was last answered
}

// endpoint is where the peer is to be reached, as far as that is known.
func (d *WireGuardDriver) endpoint(p Peer) netip.AddrPort {
	if p.Endpoint.Addr.IsValid() {
		return netip.AddrPortFrom(p.Endpoint.Addr, p.Endpoint.Port)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.hosts[p.Endpoint.Host]; c != nil && len(c.addrs) > 0 {
		return netip.AddrPortFrom(c.addrs[c.at], p.Endpoint.Port)
	}
	return netip.AddrPort{}
}

// recall fills in names that were never asked for from memory, and starts at
// the address that the device uses already.
func (d *WireGuardDriver) recall(conf WireGuard, have *wgtypes.Device) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range conf.Peers {
		host := p.Endpoint.Host
		if p.Endpoint.Addr.IsValid() || host == "" || d.names == nil || d.hosts[host] != nil {
			continue
		}
		addrs := d.names.Cached(host)
		if len(addrs) == 0 {
			continue
		}
		c := &choice{addrs: addrs}
		for _, h := range have.Peers {
			if i := slices.Index(addrs, udpAddrPort(h.Endpoint).Addr()); h.PublicKey == p.PublicKey && i >= 0 {
				c.at = i
			}
		}
		d.hosts[host] = c
	}
}

// resolve asks for the names that are not known.
func (d *WireGuardDriver) resolve(ctx context.Context, conf WireGuard) (asked bool, err error) {
	for _, p := range conf.Peers {
		if p.Endpoint.none() || d.endpoint(p).IsValid() {
			continue
		}
		asked = true
		_, e := d.lookup(ctx, p.Endpoint.Host)
		err = oneLine(err, e)
	}
	return asked, err
}

// lookup asks for one name, and stays at the address in use when that is still
// among the answers.
func (d *WireGuardDriver) lookup(ctx context.Context, host string) (moved bool, err error) {
	if d.names == nil {
		return false, fmt.Errorf("resolving %s: no resolver", host)
	}
	addrs, err := d.names.Lookup(ctx, host)
	d.mu.Lock()
	defer d.mu.Unlock()
	var lie *FalseAnswer
	if errors.As(err, &lie) {
		d.lies[host] = lie
	} else {
		delete(d.lies, host)
	}
	if err != nil {
		return false, fmt.Errorf("resolving %s: %w", host, err)
	}
	i := -1
	if old := d.hosts[host]; old != nil {
		i = slices.Index(addrs, old.addrs[old.at])
	}
	d.hosts[host] = &choice{addrs: addrs, at: max(0, i)}
	return i < 0, nil
}

// falseAnswer is a name's last answer, where it was not believed.
func (d *WireGuardDriver) falseAnswer(conf WireGuard) *FalseAnswer {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range conf.Peers {
		if lie := d.lies[p.Endpoint.Host]; lie != nil {
			return lie
		}
	}
	return nil
}

// move goes on to the next address of every name but some.
func (d *WireGuardDriver) move(conf WireGuard, but map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	moved := map[string]bool{}
	for _, p := range conf.Peers {
		host := p.Endpoint.Host
		c := d.hosts[host]
		if p.Endpoint.Addr.IsValid() || c == nil || but[host] || moved[host] {
			continue
		}
		moved[host] = true
		c.at = (c.at + 1) % len(c.addrs)
		c.tried = c.tried || c.at == 0
	}
}

// Ask asks once more for the names all of whose addresses have been tried, and
// says whether one of them leads to another server now, which Kick goes to. It
// may take as long as the resolver does, and holds up nothing.
func (d *WireGuardDriver) Ask(ctx context.Context) (moved bool, err error) {
	conf := d.config()
	for _, host := range d.tried(conf) {
		away, e := d.lookup(ctx, host)
		if e != nil {
			err = oneLine(err, fmt.Errorf("wireguard %s: %w", conf.Device, e))
		}
		moved = moved || away
	}
	return moved, err
}

func (d *WireGuardDriver) tried(conf WireGuard) (hosts []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range conf.Peers {
		c := d.hosts[p.Endpoint.Host]
		if !p.Endpoint.Addr.IsValid() && c != nil && c.tried && !slices.Contains(hosts, p.Endpoint.Host) {
			hosts = append(hosts, p.Endpoint.Host)
		}
	}
	return hosts
}

// forgetFalseAnswers is for when a server has answered.
func (d *WireGuardDriver) forgetFalseAnswers() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.lies)
}
