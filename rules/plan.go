package rules

import "net/netip"

// Plan is what the kernel must hold: a value, comparable as text, applied by
// agent/kernel and printed by the printers of this package.
type Plan struct {
	Rules    []Rule  // ip rules, in order of evaluation
	Routes   []Route // routes of tables 5200…5320 and nothing else
	Links    []LinkPlan
	Sysctls  []Sysctl
	Firewall *Firewall // nil: none of lanseal's tables or chains exist
}

// Rule is one ip rule. The zero value of a field means "not matched on".
type Rule struct {
	Family      int // 4 or 6
	Priority    int
	In, Out     string // incoming device; "lo" is the router itself. Out: the device a socket is bound to
	Mark        uint32 // under MarkMask
	Proto       uint8  // IP protocol number
	Sport       uint16
	Dport       uint16
	Table       int    // 0 with Unreachable
	Unreachable bool   // answer "unreachable" at once
	Foreign     string // found in lanseal's range but not of its making: the kernel's own words
	Why         string
}

// Key is the rule without its comment: what the kernel knows of it.
func (r Rule) Key() Rule {
	r.Why = ""
	return r
}

// MaxMetric is the largest metric a route can have, so that every other route
// of the table is better.
const MaxMetric uint32 = 4294967295

// Route is one route of one of lanseal's own tables.
type Route struct {
	Family      int // 4 or 6
	Table       int
	Dest        netip.Prefix // 0.0.0.0/0 or ::/0 is the default route
	Device      string       // empty with Unreachable
	Src         netip.Addr   // preferred source address, if valid
	Unreachable bool
	Metric      uint32
	Foreign     string // found in lanseal's table but not of its making: the kernel's own words
}

// LinkPlan is what a tunnel device of lanseal's must carry.
type LinkPlan struct {
	Name      string
	MTU       int // bytes; 0: as it is
	Addresses []netip.Prefix
}

// Sysctl is a kernel setting below /proc/sys, for example
// net/ipv4/conf/wan/src_valid_mark. Shared says that the device is not
// lanseal's own: the value found is recorded and put back on unseal.
type Sysctl struct {
	Path   string
	Value  string
	Shared bool
}

// Way is where packets go, as the firewall mark that says so: an exit's mark,
// MarkDirect, or WayBlock.
type Way uint32

// WayBlock lets nothing out.
const WayBlock Way = 0

// Firewall is the firewall lock as data. Its printers are text/nft in nft.go
// and iptables in iptables.go; Explain reads the same value.
type Firewall struct {
	LAN        []string // protected devices; none: not known
	Uplinks    []string // devices known to lead to the internet
	Near       []string // other local networks' devices (management, containers): the router itself may talk to them
	Foreign    []string // exits' devices that somebody else makes
	Net        []string // uplinks under the third net, see NFTNet
	Orphans    []string // devices of exits that are not in force, and may still deliver: held like the others
	Exits      []FirewallExit
	Default    Way // devices without an own rule
	Members    []Member
	Exceptions []FirewallException

	Hijack       bool // answer port 53 by the exit's resolver, or refuse
	Redirect     bool // devices on the default way ask the router's own resolver
	BlockDoT     bool
	BlockDoH     bool
	RouterDirect bool // the router's own traffic may use the WAN
	RouterTime   bool // its NTP may, because the clock is not known and no exit is up
	BlockIPv6    bool
}

// FirewallExit is one enabled exit.
type FirewallExit struct {
	Name       string
	Mark       uint32
	Device     string
	Up         bool
	V4, V6     bool         // families it carries
	Addresses  []netip.Addr // its own, that must never be seen elsewhere
	Resolver4  netip.Addr   // who answers DNS; invalid: refused
	Resolver6  netip.Addr
	ClampMSS   bool
	Masquerade bool
}

// Member maps one identity on the LAN, a MAC or an address, to its way.
type Member struct {
	Device string // the user's name for it
	MAC    string // either MAC
	IP     netip.Addr
	Way    Way
}

// FirewallException is one exception, resolved to identities.
type FirewallException struct {
	Name  string
	MACs  []string // with IPs both empty: every device
	IPs   []netip.Addr
	Dest  []netip.Prefix
	Proto string
	Ports []PortRange
}

// exit finds an exit by its way.
func (f *Firewall) exit(w Way) *FirewallExit {
	for i := range f.Exits {
		if f.Exits[i].Mark == uint32(w) {
			return &f.Exits[i]
		}
	}
	return nil
}

// DoHAddresses are well-known DNS-over-HTTPS resolvers, refused on port 443
// when the user asks for it: Cloudflare, Google, Quad9, OpenDNS, AdGuard.
func DoHAddresses() []netip.Addr {
	var as []netip.Addr
	for _, s := range []string{
		"1.0.0.1", "1.0.0.2", "1.0.0.3", "1.1.1.1", "1.1.1.2", "1.1.1.3",
		"8.8.4.4", "8.8.8.8", "9.9.9.9", "9.9.9.10", "9.9.9.11", "149.112.112.112",
		"94.140.14.14", "94.140.15.15", "208.67.220.220", "208.67.222.222",
		"2001:4860:4860::8844", "2001:4860:4860::8888",
		"2606:4700:4700::1001", "2606:4700:4700::1111",
		"2620:119:35::35", "2620:119:53::53", "2620:fe::9", "2620:fe::fe",
		"2a10:50c0::ad1:ff", "2a10:50c0::ad2:ff",
	} {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}
