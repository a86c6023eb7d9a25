package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// build makes the hosts side by side, then the wires, then what runs on them.
func (l *Lab) build() error {
	names := []string{"router", "isp", "internet", "vpn1", "vpn2", "tv", "laptop"}
	if l.Opts.Guest {
		names = append(names, "guest")
	}
	made := make([]*Host, len(names))
	if err := parallel(len(names), func(i int) (err error) {
		made[i], err = newHost(l, names[i])
		return err
	}); err != nil {
		for _, h := range made {
			if h != nil {
				l.hosts = append(l.hosts, h)
			}
		}
		return err
	}
	l.hosts = made
	l.Router, l.ISP, l.Internet = made[0], made[1], made[2]
	l.TV, l.Laptop = made[5], made[6]
	if l.Opts.Guest {
		l.Guest = made[7]
	}
	l.Zone = newZone()
	l.VPN1 = newVPN(l, made[3], VPN1v4, VPN1v6, 64)
	l.VPN2 = newVPN(l, made[4], VPN2v4, VPN2v6, 65)
	for _, step := range []func() error{l.buildInternet, l.buildISP, l.buildRouter, l.buildLAN, l.serve} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// serve starts everything that answers or listens.
func (l *Lab) serve() error {
	var err error
	if l.Opts.WAN2 {
		if l.WAN2, err = newWire(l, "wan2", "cpe2"); err != nil {
			return err
		}
	}
	jobs := []func() error{l.serveInternet, l.VPN1.start, l.VPN2.start}
	if !l.Opts.External {
		jobs = append(jobs, func() error { return l.Router.NFT(ordinaryRouter(l.Opts.WAN2)) })
	}
	if l.Opts.Dnsmasq {
		jobs = append(jobs, l.startDnsmasq)
	}
	if err := parallel(len(jobs), func(i int) error { return jobs[i]() }); err != nil {
		return err
	}
	for _, v := range []*VPN{l.VPN1, l.VPN2} {
		for _, e := range v.Endpoints() {
			l.WAN.Transport(e)
			if l.WAN2 != nil {
				l.WAN2.Transport(e)
			}
		}
	}
	return nil
}

// ordinaryRouter is the rule set of a masquerading router with no lanseal.
func ordinaryRouter(wan2 bool) string {
	out := `oifname "wan"`
	if wan2 {
		out = `oifname { "wan", "wan2" }`
	}
	return "table ip nat {\n chain postrouting {\n  type nat hook postrouting priority srcnat; policy accept;\n  " + out + " masquerade\n }\n}\n"
}

func (l *Lab) buildInternet() error {
	n := l.Internet
	return errors.Join(
		n.bridge("inet0", ""),
		n.addr("inet0", "198.51.100.1/24", Echo4+"/24", Echo4b+"/24", Resolver4+"/24",
			"192.0.2.1/24", "2001:db8:5::1/64", Echo6+"/64", Resolver6+"/64", "2001:db8:a::1/64",
			OpenDNS4+"/32", OpenDNS6+"/128"),
		n.forward(),
		l.veth(l.ISP, "up", "", n, "isp", "", "inet0"),
		l.veth(l.VPN1.Host, "eth0", "", n, "vpn1", "", "inet0"),
		l.veth(l.VPN2.Host, "eth0", "", n, "vpn2", "", "inet0"),
		n.route("203.0.113.0/24", "198.51.100.2", "inet0"),
		n.route("198.18.2.0/24", "198.51.100.2", "inet0"),
		n.route("2001:db8:ffff::/48", "2001:db8:5::2", "inet0"),
		n.route("2001:db8:eeee::/48", "2001:db8:5::2", "inet0"),
		n.route("2001:db8:100::/48", "2001:db8:5::2", "inet0"),
		l.VPN1.attach(), l.VPN2.attach(),
	)
}

func (l *Lab) buildISP() error {
	p := l.ISP
	err := errors.Join(
		p.addr("up", "198.51.100.2/24", "2001:db8:5::2/64"),
		p.addr("lo", ISPResolverFar4+"/32"),
		p.forward(),
		p.route("192.0.2.0/24", "198.51.100.1", "up"),
		p.route("2001:db8:a::/64", "2001:db8:5::1", "up"),
		l.plugWAN(),
	)
	if l.Opts.WAN2 {
		err = errors.Join(err,
			l.veth(p, "cpe2", "", l.Router, "wan2", MACWAN2, ""),
			p.addr("cpe2", Gateway2v4+"/24", Gateway2v6+"/64"))
	}
	return err
}

// plugWAN makes the wire between ISP and router, with the ISP's addresses; the
// capture is there before the wire is up, so that it misses no frame.
func (l *Lab) plugWAN() error {
	mac := MACRouterWAN
	if l.Opts.External {
		mac = "" // the router outside has it
	}
	if err := l.cable(l.ISP, "cpe", MACISP, l.Router, "wan", mac, ""); err != nil {
		return err
	}
	if l.WAN == nil {
		w, err := newWire(l, "wan", "cpe")
		if err != nil {
			return err
		}
		l.WAN = w
	} else {
		l.WAN.detach()
		if err := l.WAN.attach(); err != nil {
			return err
		}
	}
	return errors.Join(
		l.ISP.setLink("cpe", true), l.Router.setLink("wan", true),
		l.ISP.addr("cpe", Gateway4+"/24", Gateway4b+"/24", ISPResolver4+"/24", Gateway6+"/64", ISPResolver6+"/64"),
		l.ISP.route("2001:db8:100::/48", WAN6, "cpe"),
	)
}

func (l *Lab) buildRouter() error {
	if l.Opts.External {
		return l.buildPatchPanel()
	}
	r := l.Router
	err := errors.Join(
		r.forward(),
		r.bridge("br-lan", MACRouterLAN),
		r.addr("br-lan", RouterLAN4+"/24", RouterLAN6+"/64", RouterGUA+"/64"),
		l.configureWAN(),
		r.WriteFile("/etc/resolv.conf", "nameserver "+ISPResolver4+"\n", 0o644),
	)
	if l.Opts.WAN2 {
		err = errors.Join(err, r.Sysctl("net/ipv6/conf/wan2/accept_ra", "2"),
			r.addr("wan2", WAN2v4+"/24", WAN2v6+"/64"),
			r.routeMetric("0.0.0.0/0", Gateway2v4, "wan2", 2048), r.routeMetric("::/0", Gateway2v6, "wan2", 2048))
	}
	if l.Opts.Guest {
		err = errors.Join(err, r.bridge("br-guest", ""), r.addr("br-guest", GuestLAN4+"/24"))
	}
	return err
}

// configureWAN gives the uplink its addresses and default routes, as DHCP
// would. accept_ra is 2 because a forwarding host otherwise hears no RAs.
func (l *Lab) configureWAN() error {
	return errors.Join(
		l.Router.Sysctl("net/ipv6/conf/wan/accept_ra", "2"),
		l.Router.Sysctl("net/ipv6/conf/wan/accept_ra_rt_info_max_plen", "128"),
		l.Router.addr("wan", WAN4+"/24", WAN6+"/64"),
		l.Router.routeMetric("0.0.0.0/0", Gateway4, "wan", 0),
		l.Router.routeMetric("::/0", Gateway6, "wan", 512),
	)
}

func (l *Lab) buildLAN() error {
	err := errors.Join(
		l.connect(l.TV, "br-lan", MACTV, TV4+"/24", TV6+"/64", TVGUA+"/64"),
		l.connect(l.Laptop, "br-lan", MACLaptop, Laptop4+"/24", Laptop6+"/64", LaptopGUA+"/64"))
	if l.Guest != nil {
		err = errors.Join(err, l.connect(l.Guest, "br-guest", MACGuest, Guest4+"/24"))
	}
	return err
}

// connect plugs a client into a bridge of the router, with fixed addresses and
// the router as its gateway in each family that it has.
func (l *Lab) connect(h *Host, bridge, mac string, addrs ...string) error {
	err := l.veth(h, "eth0", mac, l.Router, "lan-"+h.Name, "", bridge)
	if l.Opts.ClientRA {
		err = errors.Join(err, h.Sysctl("net/ipv6/conf/eth0/accept_ra", "1"))
	}
	gw := RouterLAN4
	if bridge == "br-guest" {
		gw = GuestLAN4
	}
	err = errors.Join(err, h.addr("eth0", addrs...), h.WriteFile("/etc/resolv.conf", "nameserver "+gw+"\n", 0o644))
	four, six := false, false
	for _, a := range addrs {
		p, perr := netip.ParsePrefix(a)
		err = errors.Join(err, perr)
		four, six = four || p.Addr().Is4(), six || p.Addr().Is6()
	}
	if four {
		err = errors.Join(err, h.route(gw+"/32", "", "eth0"), h.route("0.0.0.0/0", gw, "eth0"))
	}
	if six {
		err = errors.Join(err, h.route("::/0", RouterLAN6, "eth0"))
	}
	return err
}

// AddClient plugs one more client into a bridge of the running router. Its
// addresses may lie outside the LAN's subnets; the router is its gateway.
func (l *Lab) AddClient(name, bridge, mac string, addrs ...string) (*Host, error) {
	h, err := newHost(l, name)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.hosts = append(l.hosts, h)
	l.mu.Unlock()
	return h, l.connect(h, bridge, mac, addrs...)
}

// veth makes a cable between two hosts, straight inside their namespaces; the
// far end may become a port of a bridge.
func (l *Lab) veth(a *Host, aName, aMAC string, b *Host, bName, bMAC, bBridge string) error {
	if err := l.cable(a, aName, aMAC, b, bName, bMAC, bBridge); err != nil {
		return err
	}
	return errors.Join(a.setLink(aName, true), b.setLink(bName, true))
}

// cable is veth with both ends still down.
func (l *Lab) cable(a *Host, aName, aMAC string, b *Host, bName, bMAC, bBridge string) error {
	v := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: bName, PeerNamespace: netlink.NsFd(b.nsfd)}
	v.Name = aName
	v.HardwareAddr, _ = net.ParseMAC(aMAC)
	v.PeerHardwareAddr, _ = net.ParseMAC(bMAC)
	if err := a.nl.LinkAdd(v); err != nil {
		return fmt.Errorf("connecting %s %s to %s %s: %w", a.Name, aName, b.Name, bName, err)
	}
	if bBridge != "" {
		return b.enslave(bName, bBridge)
	}
	return nil
}

