package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// VPN is one provider's server: a WireGuard process, NAT to the internet, a
// resolver inside the tunnel. Its host also answers echo on its public
// address, because clients may speak to that as well.
type VPN struct {
	*Host
	Net4, Net6 netip.Prefix // inside the tunnel, .1 the server, .2 the customer
	DNS        *DNSServer   // the resolver inside the tunnel

	mu           sync.Mutex
	addr4, addr6 netip.Addr
	server, peer wgtypes.Key // private keys
	wg           *wgProcess
}

func newVPN(l *Lab, h *Host, a4, a6 string, n int) *VPN {
	return &VPN{Host: h, addr4: netip.MustParseAddr(a4), addr6: netip.MustParseAddr(a6),
		Net4: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/24", n)),
		Net6: netip.MustParsePrefix(fmt.Sprintf("fd%d::/64", n))}
}

// attach configures the public side.
func (v *VPN) attach() error {
	return errors.Join(
		v.forward(),
		v.addr("eth0", v.addr4.String()+"/24", v.addr6.String()+"/64"),
		// On the loopback, so that the resolver outlives the tunnel's device.
		v.addr("lo", v.Resolver4()+"/32", v.Resolver6()+"/128"),
		v.route("0.0.0.0/0", "192.0.2.1", "eth0"),
		v.route("::/0", "2001:db8:a::1", "eth0"),
	)
}

func (v *VPN) start() error {
	err := v.NFT(fmt.Sprintf(`table ip nat { chain postrouting { type nat hook postrouting priority srcnat;
  oifname "eth0" ip saddr %s masquerade
 }
}
table ip6 nat { chain postrouting { type nat hook postrouting priority srcnat;
  oifname "eth0" ip6 saddr %s masquerade
 }
}
`, v.Net4, v.Net6))
	if err != nil {
		return err
	}
	if v.DNS, err = v.serveDNS(v.Host.Name, 53, "", v.Resolver4(), v.Resolver6()); err != nil {
		return err
	}
	for _, a := range []netip.Addr{v.addr4, v.addr6} {
		if err := v.serveEcho(a.String()); err != nil {
			return err
		}
	}
	return v.Restart(true)
}

// Resolver4 and Resolver6 are the resolver's addresses inside the tunnel.
func (v *VPN) Resolver4() string { return v.Net4.Addr().Next().String() }
func (v *VPN) Resolver6() string { return v.Net6.Addr().Next().String() }

// Client4 and Client6 are the customer's addresses inside the tunnel.
func (v *VPN) Client4() netip.Addr { return v.Net4.Addr().Next().Next() }
func (v *VPN) Client6() netip.Addr { return v.Net6.Addr().Next().Next() }

// Public says whether an address is this server's public one.
func (v *VPN) Public(a netip.Addr) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return a == v.addr4 || a == v.addr6
}

// Endpoint is where customers connect, over IPv4.
func (v *VPN) Endpoint() netip.AddrPort {
	v.mu.Lock()
	defer v.mu.Unlock()
	return netip.AddrPortFrom(v.addr4, WGPort)
}

// Endpoints are both families' endpoints.
func (v *VPN) Endpoints() []netip.AddrPort {
	v.mu.Lock()
	defer v.mu.Unlock()
	return []netip.AddrPort{netip.AddrPortFrom(v.addr4, WGPort), netip.AddrPortFrom(v.addr6, WGPort)}
}

// ClientOptions vary the tunnel file.
type ClientOptions struct {
	Endpoint  string // "host:port"; empty: the server's IPv4 address
	NoIPv6    bool   // a provider that carries IPv4 only
	NoDNS     bool   // a file without a resolver (D6)
	Keepalive int    // seconds; 0: none in the file
}

