package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What people, programs and providers do to a router. Where the fault is a
// tool that somebody runs, the same tool is run here.

// LinkDown and LinkUp set a device of the router.
func (l *Lab) LinkDown(dev string) error { return l.Router.setLink(dev, false) }
func (l *Lab) LinkUp(dev string) error   { return l.Router.setLink(dev, true) }

// LinkDelete deletes a device of the router.
func (l *Lab) LinkDelete(dev string) error {
	link, err := l.Router.nl.LinkByName(dev)
	if err == nil {
		err = l.Router.nl.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", dev, err)
	}
	return nil
}

// LinkRename gives a device of the router another name, which needs it down
// for a moment; what hangs on it (addresses stay, routes go) is not restored.
func (l *Lab) LinkRename(from, to string) error {
	link, err := l.Router.nl.LinkByName(from)
	if err != nil {
		return err
	}
	return errors.Join(l.Router.nl.LinkSetDown(link), l.Router.nl.LinkSetName(link, to), l.Router.nl.LinkSetUp(link))
}

// LinkIndex is a device's index on the router, 0 when there is none.
func (l *Lab) LinkIndex(dev string) int {
	link, err := l.Router.nl.LinkByName(dev)
	if err != nil {
		return 0
	}
	return link.Attrs().Index
}

// RedialWAN deletes the uplink and makes it again with the same name and
// addresses but another index, as PPPoE does.
func (l *Lab) RedialWAN() error {
	return errors.Join(l.LinkDelete("wan"), l.PlugWAN())
}

// PlugWAN brings a deleted uplink back. The capture follows.
func (l *Lab) PlugWAN() error { return errors.Join(l.plugWAN(), l.configureWAN()) }

// FlushNft is `nft flush ruleset`.
func (l *Lab) FlushNft() error { return l.Router.run("nft", "flush", "ruleset") }

// FlushIptables flushes and removes every chain of both families' filter, nat,
// mangle and raw tables; variant is "legacy" or "nft".
func (l *Lab) FlushIptables(variant string) error {
	var err error
	for _, tool := range []string{"iptables-", "ip6tables-"} {
		for _, table := range []string{"filter", "nat", "mangle", "raw"} {
			for _, op := range []string{"-F", "-X"} {
				err = errors.Join(err, l.Router.run(tool+variant, "-w", "5", "-t", table, op))
			}
		}
	}
	return err
}

// FlushRules is `ip rule flush` for family 4 or 6: every rule but priority 0,
// so main and default go as well.
func (l *Lab) FlushRules(family int) error {
	return l.Router.run("ip", "-"+strconv.Itoa(family), "rule", "flush")
}

// RestoreMainRule puts back the rules for main and default that FlushRules
// took, as netifd does afterwards.
func (l *Lab) RestoreMainRule(family int) error {
	f := "-" + strconv.Itoa(family)
	err := l.Router.run("ip", f, "rule", "add", "pref", "32766", "lookup", "main")
	if family == 4 {
		err = errors.Join(err, l.Router.run("ip", f, "rule", "add", "pref", "32767", "lookup", "default"))
	}
	return err
}

// FlushTable empties a routing table in both families. That one of them has no
// such table is not an error.
func (l *Lab) FlushTable(n int) error {
	err4 := l.Router.run("ip", "-4", "route", "flush", "table", strconv.Itoa(n))
	err6 := l.Router.run("ip", "-6", "route", "flush", "table", strconv.Itoa(n))
	if err4 != nil && err6 != nil {
		return err4
	}
	return nil
}

// AddMainRoute is what a DHCP server does with option 121 (TunnelVision): a
// route in main by the uplink. DelMainRoute takes it back.
func (l *Lab) AddMainRoute(prefix string) error {
	return l.Router.route(prefix, gatewayFor(prefix), "wan")
}

func (l *Lab) DelMainRoute(prefix string) error {
	r, err := l.Router.mainRoute(prefix, gatewayFor(prefix), "wan", 0)
	if err != nil {
		return err
	}
	return l.Router.nl.RouteDel(r)
}

