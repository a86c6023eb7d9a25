package rules

import (
	"fmt"
	"net/netip"
)

func (w *writer) forward(fw *Firewall) {
	w.open("chain forward")
	w.line("type filter hook forward priority filter - 10; policy accept;")
	if len(fw.Exits) > 0 {
		w.rule("segments fit the tunnel", "oifname @tunnels tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu")
		w.rule("segments fit the tunnel", "iifname @tunnels tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu")
	}
	w.line("iifname @lan goto from_lan")
	w.line("oifname @lan goto into_lan")
	w.rule("a tunnel reaches the LAN and nothing else", "iifname @tunnels drop")
	w.rule("nobody but the LAN uses the tunnels", "oifname @tunnels drop")
	if len(fw.Net) > 0 {
		w.rule("networks that are not protected pass the third net", "oifname %s "+setMark, quoted(fw.Net), MarkDirect)
	}
	w.close()

	w.open("chain from_lan")
	w.rule("from LAN to LAN", "oifname @lan accept")
	w.line("update @sent { ether saddr counter }")
	for _, e := range fw.Exits {
		w.rule("devices on exit "+e.Name, "meta mark & 0x%08x == 0x%08x oifname %q accept", MarkMask, e.Mark, e.Device)
	}
	if usesDirect(fw) {
		w.rule("direct devices and exceptions, on purpose", "meta mark & 0x%08x == 0x%08x oifname != @tunnels accept", MarkMask, MarkDirect)
	}
	w.rule("nothing else leaves", "goto refuse")
	w.close()

	w.open("chain into_lan")
	w.rule("bytes by device; a flood that was not asked for fills no set", "ct state established,related jump received")
	w.rule("replies through a tunnel", "iifname @tunnels ct state established,related accept")
	if usesDirect(fw) {
		w.rule("replies to direct devices", "iifname != @tunnels ct mark & 0x%08x == 0x%08x ct state established,related accept", MarkMask, MarkDirect)
		v4, v6 := split(fw.directAddresses())
		if len(v4) > 0 {
			w.rule("port forwards to direct devices", "iifname != @tunnels ip daddr %s accept", joined(v4))
		}
		if len(v6) > 0 {
			w.rule("port forwards to direct devices", "iifname != @tunnels ip6 daddr %s accept", joined(v6))
		}
	}
	if fw.Default == Way(MarkDirect) {
		w.rule("devices without a rule are not protected", "iifname != @tunnels ct state new accept")
	}
	w.rule("nothing unsolicited reaches the LAN", "drop")
	w.close()

	w.open("chain received")
	w.line("update @received4 { ip daddr counter }")
	w.line("update @received6 { ip6 daddr counter }")
	w.close()
}

func (fw *Firewall) directAddresses() []netip.Addr {
	var as []netip.Addr
	for _, m := range fw.Members {
		if m.Way == Way(MarkDirect) && m.MAC == "" {
			as = append(as, m.IP)
		}
	}
	return as
}

// router prints what the router itself may send and receive.
func (w *writer) router(fw *Firewall) {
	w.open("chain input")
	w.line("type filter hook input priority filter - 10; policy accept;")
	w.rule("replies through a tunnel", "iifname @tunnels ct state established,related accept")
	if len(fw.Foreign) > 0 {
		w.rule("neighbour discovery on a device of somebody else's", "iifname %s icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept", quoted(fw.Foreign))
	}
	w.rule("nobody at a tunnel's other end reaches the router", "iifname @tunnels drop")
	w.close()

	w.open("chain output")
	w.line("type filter hook output priority filter - 10; policy accept;")
	w.line("oifname { \"lo\" } accept")
	w.line("oifname @lan accept")
	w.rule("an encrypted packet in a tunnel would run in circles, and take the server's address for one inside", "oifname @tunnels meta mark & 0x%08x == 0x%08x drop", MarkMask, MarkTransport)
	w.line("oifname @tunnels accept")
	if len(fw.Near) > 0 {
		w.rule("no resolver but the tunnel's", "oifname @near meta l4proto { tcp, udp } th dport { 53, 853 } goto refuse_router")
		w.rule("other local networks", "oifname @near accept")
	}
	w.rule("encrypted packets", "meta mark & 0x%08x == 0x%08x ct mark set ct mark & 0x80ffffff | 0x%08x accept", MarkMask, MarkTransport, MarkTransport)
	w.rule("the uplink's DHCP", "meta nfproto ipv4 udp sport 68 udp dport 67 accept")
	w.rule("the uplink's DHCPv6", "meta nfproto ipv6 udp sport 546 udp dport 547 accept")
	w.rule("neighbour discovery", "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } accept")
	if fw.RouterTime {
		w.rule("the router's own NTP, while the clock is not known and no exit is up", "udp dport %d limit rate 4/second burst 8 packets ct mark set ct mark & 0x80ffffff | 0x%08x accept", portNTP, MarkTransport)
	}
	if !fw.RouterDirect {
		w.line("goto refuse_router")
	}
	w.close()
	w.open("chain refuse_router")
	w.line("meta l4proto tcp reject with tcp reset")
	w.line("reject with icmpx admin-prohibited")
	w.close()

	w.open("chain postrouting")
	w.line("type filter hook postrouting priority srcnat + 10; policy accept;")
	for _, t := range fw.tunnelAddresses() {
		w.rule("a tunnel's address never shows elsewhere", "oifname != %s %s saddr %s drop", quoted(append([]string{"lo"}, t.devices...)), t.ip(), t.addr)
	}
	w.close()
}

func (w *writer) nat(fw *Firewall) {
	const dns = "meta l4proto { tcp, udp } th dport 53"
	if fw.Hijack && len(fw.Exits) > 0 {
		w.open("chain dns")
		w.line("type nat hook prerouting priority dstnat - 90; policy accept;")
		for _, e := range fw.Exits {
			match := fmt.Sprintf("iifname @lan meta mark & 0x%08x == 0x%08x", MarkMask, e.Mark)
			if fw.Redirect && fw.Default == Way(e.Mark) {
				w.rule("exit "+e.Name+": by the router's resolver", "%s "+dns+" redirect to :53", match)
				continue
			}
			if e.Resolver4.IsValid() {
				w.rule("resolver of exit "+e.Name, "%s meta nfproto ipv4 "+dns+" dnat ip to %s", match, e.Resolver4)
			}
			if e.Resolver6.IsValid() {
				w.rule("resolver of exit "+e.Name, "%s meta nfproto ipv6 "+dns+" dnat ip6 to %s", match, e.Resolver6)
			}
		}
		w.close()
		w.open("chain dns_router")
		w.line("type nat hook output priority -100; policy accept;")
		for _, e := range fw.Exits {
			if e.Resolver4.IsValid() {
				w.rule("the router's own questions, resolver of exit "+e.Name, "oifname %q meta nfproto ipv4 "+dns+" dnat ip to %s", e.Device, e.Resolver4)
			}
			if e.Resolver6.IsValid() {
				w.rule("the router's own questions, resolver of exit "+e.Name, "oifname %q meta nfproto ipv6 "+dns+" dnat ip6 to %s", e.Device, e.Resolver6)
			}
		}
		w.close()
	}
	if len(fw.Exits) > 0 {
		w.open("chain leaving")
		w.line("type nat hook postrouting priority srcnat - 10; policy accept;")
		w.rule("the LAN shows the tunnel's address, IPv4 and IPv6", "oifname @tunnels masquerade")
		w.close()
	}
}
