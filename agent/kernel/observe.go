package kernel

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// State is one look at the kernel: the facts that a plan is made from, and
// what it holds of lanseal's already.
type State struct {
	Facts rules.Facts // without Up and Resolver, which the kernel does not know
	Have  rules.Plan  // Firewall is not looked at: see FirewallDiffers
	All   []rules.Rule
	// Carrier are the devices that are up and whose other end is there.
	Carrier map[string]bool

	ruleRaws  map[rules.Rule][]raw
	routeRaws map[rules.Route]raw
}

// Observe reads links, addresses, rules and routes: netlink only, no exec.
func (k *Kernel) Observe() (State, error) {
	var s State
	links, err := k.nl.LinkList()
	if err != nil {
		return s, fmt.Errorf("listing links: %w", err)
	}
	s.Facts.Links = make(map[string]rules.Link, len(links))
	names := make(map[int]string, len(links))
	mtus := map[string]int{}
	s.Carrier = map[string]bool{}
	for _, l := range links {
		a := l.Attrs()
		names[a.Index] = a.Name
		mtus[a.Name] = a.MTU
		s.Carrier[a.Name] = a.RawFlags&unix.IFF_RUNNING != 0
		s.Facts.Links[a.Name] = rules.Link{
			Up: a.Flags&net.FlagUp != 0, Loopback: a.Flags&net.FlagLoopback != 0, RPFilter: rpFilter(a.Name),
		}
	}
	for _, l := range links {
		// A veth's "parent" is its other end.
		if parent := names[l.Attrs().ParentIndex]; parent != "" && slices.Contains([]string{"vlan", "macvlan", "macvtap", "ipvlan"}, l.Type()) {
			carrier := s.Facts.Links[parent]
			carrier.Carries = true
			s.Facts.Links[parent] = carrier
		}
	}
	addrs, err := k.nl.AddrList(nil, 0)
	if err != nil {
		return s, fmt.Errorf("listing addresses: %w", err)
	}
	for _, a := range addrs {
		name := names[a.LinkIndex]
		addr, ok := netip.AddrFromSlice(a.IP)
		if !ok || name == "" {
			continue
		}
		ones, _ := a.Mask.Size()
		l := s.Facts.Links[name]
		l.Prefixes = append(l.Prefixes, netip.PrefixFrom(addr.Unmap(), ones))
		s.Facts.Links[name] = l
	}
	routes, err := listRoutes(names)
	if err != nil {
		return s, err
	}
	s.Facts.Uplinks = routes.uplinks
	s.Have.Routes, s.routeRaws = routes.own, routes.raws
	if s.All, s.ruleRaws, err = listRules(); err != nil {
		return s, err
	}
	for _, r := range s.All {
		if r.Priority >= rules.PriorityFirst && r.Priority <= rules.PriorityLast {
			s.Have.Rules = append(s.Have.Rules, r)
		}
	}
	for name, l := range s.Facts.Links {
		if strings.HasPrefix(name, rules.DevicePrefix) && l.Up {
			s.Have.Links = append(s.Have.Links, rules.LinkPlan{Name: name, MTU: mtus[name], Addresses: withoutLinkLocal(l.Prefixes)})
		}
	}
	return s, nil
}

func withoutLinkLocal(ps []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(ps), func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
}

// ReadSysctls adds to the state which of the wanted sysctls already hold.
func (s *State) ReadSysctls(want []rules.Sysctl) {
	for _, w := range want {
		if v, err := readSysctl(w.Path); err == nil && v == w.Value {
			s.Have.Sysctls = append(s.Have.Sysctls, w)
		}
	}
}

// FirewallDiffers compares the firewall lock with fw, in words; it runs a
// program, so it is called when something hints at a change, and at full
// checks.
func (k *Kernel) FirewallDiffers(ctx context.Context, fw *rules.Firewall) ([]string, error) {
	return k.fw.Differs(ctx, fw)
}

// rpFilter is the strictness in force on a device: the kernel takes the larger
// of the device's own and "all" (Documentation/networking/ip-sysctl).
func rpFilter(device string) int {
	most := 0
	for _, d := range []string{"all", device} {
		if v, err := readSysctl("net/ipv4/conf/" + d + "/rp_filter"); err == nil {
			n, _ := strconv.Atoi(v)
			most = max(most, n)
		}
	}
	return most
}

func readSysctl(path string) (string, error) {
	b, err := os.ReadFile("/proc/sys/" + path)
	return strings.TrimSpace(string(b)), err
}

// Forwards says whether the machine is a router at all.
func (k *Kernel) Forwards() bool {
	v, err := readSysctl("net/ipv4/ip_forward")
	return err != nil || v != "0"
}
