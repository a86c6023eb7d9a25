package rules

import (
	"fmt"
	"net/netip"
	"slices"
)

// Flow is one packet, as it arrives from the LAN or leaves the router.
type Flow struct {
	In    string // a LAN device; "lo" for the router's own packets
	MAC   string // sender's hardware address, lower case; may be empty
	Src   netip.Addr
	Dst   netip.Addr
	Proto string // "tcp", "udp", "icmp" or empty
	Dport uint16
	Mark  uint32 // only with In "lo": what the program set
}

// Outcome is where a flow ends.
type Outcome string

// The outcomes of Explain. ByMain is the uplink, or whatever else the system's
// own tables say: for a protected device the same as a leak.
const (
	Refused  Outcome = "refused"
	ByExit   Outcome = "by exit"
	ToLAN    Outcome = "to the LAN"
	ByMain   Outcome = "by the main table"
	Resolver Outcome = "to the resolver"
)

// Path says what a plan does with a flow.
type Path struct {
	Outcome Outcome
	Mark    uint32
	Device  string // by which it leaves, if known
	Because string // the rule that decided
}

// String is the path in a sentence.
func (p Path) String() string {
	s := string(p.Outcome)
	if p.Device != "" {
		s += " " + p.Device
	}
	return s + ": " + p.Because
}

// Explain follows one flow through both locks of a plan. Either lock may be
// absent: a nil firewall marks and refuses nothing, missing rules leave the
// packet to the main table.
func Explain(p Plan, f Flow) Path {
	mark, refused := f.Mark, ""
	dst := f.Dst
	fw := p.Firewall
	lan := fw != nil && slices.Contains(fw.LAN, f.In)
	if lan {
		var way Way
		way, refused = fw.judge(f)
		if to, local := p.lookup(TableLAN, f.Dst); local && slices.Contains(fw.LAN, to.Device) && !fw.hijacks(f) {
			refused = "" // from LAN to LAN
		}
		mark = uint32(way)
		if refused == "" && fw.hijacks(f) && fw.exit(way) != nil {
			if fw.Redirect && fw.Default == way {
				return Path{Outcome: Resolver, Mark: mark, Because: "the router's own, which asks through the tunnel"}
			}
			if r := fw.resolverFor(way, familyOf(f.Dst)); r.IsValid() {
				dst = r
			}
		}
	}
	if refused != "" {
		return Path{Outcome: Refused, Mark: mark, Because: "firewall lock: " + refused}
	}
	device, because, found := p.route(f, dst, mark)
	if !found {
		return Path{Outcome: Refused, Mark: mark, Because: "routing lock: " + because}
	}
	out := Path{Mark: mark, Device: device, Because: because}
	switch {
	case device == "":
		out.Outcome = ByMain
	case p.isTunnel(device):
		out.Outcome = ByExit
		if dst != f.Dst {
			out.Outcome = Resolver
		}
	default:
		out.Outcome = ToLAN
	}
	if fw == nil {
		return out
	}
	if why := fw.forbids(f, lan, mark, out); why != "" {
		return Path{Outcome: Refused, Mark: mark, Because: "firewall lock: " + why}
	}
	return out
}

func (p Plan) isTunnel(device string) bool {
	return slices.ContainsFunc(p.Routes, func(r Route) bool { return r.Device == device && r.Table > TableLAN && r.Table < TableEnd })
}

// route walks the ip rules as the kernel does: by priority, each table by the
// longest prefix and then the lowest metric; a table without a match leads on.
func (p Plan) route(f Flow, dst netip.Addr, mark uint32) (device, because string, found bool) {
	rs := slices.Clone(p.Rules)
	slices.SortStableFunc(rs, func(a, b Rule) int { return a.Priority - b.Priority })
	for _, r := range rs {
		switch {
		case r.Family != familyOf(dst) || r.In != "" && r.In != f.In || r.Out != "":
			continue
		case r.Mark != 0 && mark&MarkMask != r.Mark:
			continue
		case r.Sport != 0, r.Dport != 0 && r.Dport != f.Dport, r.Proto != 0 && r.Proto != protoNumber(f.Proto): // a port: the uplink's own DHCP
			continue
		case r.Unreachable:
			return "", r.Why, false
		case r.Table == TableMain:
			return "", r.Why, true
		}
		if best, ok := p.lookup(r.Table, dst); ok {
			if best.Unreachable {
				return "", fmt.Sprintf("table %d: unreachable", r.Table), false
			}
			return best.Device, r.Why, true
		}
	}
	return "", "no rule of lanseal's holds it", true
}