// ClientFile is the wg-quick text that the provider gives its customer.
func (v *VPN) ClientFile(o ClientOptions) string {
	if o.Endpoint == "" {
		o.Endpoint = v.Endpoint().String()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	addrs, dns, allowed := []string{v.Client4().String() + "/32"}, []string{v.Resolver4()}, []string{"0.0.0.0/0"}
	if !o.NoIPv6 {
		addrs, dns, allowed = append(addrs, v.Client6().String()+"/128"), append(dns, v.Resolver6()), append(allowed, "::/0")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[Interface]\nPrivateKey = %s\nAddress = %s\n", v.peer, strings.Join(addrs, ", "))
	if !o.NoDNS {
		fmt.Fprintf(&b, "DNS = %s\n", strings.Join(dns, ", "))
	}
	fmt.Fprintf(&b, "\n[Peer]\nPublicKey = %s\nAllowedIPs = %s\nEndpoint = %s\n", v.server.PublicKey(), strings.Join(allowed, ", "), o.Endpoint)
	if o.Keepalive > 0 {
		fmt.Fprintf(&b, "PersistentKeepalive = %d\n", o.Keepalive)
	}
	return b.String()
}

// Restart starts the server again, with the keys it had or with new ones.
// After newKeys the customer needs a new file.
func (v *VPN) Restart(newKeys bool) error {
	v.Kill()
	v.mu.Lock()
	defer v.mu.Unlock()
	if newKeys {
		var err, err2 error
		v.server, err = wgtypes.GeneratePrivateKey()
		v.peer, err2 = wgtypes.GeneratePrivateKey()
		if err := errors.Join(err, err2); err != nil {
			return err
		}
	}
	var err error
	v.wg, err = v.startWG(wgConfig{Device: "wg0", PrivateKey: v.server, ListenPort: WGPort, PeerKey: v.peer.PublicKey(),
		AllowedIPs: []netip.Prefix{netip.PrefixFrom(v.Client4(), 32), netip.PrefixFrom(v.Client6(), 128)},
		Routes:     []netip.Prefix{v.Net4, v.Net6}})
	return err
}

// RestartServerKey gives the server a new key that the customer does not know:
// what a provider's reinstalled machine looks like from outside.
func (v *VPN) RestartServerKey() error {
	v.mu.Lock()
	k, err := wgtypes.GeneratePrivateKey()
	v.server = k
	v.mu.Unlock()
	if err != nil {
		return err
	}
	return v.Restart(false)
}

// Kill ends the server's process; its host answers "port unreachable" then.
func (v *VPN) Kill() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.wg != nil {
		v.wg.kill()
		v.wg = nil
	}
}

// Silence drops everything on the server's public side, both ways.
func (v *VPN) Silence() error {
	return v.NFT(`table inet silence {
 chain in  { type filter hook prerouting priority -400; iifname "eth0" drop
 }
 chain out { type filter hook postrouting priority 400; oifname "eth0" drop
 }
}
`)
}

// Resume ends Silence.
func (v *VPN) Resume() error { return v.NFT("delete table inet silence\n") }

// ChangeAddress moves the server to another public address in 192.0.2.0/24 or
// 2001:db8:a::/64; the wires count the new endpoint as transport from now on.
func (v *VPN) ChangeAddress(to string) error {
	a, err := netip.ParseAddr(to)
	if err != nil {
		return err
	}
	bits := map[bool]string{true: "/24", false: "/64"}[a.Is4()]
	if err := v.addr("eth0", to+bits); err != nil {
		return err
	}
	v.mu.Lock()
	old := &v.addr4
	if a.Is6() {
		old = &v.addr6
	}
	was := *old
	*old = a
	v.mu.Unlock()
	for _, w := range []*Wire{v.lab.WAN, v.lab.WAN2} {
		if w != nil {
			w.Transport(netip.AddrPortFrom(a, WGPort))
		}
	}
	link, err := v.nl.LinkByName("eth0")
	if err != nil {
		return err
	}
	gone, err := netlink.ParseAddr(was.String() + bits)
	if err != nil {
		return err
	}
	if err := v.nl.AddrDel(link, gone); err != nil {
		return fmt.Errorf("%s: removing %s: %w", v.Name, was, err)
	}
	// The kernel took the default route with the last address of its subnet.
	return errors.Join(v.route("0.0.0.0/0", "192.0.2.1", "eth0"), v.route("::/0", "2001:db8:a::1", "eth0"))
}

// Peer is what the server knows of its customer.
type Peer struct {
	Handshake time.Time // zero: none yet
	Endpoint  string
	Rx, Tx    uint64
}

// Peer asks the running server.
func (v *VPN) Peer() (Peer, error) {
	v.mu.Lock()
	w := v.wg
	v.mu.Unlock()
	if w == nil {
		return Peer{}, fmt.Errorf("%s: the server is not running", v.Name)
	}
	m, err := w.state()
	if err != nil {
		return Peer{}, err
	}
	p := Peer{Endpoint: m["endpoint"]}
	sec, _ := strconv.ParseInt(m["last_handshake_time_sec"], 10, 64)
	if nsec, _ := strconv.ParseInt(m["last_handshake_time_nsec"], 10, 64); sec > 0 {
		p.Handshake = time.Unix(sec, nsec)
	}
	p.Rx, _ = strconv.ParseUint(m["rx_bytes"], 10, 64)
	p.Tx, _ = strconv.ParseUint(m["tx_bytes"], 10, 64)
	return p, nil
}

// WaitHandshake waits for a handshake younger than since.
func (v *VPN) WaitHandshake(ctx context.Context, since time.Time) error {
	return eventually(ctx, v.Name+": a handshake", func() error {
		p, err := v.Peer()
		if err == nil && !p.Handshake.After(since) {
			err = fmt.Errorf("last handshake %v", p.Handshake)
		}
		return err
	})
}
