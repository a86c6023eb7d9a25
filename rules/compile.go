package rules

import (
	"net/netip"
	"slices"
	"strings"
)

// Compile makes the plan for a policy under the facts. A disabled policy makes
// the empty plan: lanseal changes nothing. Devices whose exits are all down
// are blocked, or, with the kill switch off, go direct.
func Compile(p Policy, f Facts) Plan {
	if !p.Enabled {
		return Plan{}
	}
	fw := firewall(p, f)
	return Plan{
		Rules:    policyRules(p, f, fw),
		Routes:   routes(p, f),
		Links:    links(p, f),
		Sysctls:  sysctls(p, f),
		Firewall: fw,
	}
}

// SealedPolicy is the policy under which no device of the LAN reaches
// anything outside it, whatever the user's rules say: in force at boot, and
// while the configuration cannot be read.
func SealedPolicy(p Policy) Policy {
	p.Enabled, p.KillSwitch = true, true
	p.Via = []string{ViaBlock}
	p.Devices, p.Exceptions = nil, nil
	return p
}

// Sealed is the plan of the boot seal: SealedPolicy before anything of the
// machine is known. The router itself is held by the firewall lock alone,
// because its LAN's subnets are not known before the network is up and it
// must stay reachable from the LAN.
func Sealed(p Policy) Plan {
	pl := Compile(SealedPolicy(p), Facts{})
	pl.Rules = slices.DeleteFunc(pl.Rules, func(r Rule) bool {
		return r.In == "lo" && r.Priority >= prioRouterExit
	})
	return pl
}

// way picks the first exit of the list that is up; one that failed lately only
// where no other is, so that devices are not moved back before it has settled.
func (p Policy) way(via []string, f Facts) Way {
	best, found := Exit{}, false
	for _, name := range via {
		switch {
		case found && (name == ViaDirect || name == ViaBlock):
			return Way(best.Mark())
		case name == ViaDirect:
			return Way(MarkDirect)
		case name == ViaBlock:
			return WayBlock
		}
		for _, e := range p.Exits {
			if e.Name == name && e.Enabled && f.Up[name] && (!found || f.Fresh[name] < f.Fresh[best.Name]) {
				best, found = e, true
			}
		}
	}
	if found {
		return Way(best.Mark())
	}
	if !p.KillSwitch {
		return Way(MarkDirect)
	}
	return WayBlock
}

// routerWay is the exit that carries the router's own traffic: the default
// way, or where LAN devices have none, the first exit that is up.
func (p Policy) routerWay(f Facts) Way {
	if w := p.way(p.Via, f); w != WayBlock && w != Way(MarkDirect) {
		return w
	}
	var all []string
	for _, e := range p.Exits {
		all = append(all, e.Name)
	}
	return p.way(all, f)
}

// DefaultExit is the exit of devices without a rule of their own; ok is false
// where they have none now.
func (p Policy) DefaultExit(f Facts) (exit FirewallExit, ok bool) {
	w := p.way(p.Via, f)
	for _, e := range p.Exits {
		if p.Enabled && e.Enabled && Way(e.Mark()) == w {
			return firewallExit(p, f, e), true
		}
	}
	return FirewallExit{}, false
}

// usesDirect says whether any packet of the LAN may carry MarkDirect.
func usesDirect(fw *Firewall) bool {
	if fw.Default == Way(MarkDirect) || len(fw.Exceptions) > 0 {
		return true
	}
	return slices.ContainsFunc(fw.Members, func(m Member) bool { return m.Way == Way(MarkDirect) })
}

func links(p Policy, f Facts) []LinkPlan {
	var ls []LinkPlan
	for _, e := range p.Exits {
		if _, exists := f.Links[e.Device]; e.Enabled && !e.Foreign && exists {
			ls = append(ls, LinkPlan{Name: e.Device, MTU: e.MTU, Addresses: slices.Clone(e.Addresses)})
		}
	}
	return ls
}

// sysctls lets replies through a strict reverse path filter: the lookup back
// must see the mark (src_valid_mark), because without it the way back to the
// internet is "unreachable" by design and the kernel drops the packet
// (net/ipv4/fib_frontend.c, __fib_validate_source). Uplinks are touched only
// where such a filter is on.
func sysctls(p Policy, f Facts) []Sysctl {
	var ss []Sysctl
	for _, e := range p.Exits {
		if link, exists := f.Links[e.Device]; e.Enabled && exists && (!e.Foreign || link.RPFilter > 0) {
			ss = append(ss, Sysctl{Path: "net/ipv4/conf/" + e.Device + "/src_valid_mark", Value: "1", Shared: e.Foreign})
		}
	}
	for _, d := range uplinks(p, f) {
		if link, exists := f.Links[d]; exists && link.RPFilter > 0 {
			ss = append(ss, Sysctl{Path: "net/ipv4/conf/" + d + "/src_valid_mark", Value: "1", Shared: true})
		}
	}
	return ss
}