func protoNumber(name string) uint8 {
	switch name {
	case "tcp":
		return protoTCP
	case "udp":
		return protoUDP
	case "icmp":
		return 1
	}
	return 0
}

func (p Plan) lookup(table int, dst netip.Addr) (best Route, ok bool) {
	for _, r := range p.Routes {
		if r.Table != table || !r.Dest.Contains(dst) {
			continue
		}
		if !ok || r.Dest.Bits() > best.Dest.Bits() || r.Dest.Bits() == best.Dest.Bits() && r.Metric < best.Metric {
			best, ok = r, true
		}
	}
	return best, ok
}

// WayOf is the way of a sender on the LAN: by hardware address first, then by
// address, else the default.
func (fw *Firewall) WayOf(mac string, src netip.Addr) Way {
	for _, m := range fw.Members {
		if m.MAC != "" && m.MAC == mac {
			return m.Way
		}
	}
	for _, m := range fw.Members {
		if m.MAC == "" && m.IP == src {
			return m.Way
		}
	}
	return fw.Default
}

// Excepted says whether one of the exceptions covers the flow.
func (fw *Firewall) Excepted(f Flow) bool {
	return slices.ContainsFunc(fw.Exceptions, func(x FirewallException) bool {
		who := len(x.MACs) == 0 && len(x.IPs) == 0 || slices.Contains(x.MACs, f.MAC) || slices.Contains(x.IPs, f.Src)
		dest := slices.ContainsFunc(x.Dest, func(p netip.Prefix) bool { return p.Contains(f.Dst) })
		proto := x.Proto == "" || x.Proto == "any" || x.Proto == f.Proto
		port := len(x.Ports) == 0 || slices.ContainsFunc(x.Ports, func(p PortRange) bool { return p.First <= f.Dport && f.Dport <= p.Last })
		return who && dest && proto && port
	})
}

func (fw *Firewall) hijacks(f Flow) bool {
	return fw.Hijack && f.Dport == 53 && (f.Proto == "udp" || f.Proto == "tcp")
}

func (fw *Firewall) resolverFor(w Way, family int) netip.Addr {
	e := fw.exit(w)
	if e == nil {
		return netip.Addr{}
	}
	if family == 4 {
		return e.Resolver4
	}
	return e.Resolver6
}

// judge is the prerouting half: the way of a LAN packet, and why it is refused
// there, if it is.
func (fw *Firewall) judge(f Flow) (Way, string) {
	if fw.Excepted(f) {
		return Way(MarkDirect), ""
	}
	way := fw.WayOf(f.MAC, f.Src)
	family := familyOf(f.Dst)
	transport := f.Proto == "tcp" || f.Proto == "udp"
	switch e := fw.exit(way); {
	case way == Way(MarkDirect):
		if fw.BlockIPv6 && family == 6 {
			return way, "ipv6 'block'"
		}
		return way, ""
	case e == nil:
		return WayBlock, "no exit for this device"
	case fw.hijacks(f):
		redirect := fw.Redirect && fw.Default == way
		if !redirect && !fw.resolverFor(way, family).IsValid() {
			return way, "no resolver for this family"
		}
		return way, ""
	case fw.BlockDoT && transport && f.Dport == 853:
		return way, "DNS over TLS and QUIC"
	case fw.BlockDoH && transport && f.Dport == 443 && slices.Contains(DoHAddresses(), f.Dst):
		return way, "DNS over HTTPS to a well-known resolver"
	case family == 4 && !e.V4, family == 6 && !e.V6:
		return way, fmt.Sprintf("exit %s carries no IPv%d", e.Name, family)
	}
	return way, ""
}

// forbids is the forward and output half: why the packet may not leave by
// where routing sent it, or nothing.
func (fw *Firewall) forbids(f Flow, lan bool, mark uint32, to Path) string {
	if !lan {
		time := fw.RouterTime && f.Proto == "udp" && f.Dport == portNTP
		if f.In == "lo" && to.Outcome == ByMain && !fw.RouterDirect && mark != MarkTransport && !time {
			return "the router itself sends only encrypted packets to the WAN"
		}
		return ""
	}
	switch to.Outcome {
	case ToLAN:
		if !slices.Contains(fw.LAN, to.Device) {
			return "a network beside the LAN is not a way out"
		}
	case ByMain:
		if mark != MarkDirect {
			return "not a direct device"
		}
	case ByExit, Resolver:
		if e := fw.exit(Way(mark)); e == nil || e.Device != to.Device {
			return "not this device's exit"
		}
	}
	return ""
}