func gatewayFor(prefix string) string {
	if p, err := netip.ParsePrefix(prefix); err == nil && p.Addr().Is6() {
		return Gateway6
	}
	return Gateway4
}

// SetWANAddress is a new lease: the old IPv4 addresses go, the new one
// ("203.0.113.7/24") comes with the default route.
func (l *Lab) SetWANAddress(cidr string) error {
	r := l.Router
	link, err := r.nl.LinkByName("wan")
	if err != nil {
		return err
	}
	old, err := r.nl.AddrList(link, unix.AF_INET)
	if err != nil {
		return err
	}
	for _, a := range old {
		err = errors.Join(err, r.nl.AddrDel(link, &a))
	}
	return errors.Join(err, r.addr("wan", cidr), r.route("0.0.0.0/0", Gateway4, "wan"))
}

// SetGateway replaces the IPv4 default route, for example with Gateway4b.
func (l *Lab) SetGateway(gw string) error { return l.Router.route("0.0.0.0/0", gw, "wan") }

// LocalNet is TunnelCrack's LocalNet attack: the uplink gets an address
// ("198.51.100.200/24") whose subnet covers the victim's target, and the ISP
// answers for every neighbour there.
func (l *Lab) LocalNet(cidr string) error {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return err
	}
	if p.Addr().Is4() {
		err = errors.Join(l.ISP.Sysctl("net/ipv4/conf/cpe/proxy_arp", "1"), l.ISP.Sysctl("net/ipv4/neigh/cpe/proxy_delay", "0"))
	} else {
		err = errors.Join(l.ISP.Sysctl("net/ipv6/conf/cpe/proxy_ndp", "1"), l.ISP.Sysctl("net/ipv6/neigh/cpe/proxy_delay", "0"),
			l.ISP.proxyNeighbour("cpe", Echo6), l.ISP.proxyNeighbour("cpe", Resolver6))
	}
	return errors.Join(err, l.Router.addr("wan", cidr))
}

// EndLocalNet takes the address away again.
func (l *Lab) EndLocalNet(cidr string) error {
	link, err := l.Router.nl.LinkByName("wan")
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	return l.Router.nl.AddrDel(link, a)
}

func (h *Host) proxyNeighbour(dev, addr string) error {
	link, err := h.nl.LinkByName(dev)
	if err != nil {
		return err
	}
	return h.nl.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, Family: unix.AF_INET6,
		Flags: netlink.NTF_PROXY, IP: net.ParseIP(addr)})
}

// WarmNeighbours fills the router's neighbour cache for everything on the
// uplink. A cold cache makes an accidental zero: the packet that would leak
// waits for a solicitation that some rule rejects.
func (l *Lab) WarmNeighbours() error {
	link, err := l.Router.nl.LinkByName("wan")
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(MACISP)
	if err != nil {
		return err
	}
	for _, a := range []string{Gateway4, Gateway4b, ISPResolver4, Gateway6, ISPResolver6} {
		err = errors.Join(err, l.Router.nl.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index,
			State: netlink.NUD_REACHABLE, IP: net.ParseIP(a), HardwareAddr: mac}))
	}
	return err
}

// FixedSNAT replaces masquerading with a snat to the WAN's address. Masquerade
// hides flows that go on by the wrong side, because it forgets them; this does
// not.
func (l *Lab) FixedSNAT() error {
	return l.Router.NFT("flush chain ip nat postrouting\nadd rule ip nat postrouting oifname \"wan\" snat to " + WAN4 + "\n")
}

// RestoreNAT loads the ordinary router's rules again after FlushNft.
func (l *Lab) RestoreNAT() error {
	return l.Router.NFT("table ip nat\ndelete table ip nat\n" + ordinaryRouter(l.Opts.WAN2))
}

// PortForward sends a TCP and UDP port of the WAN's address to a client.
func (l *Lab) PortForward(port uint16, to string) error {
	return l.Router.NFT(fmt.Sprintf(`table ip portforward {
 chain prerouting {
  type nat hook prerouting priority dstnat; policy accept;
  iifname "wan" meta l4proto { tcp, udp } th dport %d dnat to %s
 }
}
`, port, to))
}
