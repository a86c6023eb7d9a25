package rules_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/lanseal/lanseal/rules"
)

// This file draws policies, facts, garbage and flows at random, from a seed.

type dice struct{ *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 20261123))} }

func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

func pick[T any](d dice, xs ...T) T { return xs[d.IntN(len(xs))] }

// some takes each of xs with the same chance, in a random order.
func some[T any](d dice, percent int, xs ...T) []T {
	var out []T
	for _, i := range d.Perm(len(xs)) {
		if d.chance(percent) {
			out = append(out, xs[i])
		}
	}
	return out
}

func addrs(ss ...string) (as []netip.Addr) {
	for _, s := range ss {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

func prefixes(ss ...string) (ps []netip.Prefix) {
	for _, s := range ss {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

var (
	exitNames  = []string{"se", "no", "us", "box"}
	randomMACs = []string{"aa:bb:cc:dd:ee:01", "aa:bb:cc:dd:ee:02", "aa:bb:cc:dd:ee:03"}
	randomIPs  = addrs("192.168.1.51", "192.168.1.52", "192.168.2.50", "fd01::51", "fd02::50")
)

func (d dice) via() []string {
	switch d.IntN(10) {
	case 0:
		return []string{rules.ViaDirect}
	case 1:
		return []string{rules.ViaBlock}
	}
	names := some(d, 50, exitNames...)
	if len(names) == 0 {
		names = []string{pick(d, exitNames...)}
	}
	return names
}

func (d dice) exit(i int) rules.Exit {
	e := rules.Exit{Name: exitNames[i], Number: i + 1, Enabled: d.chance(85), Device: "ls-" + exitNames[i]}
	if e.Foreign = exitNames[i] == "box"; e.Foreign {
		e.Device = "tun9"
		e.Allowed = prefixes("0.0.0.0/0", "::/0")
		return e
	}
	e.Addresses = pick(d, prefixes("10.64.0.2/32", "fd64::2/128"), prefixes("10.65.0.2/32"), prefixes("fd66::2/128"))
	e.Allowed = pick(d, prefixes("0.0.0.0/0", "::/0"), prefixes("0.0.0.0/0"), prefixes("0.0.0.0/1", "128.0.0.0/1", "::/0"),
		prefixes("198.51.100.0/24", "2001:db8:5::/48"), prefixes("192.168.1.0/24", "0.0.0.0/0"))
	e.Resolvers = pick(d, nil, addrs("10.64.0.1"), addrs("fd64::1", "10.64.0.1"), addrs("203.0.113.53"))
	e.MTU = pick(d, 0, 1380, 1420)
	return e
}

func (d dice) policy() rules.Policy {
	p := rules.Policy{
		Enabled: d.chance(92), KillSwitch: d.chance(80),
		LAN: pick(d, []string{"br-lan"}, []string{"br-lan"}, []string{"br-lan", "br-guest"}),
		WAN: pick(d, nil, []string{"wan"}),
		Via: d.via(),
		DNS: pick(d, rules.DNSTunnel, rules.DNSTunnel, rules.DNSCustom, rules.DNSOff), BlockIPv6: d.chance(15),
		BlockDoT: d.chance(50), BlockDoH: d.chance(20), RouterDirect: d.chance(20),
	}
	if p.DNS == rules.DNSCustom {
		p.Resolvers = addrs("10.99.0.1", "2001:db8:53::1")
	}
	for i := range exitNames {
		p.Exits = append(p.Exits, d.exit(i))
	}
	for i, name := range some(d, 50, "tv", "console", "work") {
		dev := rules.Device{Name: name, Via: d.via()}
		if d.chance(60) {
			dev.MACs = []string{randomMACs[i]}
		}
		if d.chance(60) || len(dev.MACs) == 0 {
			dev.IPs = []netip.Addr{randomIPs[i], randomIPs[i+2]}
		}
		p.Devices = append(p.Devices, dev)
	}
	for _, name := range some(d, 30, "iptv", "ping") {
		x := rules.Exception{Name: name, Dest: pick(d, prefixes("198.51.100.0/28"), prefixes("203.0.113.0/24", "2001:db8:5::/64")),
			Proto: pick(d, "any", "tcp", "udp", "icmp")}
		if len(p.Devices) > 0 && d.chance(50) {
			x.Devices = []string{p.Devices[0].Name}
		}
		if x.Proto == "tcp" || x.Proto == "udp" {
			x.Ports = pick(d, nil, []rules.PortRange{{First: 5000, Last: 5999}}, []rules.PortRange{{First: 53, Last: 53}})
		}
		p.Exceptions = append(p.Exceptions, x)
	}
	return p
}

func (d dice) facts() rules.Facts {
	f := rules.Facts{Links: map[string]rules.Link{}, Up: map[string]bool{}, Fresh: map[string]int{}, Resolver: d.chance(30), TimeUnknown: d.chance(50)}
	link := func(percent int, name string, ps ...string) {
		if d.chance(percent) {
			f.Links[name] = rules.Link{Up: d.chance(90), Prefixes: prefixes(ps...), RPFilter: pick(d, 0, 0, 1, 2)}
		}
	}
	f.Links["lo"] = rules.Link{Up: true, Loopback: true, Prefixes: prefixes("127.0.0.1/8", "::1/128")}
	link(95, "br-lan", "192.168.1.1/24", "fd01::1/64", "fe80::1/64")
	link(70, "br-guest", "192.168.2.1/24", "fd02::1/64", "fe80::3/64")
	link(95, "wan", "203.0.113.2/24", "2001:db8:ffff::2/64")
	link(30, "wan2", "198.18.2.2/24")
	link(30, "mgmt", "10.9.0.2/24")
	for _, name := range exitNames[:3] {
		link(80, "ls-"+name, "10.64.0.2/32")
	}
	link(70, "tun9", "10.77.0.2/24", "fd77::2/64")
	f.Uplinks = some(d, 80, "wan", "wan2")
	slices.Sort(f.Uplinks)
	dark := d.chance(15) // no exit is up
	for _, name := range exitNames {
		f.Up[name] = d.chance(60) && !dark
		if f.Up[name] && d.chance(30) {
			f.Fresh[name] = len(f.Fresh) + 1
		}
	}
	return f
}

func (d dice) flow() rules.Flow {
	v6 := d.chance(35)
	f := rules.Flow{In: pick(d, "br-lan", "br-lan", "br-guest"), MAC: pick(d, append(randomMACs, "", "", "02:00:00:00:00:99")...),
		Proto: pick(d, "tcp", "udp", "udp", "icmp", "")}
	if v6 {
		f.Src = pick(d, addrs("fd01::50", "fd01::51", "fd02::50", "2001:db8:100::50", "fe80::50")...)
		f.Dst = pick(d, addrs("2001:db8:5::10", "2001:db8:ffff::53", "2620:fe::fe", "2001:db8:6::1", "fd01::60")...)
	} else {
		f.Src = pick(d, addrs("192.168.1.50", "192.168.1.51", "192.168.1.52", "192.168.2.50", "169.254.7.7", "203.0.113.77")...)
		f.Dst = pick(d, addrs("198.51.100.10", "198.51.100.200", "203.0.113.1", "203.0.113.53", "9.9.9.9", "1.1.1.1", "10.64.0.1", "192.168.1.60", "192.168.2.60", "10.9.0.9", "192.0.2.10")...)
	}
	if f.Proto == "tcp" || f.Proto == "udp" {
		f.Dport = pick(d, uint16(53), 53, 123, 443, 853, 5500, 51820)
	}
	return f
}

// garbage is what others may have left in lanseal's own ranges, or what of an
// older plan is left after somebody deleted half of it.
func (d dice) garbage(from rules.Plan) rules.Plan {
	have := rules.Plan{Links: from.Links, Sysctls: some(d, 70, from.Sysctls...)}
	have.Rules = some(d, pick(d, 0, 30, 70, 100), from.Rules...)
	have.Routes = some(d, pick(d, 0, 30, 70, 100), from.Routes...)
	for range d.IntN(5) {
		r := rules.Rule{Family: pick(d, 4, 6), Priority: 500 + d.IntN(30), In: pick(d, "", "br-lan", "br-guest", "lo"), Table: pick(d, rules.TableMain, rules.TableMain, rules.TableLAN, rules.TableLAN+1, 100)}
		switch d.IntN(4) {
		case 0:
			r.Table, r.Unreachable = 0, true
		case 1:
			r.Foreign = "[tos 0x10]"
		case 2:
			r.Mark = pick(d, rules.MarkDirect, rules.MarkTransport, 1<<24)
		}
		have.Rules = append(have.Rules, r)
	}
	for range d.IntN(6) {
		r := rules.Route{Family: pick(d, 4, 6), Table: rules.TableLAN + d.IntN(5), Device: pick(d, "wan", "wan", "ls-se", "br-lan", "mgmt"), Metric: pick(d, uint32(0), 0, 100, rules.MaxMetric)}
		r.Dest = pick(d, prefixes("0.0.0.0/0", "198.51.100.0/24", "203.0.113.0/24", "128.0.0.0/1")...)
		if r.Family == 6 {
			r.Dest = pick(d, prefixes("::/0", "2001:db8:5::/48", "8000::/1")...)
		}
		switch d.IntN(4) {
		case 0:
			r.Device, r.Unreachable = "", true
		case 1:
			r.Foreign = "[via 203.0.113.1]"
		}
		have.Routes = append(have.Routes, r)
	}
	have.Rules, have.Routes = unique(have.Rules, rules.Rule.Key), unique(have.Routes, rules.Route.Key)
	return have
}

func unique[T any, K comparable](xs []T, key func(T) K) []T {
	seen := map[K]bool{}
	return slices.DeleteFunc(xs, func(x T) bool {
		k := key(x)
		dup := seen[k]
		seen[k] = true
		return dup
	})
}
