package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// NFT prints the firewall lock as one nft transaction: it replaces the table,
// and the boot seal with it, in one step that has no moment without either.
// Load it with "nft -f -". A nil firewall prints the removal of both tables.
func NFT(fw *Firewall) string {
	w := &writer{}
	w.drop(NFTable)
	w.drop(NFTableGuard)
	if fw != nil {
		w.table(NFTable, fw)
	}
	return w.String()
}

// NFTGuard prints the boot seal, a table of its own, from the firewall of
// Sealed.
func NFTGuard(fw *Firewall) string {
	w := &writer{}
	w.drop(NFTableGuard)
	w.table(NFTableGuard, fw)
	return w.String()
}

// writer collects indented lines.
type writer struct {
	strings.Builder
	depth int
}

func (w *writer) line(format string, args ...any) {
	if format != "" {
		for range w.depth {
			w.WriteByte('\t')
		}
		fmt.Fprintf(w, format, args...)
	}
	w.WriteByte('\n')
}

func (w *writer) open(format string, args ...any) {
	w.line(format+" {", args...)
	w.depth++
}

func (w *writer) close() {
	w.depth--
	w.line("}")
}

// drop removes a table whether it exists or not: nft before 1.0.7 has no
// "destroy".
func (w *writer) drop(table string) {
	w.line("table inet %s", table)
	w.line("delete table inet %s", table)
}

// rule prints one rule with the reason for it.
func (w *writer) rule(why, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.line("%s comment %q", text, why)
}

func (w *writer) table(name string, fw *Firewall) {
	w.line("")
	w.open("table inet %s", name)
	w.sets(fw)
	w.prerouting(fw)
	w.wayChains(fw)
	w.forward(fw)
	w.router(fw)
	w.nat(fw)
	w.close()
}

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return "{ " + strings.Join(q, ", ") + " }"
}

func joined[T fmt.Stringer](xs []T) string {
	s := make([]string, len(xs))
	for i, x := range xs {
		s[i] = x.String()
	}
	return "{ " + strings.Join(s, ", ") + " }"
}

func (fw *Firewall) tunnelDevices() []string {
	var ds []string
	for _, e := range fw.Exits {
		ds = append(ds, e.Device)
	}
	return append(ds, fw.Orphans...)
}

// tunnelAddress is one address and the devices that bear it: a provider may
// give all its files the same.
type tunnelAddress struct {
	addr    netip.Addr
	devices []string
}

// ip is nft's word for the address's family.
func (t tunnelAddress) ip() string {
	if familyOf(t.addr) == 4 {
		return "ip"
	}
	return "ip6"
}

func (fw *Firewall) tunnelAddresses() []tunnelAddress {
	var ts []tunnelAddress
	for _, e := range fw.Exits {
		for _, a := range e.Addresses {
			i := slices.IndexFunc(ts, func(t tunnelAddress) bool { return t.addr == a })
			if i < 0 {
				ts = append(ts, tunnelAddress{addr: a})
				i = len(ts) - 1
			}
			ts[i].devices = append(ts[i].devices, e.Device)
		}
	}
	return ts
}

