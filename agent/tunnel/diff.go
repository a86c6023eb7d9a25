package tunnel

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/lanseal/lanseal/rules"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// transportMark fits an int of 32 bits.
const transportMark = int(rules.MarkTransport)

// target is a configuration with every name resolved as far as it can be.
type target struct {
	key   wgtypes.Key
	port  *int
	peers []targetPeer
}

type targetPeer struct {
	key       wgtypes.Key
	psk       wgtypes.Key // zero: none
	endpoint  netip.AddrPort
	waits     bool           // for its endpoint's name to be answered
	allowed   []netip.Prefix // sorted, without duplicates
	keepalive time.Duration
}

// newTarget puts a configuration into the form in which a device reports it,
// so that the two can be compared.
func newTarget(conf WireGuard, endpoint func(Peer) netip.AddrPort) target {
	t := target{key: clamp(conf.PrivateKey), port: conf.ListenPort}
	owner := map[netip.Prefix]int{} // of two peers with one prefix the last has it
	for i, p := range conf.Peers {
		for _, a := range p.AllowedIPs {
			owner[plainPrefix(a)] = i
		}
	}
	for i, p := range conf.Peers {
		tp := targetPeer{key: p.PublicKey, endpoint: plainAddrPort(endpoint(p)), keepalive: keepalive(p)}
		tp.waits = !p.Endpoint.none() && !tp.endpoint.IsValid()
		if p.PresharedKey != nil {
			tp.psk = *p.PresharedKey
		}
		for a, n := range owner {
			if n == i {
				tp.allowed = append(tp.allowed, a)
			}
		}
		slices.SortFunc(tp.allowed, netip.Prefix.Compare)
		t.peers = append(t.peers, tp)
	}
	return t
}

// changes says what must be done to a device so that it carries the target:
// remove first, in a call of its own, then set.
type changes struct {
	remove []wgtypes.PeerConfig
	set    wgtypes.Config
}

func (c changes) none() bool {
	return len(c.remove) == 0 && c.set.PrivateKey == nil && c.set.ListenPort == nil &&
		c.set.FirewallMark == nil && len(c.set.Peers) == 0
}

// peerView answers what the device and the configuration alone do not say.
type peerView struct {
	keep  func(targetPeer, wgtypes.Peer) bool // the device's own endpoint is to stay
	stale func(wgtypes.Peer) bool             // there is no session to lose
}

// diff compares a device with its target. A peer that needs other keys, or
// another endpoint without a session to lose, is removed and added again:
// adding starts a handshake at once, setting does not.
func diff(have *wgtypes.Device, want target, view peerView) changes {
	var c changes
	if have.FirewallMark != transportMark {
		c.set.FirewallMark = ptr(transportMark)
	}
	newKey := clamp(have.PrivateKey) != want.key
	if newKey {
		c.set.PrivateKey = ptr(want.key)
	}
	if want.port != nil && have.ListenPort != *want.port {
		c.set.ListenPort = ptr(*want.port)
	}
	wanted := map[wgtypes.Key]bool{}
	for _, p := range want.peers {
		wanted[p.key] = true
	}
	found := map[wgtypes.Key]wgtypes.Peer{}
	for _, p := range have.Peers {
		found[p.PublicKey] = p
		if !wanted[p.PublicKey] {
			c.remove = append(c.remove, removePeer(p.PublicKey))
		}
	}
	for _, p := range want.peers {
		h, ok := found[p.key]
		move := ok && p.endpoint.IsValid() && udpAddrPort(h.Endpoint) != p.endpoint && !view.keep(p, h)
		switch {
		case !ok && p.waits: // without an endpoint its first handshake would fail and be retried after 5 s
		case !ok:
			c.set.Peers = append(c.set.Peers, addPeer(p))
		case newKey, h.PresharedKey != p.psk, move && view.stale(h):
			if !p.endpoint.IsValid() {
				p.endpoint = udpAddrPort(h.Endpoint)
			}
			c.remove = append(c.remove, removePeer(p.key))
			c.set.Peers = append(c.set.Peers, addPeer(p))
		default:
			if pc, changed := diffPeer(h, p, move); changed {
				c.set.Peers = append(c.set.Peers, pc)
			}
		}
	}
	return c
}

// diffPeer changes a peer in a way that its session survives.
func diffPeer(h wgtypes.Peer, p targetPeer, move bool) (pc wgtypes.PeerConfig, changed bool) {
	pc = wgtypes.PeerConfig{PublicKey: p.key, UpdateOnly: true}
	if move {
		pc.Endpoint, changed = net.UDPAddrFromAddrPort(p.endpoint), true
	}
	if h.PersistentKeepaliveInterval != p.keepalive {
		pc.PersistentKeepaliveInterval, changed = ptr(p.keepalive), true
	}
	if !slices.Equal(allowedOf(h), p.allowed) {
		pc.ReplaceAllowedIPs, pc.AllowedIPs, changed = true, ipNets(p.allowed), true
	}
	return pc, changed
}

func removePeer(key wgtypes.Key) wgtypes.PeerConfig {
	return wgtypes.PeerConfig{PublicKey: key, Remove: true, UpdateOnly: true}
}

func addPeer(p targetPeer) wgtypes.PeerConfig {
	pc := wgtypes.PeerConfig{
		PublicKey:                   p.key,
		PresharedKey:                ptr(p.psk),
		PersistentKeepaliveInterval: ptr(p.keepalive),
		ReplaceAllowedIPs:           true,
		AllowedIPs:                  ipNets(p.allowed),
	}
	if p.endpoint.IsValid() {
		pc.Endpoint = net.UDPAddrFromAddrPort(p.endpoint)
	}
	return pc
}

// keepalive is in whole seconds of 16 bits, as the protocol has it.
func keepalive(p Peer) time.Duration {
	switch d := p.Keepalive.Truncate(time.Second); {
	case d <= 0:
		return DefaultKeepalive
	case d > 65535*time.Second:
		return 65535 * time.Second
	default:
		return d
	}
}

// clamp does to a private key what every implementation does before it stores
// one. Without it a key that came unclamped would differ for ever, and every
// Up would end the session.
func clamp(k [32]byte) wgtypes.Key {
	if k == [32]byte{} {
		return k
	}
	k[0] &= 248
	k[31] = k[31]&127 | 64
	return k
}

func allowedOf(p wgtypes.Peer) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range p.AllowedIPs {
		a, ok := netip.AddrFromSlice(n.IP)
		ones, _ := n.Mask.Size()
		if ok {
			out = append(out, netip.PrefixFrom(a.Unmap(), ones).Masked())
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

func ipNets(ps []netip.Prefix) []net.IPNet {
	var out []net.IPNet
	for _, p := range ps {
		out = append(out, net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	return out
}

func plainPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

func plainAddrPort(a netip.AddrPort) netip.AddrPort {
	if !a.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func udpAddrPort(a *net.UDPAddr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	return plainAddrPort(a.AddrPort())
}

func ptr[T any](v T) *T { return &v }