func (h *Host) bridge(name, mac string) error {
	br := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	br.Name = name
	br.HardwareAddr, _ = net.ParseMAC(mac)
	// Without snooping every port hears every multicast at once.
	off := false
	br.MulticastSnooping = &off
	if err := h.nl.LinkAdd(br); err != nil {
		return fmt.Errorf("%s: making %s: %w", h.Name, name, err)
	}
	return h.setLink(name, true)
}

func (h *Host) setLink(name string, up bool) error {
	link, err := h.nl.LinkByName(name)
	if err == nil && up {
		err = h.nl.LinkSetUp(link)
	} else if err == nil {
		err = h.nl.LinkSetDown(link)
	}
	if err != nil {
		return fmt.Errorf("%s: setting %s up or down: %w", h.Name, name, err)
	}
	return nil
}

func (h *Host) addr(dev string, cidrs ...string) error {
	link, err := h.nl.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("%s: finding %s: %w", h.Name, dev, err)
	}
	for _, c := range cidrs {
		a, err := netlink.ParseAddr(c)
		if err != nil {
			return err
		}
		if a.IP.To4() == nil {
			// accept_dad alone still leaves the address unusable until a
			// kernel worker has run.
			a.Flags = unix.IFA_F_NODAD
		}
		if err := h.nl.AddrReplace(link, a); err != nil {
			return fmt.Errorf("%s: adding %s to %s: %w", h.Name, c, dev, err)
		}
	}
	return nil
}