func split(as []netip.Addr) (v4, v6 []netip.Addr) {
	for _, a := range as {
		if familyOf(a) == 4 {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	return v4, v6
}

func splitPrefixes(ps []netip.Prefix) (v4, v6 []netip.Prefix) {
	for _, p := range ps {
		if familyOf(p.Addr()) == 4 {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	return v4, v6
}

// nameSet prints a set of device names. Sets of names stay valid while the
// devices come and go.
func (w *writer) nameSet(name string, devices []string) {
	w.open("set %s", name)
	w.line("type ifname")
	if len(devices) > 0 {
		w.line("elements = %s", quoted(devices))
	}
	w.close()
}

func (w *writer) sets(fw *Firewall) {
	w.nameSet("lan", fw.LAN)
	w.nameSet("tunnels", fw.tunnelDevices())
	w.nameSet("uplinks", fw.Uplinks)
	w.nameSet("near", fw.Near)

	w.open("set blocked")
	w.line("type ether_addr")
	w.line("size 4096")
	w.line("flags dynamic")
	w.close()
	for _, s := range [][2]string{{"sent", "ether_addr"}, {"received4", "ipv4_addr"}, {"received6", "ipv6_addr"}} {
		w.open("set %s", s[0])
		w.line("type %s", s[1])
		w.line("size 4096")
		w.line("flags dynamic")
		w.close()
	}
	w.open("counter blocked_total")
	w.close()

	w.memberMap(fw, "by_mac", "ether_addr", func(m Member) (string, bool) { return m.MAC, m.MAC != "" })
	w.memberMap(fw, "by_ip4", "ipv4_addr", func(m Member) (string, bool) {
		return m.IP.String(), m.MAC == "" && familyOf(m.IP) == 4
	})
	w.memberMap(fw, "by_ip6", "ipv6_addr", func(m Member) (string, bool) {
		return m.IP.String(), m.MAC == "" && familyOf(m.IP) == 6
	})
	if fw.BlockDoH {
		v4, v6 := split(DoHAddresses())
		w.open("set doh4")
		w.line("type ipv4_addr")
		w.line("elements = %s", joined(v4))
		w.close()
		w.open("set doh6")
		w.line("type ipv6_addr")
		w.line("elements = %s", joined(v6))
		w.close()
	}
}

// memberMap prints one lookup for all devices, so that the cost of a packet
// does not grow with their number.
func (w *writer) memberMap(fw *Firewall, name, typ string, key func(Member) (string, bool)) {
	var elements []string
	for _, m := range fw.Members {
		if k, ok := key(m); ok {
			elements = append(elements, k+" : goto "+fw.wayChain(m.Way))
		}
	}
	w.open("map %s", name)
	w.line("type %s : verdict", typ)
	if len(elements) > 0 {
		slices.Sort(elements)
		w.line("elements = {")
		for _, e := range elements {
			w.line("\t%s,", e)
		}
		w.line("}")
	}
	w.close()
}

// wayChain names the chain that handles packets of a way.
func (fw *Firewall) wayChain(way Way) string {
	if e := fw.exit(way); e != nil {
		return "exit_" + e.Name
	}
	if way == Way(MarkDirect) {
		return "way_direct"
	}
	return "way_block"
}

const setMark = "meta mark set meta mark & 0x80ffffff | 0x%08x"

func (w *writer) prerouting(fw *Firewall) {
	w.open("chain prerouting")
	w.line("type filter hook prerouting priority mangle - 10; policy accept;")
	for _, t := range fw.tunnelAddresses() {
		w.rule("the tunnel's address is reached by the tunnel alone (CVE-2019-14899)", "iifname != %s %s daddr %s drop", quoted(append([]string{"lo"}, t.devices...)), t.ip(), t.addr)
	}
	w.rule("who on the LAN is it, and where may it go", "iifname @lan goto lan")
	for _, e := range fw.Exits {
		w.rule("replies pass a strict reverse path filter", "iifname %q "+setMark, e.Device, e.Mark)
	}
	w.rule("replies to encrypted packets, likewise", "iifname @uplinks ct mark & 0x%08x == 0x%08x "+setMark, MarkMask, MarkTransport, MarkTransport)
	w.close()

	w.open("chain lan")
	for _, x := range fw.Exceptions {
		w.exception(x)
	}
	w.line("ether saddr vmap @by_mac")
	w.line("ip saddr vmap @by_ip4")
	w.line("ip6 saddr vmap @by_ip6")
	w.rule("devices without a rule of their own", "goto %s", fw.wayChain(fw.Default))
	w.close()
}

// exception prints one rule for each family and kind of identity.
func (w *writer) exception(x FirewallException) {
	v4, v6 := splitPrefixes(x.Dest)
	ip4, ip6 := split(x.IPs)
	match := ""
	switch x.Proto {
	case "tcp", "udp":
		match = "meta l4proto " + x.Proto + " "
		if len(x.Ports) > 0 {
			match += "th dport " + ports(x.Ports) + " "
		}
	}
	one := func(who string, dest []netip.Prefix, ip, icmp string) {
		if len(dest) == 0 {
			return
		}
		m := match
		if x.Proto == "icmp" {
			m = "meta l4proto " + icmp + " "
		}
		w.rule("exception "+x.Name, "%s%s daddr %s %sgoto way_direct", who, ip, joined(dest), m)
	}
	if len(x.MACs) == 0 && len(x.IPs) == 0 {
		one("", v4, "ip", "icmp")
		one("", v6, "ip6", "ipv6-icmp")
		return
	}
	if len(x.MACs) > 0 {
		who := "ether saddr { " + strings.Join(x.MACs, ", ") + " } "
		one(who, v4, "ip", "icmp")
		one(who, v6, "ip6", "ipv6-icmp")
	}
	if len(ip4) > 0 {
		one("ip saddr "+joined(ip4)+" ", v4, "ip", "icmp")
	}
	if len(ip6) > 0 {
		one("ip6 saddr "+joined(ip6)+" ", v6, "ip6", "ipv6-icmp")
	}
}

func ports(ps []PortRange) string {
	s := make([]string, len(ps))
	for i, p := range ps {
		s[i] = p.String()
	}
	return "{ " + strings.Join(s, ", ") + " }"
}

// String prints "5000" or "5000-5999".
func (p PortRange) String() string {
	if p.First == p.Last {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// wayChains prints what becomes of a LAN packet once its way is known. Refusing
// happens here, before routing, because a packet without a way meets
// "unreachable" there and would never reach the forward hook: the client gets
// a TCP reset or an ICMP error at once, and the packet is counted.
func (w *writer) wayChains(fw *Firewall) {
	const dns = "meta l4proto { tcp, udp } th dport 53"
	const here = "fib daddr type { local, broadcast, multicast } accept"
	lan := fw.LAN
	if len(lan) == 0 {
		lan = []string{"lo"} // nft knows no empty set
	}
	toLAN := "fib daddr oifname " + quoted(lan) + " accept"
	for _, e := range fw.Exits {
		w.open("chain exit_%s", e.Name)
		w.line(setMark, e.Mark)
		w.line("ct mark set ct mark & 0x80ffffff | 0x%08x", e.Mark)
		if fw.Hijack {
			redirect := fw.Redirect && fw.Default == Way(e.Mark)
			for _, v := range []struct {
				family   string
				resolver netip.Addr
			}{{"ipv4", e.Resolver4}, {"ipv6", e.Resolver6}} {
				if redirect || v.resolver.IsValid() {
					w.rule("DNS goes to the exit's resolver, see chain dns", "meta nfproto %s "+dns+" accept", v.family)
				} else {
					w.rule("no resolver for this family", "meta nfproto %s "+dns+" goto refuse", v.family)
				}
			}
		}
		w.rule("the router itself", here)
		w.rule("from LAN to LAN", "%s", toLAN)
		if fw.BlockDoT {
			w.rule("DNS over TLS and QUIC: clients fall back to 53", "meta l4proto { tcp, udp } th dport 853 goto refuse")
		}
		if fw.BlockDoH {
			w.rule("DNS over HTTPS to well-known resolvers", "ip daddr @doh4 meta l4proto { tcp, udp } th dport 443 goto refuse")
			w.rule("DNS over HTTPS to well-known resolvers", "ip6 daddr @doh6 meta l4proto { tcp, udp } th dport 443 goto refuse")
		}
		if !e.V4 {
			w.rule("the exit carries no IPv4", "meta nfproto ipv4 goto refuse")
		}
		if !e.V6 {
			w.rule("the exit carries no IPv6", "meta nfproto ipv6 goto refuse")
		}
		w.close()
	}
	w.open("chain way_direct")
	w.line(setMark, MarkDirect)
	w.line("ct mark set ct mark & 0x80ffffff | 0x%08x", MarkDirect)
	if fw.BlockIPv6 {
		w.rule("the router itself", here)
		w.rule("from LAN to LAN", "%s", toLAN)
		w.rule("ipv6 'block'", "meta nfproto ipv6 goto refuse")
	}
	w.close()
	w.open("chain way_block")
	w.line(setMark, WayBlock)
	if fw.Hijack {
		w.rule("no exit, no answer: not even the router's own resolver's", dns+" goto refuse")
	}
	w.rule("the router itself", here)
	w.rule("from LAN to LAN", "%s", toLAN)
	w.line("goto refuse")
	w.close()
	w.open("chain refuse")
	w.line("counter name blocked_total")
	w.line("update @blocked { ether saddr counter }")
	w.line("meta l4proto tcp reject with tcp reset")
	w.line("reject with icmpx admin-prohibited")
	w.close()
}
