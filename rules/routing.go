package rules

import (
	"net/netip"
	"slices"
)

// The order of lanseal's ip rules. "iif lo" are the router's own packets.
const (
	prioTransport  = 500
	prioDHCP       = 501
	prioLocal      = 502
	prioBound      = 503
	prioTime       = 504
	prioLANExit    = 510
	prioLANDirect  = 511
	prioLANBlock   = 520
	prioRouterExit = 521
	prioRouterEnd  = 522
	prioRouterStop = 523
	prioGateways   = 524
)

const (
	protoUDP = 17
	protoTCP = 6
	portNTP  = 123
)

// families both locks are written for, always both: a family without rules is
// an open door.
var families = [...]int{4, 6}

func policyRules(p Policy, f Facts, fw *Firewall) []Rule {
	var rs []Rule
	direct := usesDirect(fw)
	for _, fam := range families {
		add := func(r Rule) {
			r.Family = fam
			rs = append(rs, r)
		}
		add(Rule{Priority: prioTransport, In: "lo", Mark: MarkTransport, Table: TableMain, Why: "encrypted packets leave by the WAN"})
		add(Rule{Priority: prioDHCP, In: "lo", Mark: MarkTransport, Unreachable: true, Why: "and never by a tunnel: no packet runs in circles"})
		if fam == 4 {
			add(Rule{Priority: prioDHCP, In: "lo", Proto: protoUDP, Sport: 68, Dport: 67, Table: TableMain, Why: "the uplink's own DHCP"})
		} else {
			add(Rule{Priority: prioDHCP, In: "lo", Proto: protoUDP, Sport: 546, Dport: 547, Table: TableMain, Why: "the uplink's own DHCPv6"})
		}
		for _, d := range p.LAN {
			add(Rule{Priority: prioLocal, In: d, Table: TableLAN, Why: "the LAN's own subnets"})
		}
		for _, e := range fw.Exits {
			add(Rule{Priority: prioLocal, In: e.Device, Table: TableLAN, Why: "replies from exit " + e.Name})
		}
		add(Rule{Priority: prioLocal, In: "lo", Table: TableLAN, Why: "the router to its LANs"})
		for _, e := range fw.Exits {
			add(Rule{Priority: prioBound, In: "lo", Out: e.Device, Table: tableOf(e.Mark), Why: "the router's sockets bound to exit " + e.Name})
			add(Rule{Priority: prioBound, In: "lo", Mark: e.Mark, Table: tableOf(e.Mark), Why: "the router's packets marked for exit " + e.Name})
		}
		if fw.RouterTime {
			add(Rule{Priority: prioTime, In: "lo", Proto: protoUDP, Dport: portNTP, Table: TableMain, Why: "the router's own NTP, while the clock is not known and no exit is up"})
		}
		for _, d := range p.LAN {
			for _, e := range fw.Exits {
				add(Rule{Priority: prioLANExit, In: d, Mark: e.Mark, Table: tableOf(e.Mark), Why: "devices on exit " + e.Name})
			}
			if direct {
				add(Rule{Priority: prioLANDirect, In: d, Mark: MarkDirect, Table: TableMain, Why: "direct devices and exceptions, on purpose"})
			}
			if p.KillSwitch {
				add(Rule{Priority: prioLANBlock, In: d, Unreachable: true, Why: "nothing else of the LAN leaves"})
			}
		}
		for _, e := range fw.Exits {
			add(Rule{Priority: prioLANBlock, In: e.Device, Unreachable: true, Why: "exit " + e.Name + " reaches the LAN and nothing else"})
		}
		for _, d := range fw.Orphans {
			add(Rule{Priority: prioLANBlock, In: d, Unreachable: true, Why: "no exit in force: it reaches nothing"})
		}
		if !p.RouterDirect {
			if e := fw.exit(p.routerWay(f)); e != nil {
				add(Rule{Priority: prioRouterExit, In: "lo", Table: tableOf(e.Mark), Why: "the router itself uses exit " + e.Name})
			}
			if p.KillSwitch {
				for _, r := range routerEnd(fam) {
					add(r)
				}
			}
		}
	}
	slices.SortStableFunc(rs, func(a, b Rule) int {
		if a.Family != b.Family {
			return a.Family - b.Family
		}
		return a.Priority - b.Priority
	})
	return rs
}