func (h *Host) route(prefix, gw, dev string) error { return h.routeMetric(prefix, gw, dev, 0) }

// routeMetric puts a route in main; gw may be empty for an on-link route.
func (h *Host) routeMetric(prefix, gw, dev string, metric int) error {
	r, err := h.mainRoute(prefix, gw, dev, metric)
	if err != nil {
		return err
	}
	if err := h.nl.RouteReplace(r); err != nil && !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("%s: adding a route to %s by %s: %w", h.Name, prefix, dev, err)
	}
	return nil
}

func (h *Host) mainRoute(prefix, gw, dev string, metric int) (*netlink.Route, error) {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return nil, err
	}
	link, err := h.nl.LinkByName(dev)
	if err != nil {
		return nil, fmt.Errorf("%s: finding %s: %w", h.Name, dev, err)
	}
	scope := netlink.SCOPE_UNIVERSE
	if gw == "" && p.Addr().Is4() {
		scope = netlink.SCOPE_LINK
	}
	return &netlink.Route{LinkIndex: link.Attrs().Index, Scope: scope, Priority: metric, Gw: net.ParseIP(gw),
		Dst: &net.IPNet{IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}, nil
}

func (h *Host) forward() error {
	return errors.Join(h.Sysctl("net/ipv4/ip_forward", "1"), h.Sysctl("net/ipv6/conf/all/forwarding", "1"))
}

// parallel runs n jobs at once and joins their errors.
func parallel(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