// uplinks are the devices named by the user and every other with a default
// route, but never a LAN device or an exit's.
func uplinks(p Policy, f Facts) []string {
	ups := slices.Clone(p.WAN)
	ups = append(ups, f.Uplinks...)
	slices.Sort(ups)
	ups = slices.Compact(ups)
	return slices.DeleteFunc(ups, func(d string) bool {
		return strings.HasPrefix(d, DevicePrefix) || slices.Contains(p.LAN, d) || slices.ContainsFunc(p.Exits, func(e Exit) bool { return e.Device == d })
	})
}

// nearDevices are those with private addresses that are neither LAN, uplink
// nor exit: management, containers. The router may talk to their subnets, but
// only where the user named the uplinks: an uplink that has just lost its
// default route looks the same.
func nearDevices(p Policy, f Facts) []string {
	if len(p.WAN) == 0 {
		return nil
	}
	ups := uplinks(p, f)
	var near []string
	for name, l := range f.Links {
		switch {
		case l.Loopback || !l.Up || strings.HasPrefix(name, DevicePrefix) || slices.Contains(p.LAN, name) || slices.Contains(ups, name):
		case slices.ContainsFunc(p.Exits, func(e Exit) bool { return e.Device == name }):
		case slices.ContainsFunc(l.Prefixes, func(pr netip.Prefix) bool { return pr.Addr().IsPrivate() }):
			near = append(near, name)
		}
	}
	slices.Sort(near)
	return near
}

// orphans are devices of lanseal's making that belong to no exit in force: the
// configuration has become invalid, or an agent was killed before it removed
// one. Their tunnels may still deliver what servers answer.
func orphans(p Policy, f Facts) []string {
	var all []string
	for name := range f.Links {
		if strings.HasPrefix(name, DevicePrefix) && !slices.ContainsFunc(p.Exits, func(e Exit) bool { return e.Enabled && e.Device == name }) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func firewall(p Policy, f Facts) *Firewall {
	fw := &Firewall{
		LAN:          slices.Clone(p.LAN),
		Uplinks:      uplinks(p, f),
		Near:         nearDevices(p, f),
		Orphans:      orphans(p, f),
		Default:      p.way(p.Via, f),
		Hijack:       p.DNS != DNSOff,
		Redirect:     f.Resolver,
		BlockDoT:     p.BlockDoT,
		BlockDoH:     p.BlockDoH,
		RouterDirect: p.RouterDirect || (!p.KillSwitch && p.routerWay(f) == Way(MarkDirect)),
		BlockIPv6:    p.BlockIPv6,
		RouterTime:   f.TimeUnknown && !p.RouterDirect && p.routerWay(f) == WayBlock,
	}
	fw.Net = netDevices(p, f, fw.RouterDirect)
	for _, e := range p.Exits {
		if e.Enabled {
			fw.Exits = append(fw.Exits, firewallExit(p, f, e))
			if e.Foreign {
				fw.Foreign = append(fw.Foreign, e.Device)
			}
		}
	}
	for _, d := range p.Devices {
		w := p.way(d.Via, f)
		for _, m := range d.MACs {
			fw.Members = append(fw.Members, Member{Device: d.Name, MAC: m, Way: w})
		}
		for _, ip := range d.IPs {
			fw.Members = append(fw.Members, Member{Device: d.Name, IP: ip, Way: w})
		}
	}
	for _, x := range p.Exceptions {
		fx := FirewallException{Name: x.Name, Dest: x.Dest, Proto: x.Proto, Ports: x.Ports}
		for _, d := range p.Devices {
			if slices.Contains(x.Devices, d.Name) {
				fx.MACs = append(fx.MACs, d.MACs...)
				fx.IPs = append(fx.IPs, d.IPs...)
			}
		}
		fw.Exceptions = append(fw.Exceptions, fx)
	}
	return fw
}

func firewallExit(p Policy, f Facts, e Exit) FirewallExit {
	fe := FirewallExit{
		Name: e.Name, Mark: e.Mark(), Device: e.Device, Up: f.Up[e.Name],
		V4: e.Carries(4), V6: e.Carries(6) && !p.BlockIPv6,
		ClampMSS: true, Masquerade: true,
	}
	for _, a := range e.Addresses {
		fe.Addresses = append(fe.Addresses, a.Addr())
	}
	if e.Foreign {
		for _, pr := range f.Links[e.Device].Prefixes {
			if !pr.Addr().IsLinkLocalUnicast() {
				fe.Addresses = append(fe.Addresses, pr.Addr())
			}
		}
	}
	resolvers := e.Resolvers
	if p.DNS == DNSCustom {
		resolvers = p.Resolvers
	}
	if len(resolvers) == 0 {
		resolvers = PublicResolvers()
	}
	for _, r := range resolvers {
		switch {
		case familyOf(r) == 4 && fe.V4 && !fe.Resolver4.IsValid():
			fe.Resolver4 = r
		case familyOf(r) == 6 && fe.V6 && !fe.Resolver6.IsValid():
			fe.Resolver6 = r
		}
	}
	return fe
}