// routerEnd stops what is left of the router's own packets. For IPv6 that is
// one rule. For IPv4 it is not, because the kernel looks for a route's gateway
// by the same rules (net/ipv4/fib_semantics.c, fib_check_nh_v4_gw), and a DHCP
// client must be able to add a default route the moment the uplink has its
// address. That search differs from a packet in two ways: it has no protocol,
// and it passes over routes of a wider scope than link. So packets of every
// protocol in use are stopped by rules, which hold without any table; then all
// packets by an unreachable route of scope universe; and only the search goes
// on to main.
func routerEnd(family int) []Rule {
	const why = "nothing else of the router leaves"
	if family == 6 {
		return []Rule{{Priority: prioRouterEnd, In: "lo", Unreachable: true, Why: why}}
	}
	var rs []Rule
	// ICMP, IGMP, IP-in-IP, TCP, UDP, DCCP, 6in4, GRE, ESP, AH, SCTP, UDP-Lite, raw
	for _, proto := range []uint8{1, 2, 4, protoTCP, protoUDP, 33, 41, 47, 50, 51, 132, 136, 255} {
		rs = append(rs, Rule{Priority: prioRouterEnd, In: "lo", Proto: proto, Unreachable: true, Why: why})
	}
	return append(rs,
		Rule{Priority: prioRouterStop, In: "lo", Table: TableEnd, Why: why},
		Rule{Priority: prioGateways, In: "lo", Table: TableMain, Why: "the kernel's search for a route's gateway, no packet"})
}

func tableOf(mark uint32) int { return TableLAN + int(mark>>24) }

func defaultPrefix(family int) netip.Prefix {
	if family == 4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// routes fills the LAN's table and one table an exit. Only prefixes that the
// tunnel carries and only devices that exist get a route; the end of every
// exit's table is unreachable.
func routes(p Policy, f Facts) []Route {
	var rs []Route
	local := func(dev string, pr netip.Prefix) {
		r := Route{Family: familyOf(pr.Addr()), Table: TableLAN, Dest: pr.Masked(), Device: dev}
		if !pr.Addr().IsLinkLocalUnicast() {
			r.Src = pr.Addr()
		}
		for _, have := range rs {
			if have.Table == r.Table && have.Dest == r.Dest && have.Device == dev {
				return // a second address in the same subnet
			}
		}
		rs = append(rs, r)
	}
	for _, d := range p.LAN {
		for _, pr := range f.Links[d].Prefixes {
			if f.Links[d].Up {
				local(d, pr)
			}
		}
	}
	for _, d := range nearDevices(p, f) {
		for _, pr := range f.Links[d].Prefixes {
			if pr.Addr().IsPrivate() {
				local(d, pr)
			}
		}
	}
	if !p.RouterDirect && p.KillSwitch {
		rs = append(rs, Route{Family: 4, Table: TableEnd, Dest: defaultPrefix(4), Unreachable: true, Metric: MaxMetric})
	}
	for _, e := range p.Exits {
		if !e.Enabled {
			continue
		}
		link, exists := f.Links[e.Device]
		for _, fam := range families {
			if exists && link.Up && e.Carries(fam) && (fam == 4 || !p.BlockIPv6) {
				for _, pr := range e.Allowed {
					if familyOf(pr.Addr()) == fam {
						rs = append(rs, Route{Family: fam, Table: e.Table(), Dest: pr.Masked(), Device: e.Device})
					}
				}
			}
			if p.KillSwitch {
				rs = append(rs, Route{Family: fam, Table: e.Table(), Dest: defaultPrefix(fam), Unreachable: true, Metric: MaxMetric})
			}
		}
	}
	return uniqueRoutes(rs)
}

func uniqueRoutes(rs []Route) []Route {
	seen := map[Route]bool{}
	return slices.DeleteFunc(rs, func(r Route) bool {
		dup := seen[r]
		seen[r] = true
		return dup
	})
}
