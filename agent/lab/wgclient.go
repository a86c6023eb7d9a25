package lab

import (
	"fmt"
	"net/netip"
)

// PlainClient is a WireGuard client on the router with a static configuration
// and no protection at all: what a user has before lanseal, and the proof that
// the lab's servers work.
type PlainClient struct {
	Device string
	wg     *wgProcess
}

// StartPlainClient connects the router to a server and sends the given
// prefixes into the tunnel through main, masqueraded.
func (l *Lab) StartPlainClient(v *VPN, device string, prefixes ...string) (*PlainClient, error) {
	c := wgConfig{Device: device, PrivateKey: v.peer, PeerKey: v.server.PublicKey(), Endpoint: v.Endpoint(), Keepalive: 25,
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		Addresses:  []netip.Prefix{netip.PrefixFrom(v.Client4(), 32), netip.PrefixFrom(v.Client6(), 128)}}
	for _, s := range prefixes {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		c.Routes = append(c.Routes, prefix)
	}
	err := l.Router.NFT(fmt.Sprintf("table inet plain-%s {\n chain postrouting {\n  type nat hook postrouting priority 90\n  oifname %q masquerade\n }\n}\n", device, device))
	if err != nil {
		return nil, err
	}
	wg, err := l.Router.startWG(c)
	if err != nil {
		return nil, err
	}
	p := &PlainClient{Device: device, wg: wg}
	// The lab holds it: a collected stdin would close, and end the child.
	l.onClose(p.Kill)
	return p, nil
}

// Kill ends the client; its device and routes vanish with it.
func (c *PlainClient) Kill() { c.wg.kill() }
