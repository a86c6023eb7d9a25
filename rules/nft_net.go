package rules

import "slices"

// NFTNet prints the third net as one nft transaction: whatever the two locks
// say, an uplink sends nothing but what they let through. It hooks into the
// devices' egress, which raw sockets and sockets bound to the uplink pass as
// well. It is a table of its own, because not every kernel has the hook (5.16
// and later, CONFIG_NETFILTER_EGRESS), and a lock must load on all of them. A
// nil firewall, or one with nothing to hold, prints the removal.
func NFTNet(fw *Firewall) string {
	w := &writer{}
	w.line("table netdev %s", NFTable)
	w.line("delete table netdev %s", NFTable)
	if fw == nil || len(fw.Net) == 0 {
		return w.String()
	}
	w.line("")
	w.open("table netdev %s", NFTable)
	w.open("chain uplinks")
	w.line("type filter hook egress devices = %s priority filter; policy accept;", quoted(fw.Net))
	w.rule("ARP, PPPoE, EAPOL, LLDP: not the internet's", "meta protocol != { ip, ip6 } accept")
	w.rule("encrypted packets", "meta mark & 0x%08x == 0x%08x accept", MarkMask, MarkTransport)
	w.rule("direct devices, exceptions, networks that are not protected", "meta mark & 0x%08x == 0x%08x accept", MarkMask, MarkDirect)
	w.rule("the uplink's DHCP", "meta protocol ip udp sport 68 udp dport 67 accept")
	w.rule("the uplink's DHCPv6", "meta protocol ip6 udp sport 546 udp dport 547 accept")
	w.rule("neighbour discovery", "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } accept")
	if fw.RouterTime {
		w.rule("the router's own NTP, while the clock is not known and no exit is up", "udp dport %d accept", portNTP)
	}
	w.rule("nothing else leaves, raw frames neither", "counter drop")
	w.close()
	w.close()
	return w.String()
}

// netDevices are the uplinks under the third net: those that are there. It is
// not for a router whose own programs may use the uplink: their packets bear
// no mark. Nor for a device that carries others (VLANs, macvlans): their
// packets pass its egress too, and may be the LAN's.
func netDevices(p Policy, f Facts, routerDirect bool) []string {
	if routerDirect {
		return nil
	}
	return slices.DeleteFunc(uplinks(p, f), func(d string) bool {
		link, exists := f.Links[d]
		return !exists || link.Carries
	})
}

// SameFirewall says whether two locks, with their third nets, are the same in
// the kernel.
func SameFirewall(a, b *Firewall) bool { return NFT(a) == NFT(b) && NFTNet(a) == NFTNet(b) }
