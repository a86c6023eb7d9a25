package rules

import (
	"fmt"
	"strings"
)

// String is the rule as "ip rule" prints it, with the reason behind it.
func (r Rule) String() string {
	var b strings.Builder
	cmd := "ip rule"
	if r.Family == 6 {
		cmd = "ip -6 rule"
	}
	fmt.Fprintf(&b, "%s %d: from all", cmd, r.Priority)
	if r.Mark != 0 {
		fmt.Fprintf(&b, " fwmark 0x%x/0x%x", r.Mark, MarkMask)
	}
	if r.In != "" {
		fmt.Fprintf(&b, " iif %s", r.In)
	}
	if r.Out != "" {
		fmt.Fprintf(&b, " oif %s", r.Out)
	}
	if r.Proto == protoUDP {
		b.WriteString(" ipproto udp")
	} else if r.Proto != 0 {
		fmt.Fprintf(&b, " ipproto %d", r.Proto)
	}
	if r.Sport != 0 {
		fmt.Fprintf(&b, " sport %d", r.Sport)
	}
	if r.Dport != 0 {
		fmt.Fprintf(&b, " dport %d", r.Dport)
	}
	switch {
	case r.Foreign != "":
		b.WriteString(" " + r.Foreign)
	case r.Unreachable:
		b.WriteString(" unreachable")
	case r.Table == TableMain:
		b.WriteString(" lookup main")
	default:
		fmt.Fprintf(&b, " lookup %d", r.Table)
	}
	if r.Why != "" {
		b.WriteString("  # " + r.Why)
	}
	return b.String()
}

// String is the route as "ip route" prints it.
func (r Route) String() string {
	var b strings.Builder
	cmd := "ip route"
	if r.Family == 6 {
		cmd = "ip -6 route"
	}
	b.WriteString(cmd + " ")
	if r.Unreachable {
		b.WriteString("unreachable ")
	}
	if r.Dest.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(r.Dest.String())
	}
	if r.Device != "" {
		b.WriteString(" dev " + r.Device)
	}
	fmt.Fprintf(&b, " table %d", r.Table)
	if r.Src.IsValid() {
		fmt.Fprintf(&b, " src %s", r.Src)
	}
	if r.Metric != 0 {
		fmt.Fprintf(&b, " metric %d", r.Metric)
	}
	if r.Foreign != "" {
		b.WriteString(" " + r.Foreign)
	}
	return b.String()
}

// String is the link as "ip addr" would be told.
func (l LinkPlan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ip link %s up", l.Name)
	if l.MTU > 0 {
		fmt.Fprintf(&b, " mtu %d", l.MTU)
	}
	for _, a := range l.Addresses {
		b.WriteString(" addr " + a.String())
	}
	return b.String()
}

// Text is the routing half of the plan, one line each; the firewall half is
// NFT or IPTables.
func (p Plan) Text() string {
	var b strings.Builder
	section := func(title string) { fmt.Fprintf(&b, "# %s\n", title) }
	if len(p.Links) > 0 {
		section("tunnel devices")
		for _, l := range p.Links {
			fmt.Fprintln(&b, l)
		}
	}
	if len(p.Sysctls) > 0 {
		section("sysctls")
		for _, s := range p.Sysctls {
			fmt.Fprintf(&b, "%s = %s\n", s.Path, s.Value)
		}
	}
	section("routing lock: rules")
	for _, r := range p.Rules {
		fmt.Fprintln(&b, r)
	}
	section("routing lock: routes")
	for _, r := range p.Routes {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}
