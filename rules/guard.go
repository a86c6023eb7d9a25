package rules

import "strings"

// guardTag starts the line of the boot seal's file that says what it was made
// from, so that the seal can be laid again while the configuration cannot be
// read.
const guardTag = "# lanseal guard:"

// GuardFile is the text of the boot seal's file: nft text for NFTGuard, headed
// by the names it was made from.
func GuardFile(p Policy) string {
	router := "tunnel"
	if p.RouterDirect {
		router = "wan"
	}
	head := []string{
		"# The boot seal: nothing of the LAN leaves before lanseal has said where to.",
		"# Made from the last valid configuration; load it with nft -f.",
		guardTag + " lan=" + strings.Join(p.LAN, ",") + " wan=" + strings.Join(p.WAN, ",") +
			" dns=" + string(p.DNS) + " router=" + router,
	}
	return strings.Join(head, "\n") + "\n" + NFTGuard(Sealed(p).Firewall)
}

// ParseGuard reads back the policy of a boot seal's file; ok is false where the
// file is not one, or names no LAN.
func ParseGuard(text string) (p Policy, ok bool) {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(strings.TrimSpace(line), guardTag)
		if !found {
			continue
		}
		for _, field := range strings.Fields(rest) {
			key, value, _ := strings.Cut(field, "=")
			switch names := splitNames(value); key {
			case "lan":
				p.LAN = names
			case "wan":
				p.WAN = names
			case "dns":
				p.DNS = DNSMode(value)
			case "router":
				p.RouterDirect = value == "wan"
			}
		}
	}
	return SealedPolicy(p), len(p.LAN) > 0
}

func splitNames(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// NFTStrict is the seal for a machine of which nothing is known: nothing is
// forwarded but into and out of tunnels, and the router itself answers those
// who ask it, talks to private networks, and asks no resolver.
func NFTStrict() string {
	w := &writer{}
	w.drop(NFTableGuard)
	w.open("table inet %s", NFTableGuard)
	w.open("chain forward")
	w.line("type filter hook forward priority filter - 10; policy accept;")
	w.line("oifname \"%s*\" accept", DevicePrefix)
	w.line("iifname \"%s*\" ct state established,related accept", DevicePrefix)
	w.rule("no valid configuration: nothing is forwarded", "drop")
	w.close()
	w.open("chain output")
	w.line("type filter hook output priority filter - 10; policy accept;")
	w.line("oifname \"lo\" accept")
	w.line("oifname \"%s*\" accept", DevicePrefix)
	w.rule("encrypted packets", "meta mark & 0x%08x == 0x%08x accept", MarkMask, MarkTransport)
	w.line("meta l4proto { tcp, udp } th dport { 53, 853 } reject")
	w.rule("answers to those who ask the router", "ct direction reply accept")
	w.rule("DHCP", "meta nfproto ipv4 udp sport { 67, 68 } udp dport { 67, 68 } accept")
	w.rule("DHCPv6", "meta nfproto ipv6 udp sport { 546, 547 } udp dport { 546, 547 } accept")
	w.rule("neighbour discovery", "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } accept")
	w.line("ip daddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16 } accept")
	w.line("ip6 daddr { fc00::/7, fe80::/10 } accept")
	w.rule("no valid configuration: the router itself sends nothing else", "reject with icmpx admin-prohibited")
	w.close()
	w.close()
	return w.String()
}
