package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// flowKey tells one flow from another.
type flowKey struct {
	src, dst     netip.Addr
	sport, dport uint16
	proto        uint8
}

func keyOf(flow *netlink.ConntrackFlow) flowKey {
	f := flow.Forward
	return flowKey{addr(f.SrcIP), addr(f.DstIP), f.SrcPort, f.DstPort, f.Protocol}
}

var conntrackFamilies = []netlink.InetFamily{unix.AF_INET, unix.AF_INET6}

// doom lists the flows that will be on a wrong way under a lock, before it is
// loaded: from then on it marks every packet anew, and exits that share an
// address cannot be told apart by the translation. Where flows cannot be
// listed, flush goes by what it sees.
func (k *Kernel) doom(f rules.Facts, fw *rules.Firewall) {
	k.doomed = map[flowKey]bool{}
	stale := k.stale(f, fw)
	for _, family := range conntrackFamilies {
		flows, err := k.nl.ConntrackTableList(netlink.ConntrackTable, family)
		if err != nil {
			return
		}
		for _, flow := range flows {
			if stale.MatchConntrackFlow(flow) {
				k.doomed[keyOf(flow)] = true
			}
		}
	}
}

// flush deletes the LAN's flows whose conntrack mark or translation is not that
// of their device's way: those from before protection, those of another exit,
// and those that began while a tunnel lacked its address. Flows on the right way
// go on without a lost byte, where flows can be listed; where not, all are
// forgotten, unless gentle.
func (k *Kernel) flush(f rules.Facts, fw *rules.Firewall, gentle bool) error {
	stale := k.stale(f, fw)
	stale.doomed, k.doomed = k.doomed, nil
	for _, family := range conntrackFamilies {
		if _, err := k.nl.ConntrackDeleteFilters(netlink.ConntrackTable, family, stale); err != nil {
			if gentle {
				return nil
			}
			if procErr := flushAllFlows(); procErr != nil {
				return errors.Join(fmt.Errorf("flushing flows: %w", err), procErr)
			}
			return nil
		}
	}
	return nil
}

func (k *Kernel) stale(f rules.Facts, fw *rules.Firewall) staleFlows {
	stale := staleFlows{fw: fw, macs: k.neighbours()}
	for _, d := range fw.LAN {
		for _, p := range f.Links[d].Prefixes {
			stale.lan = append(stale.lan, p.Masked())
		}
	}
	for _, l := range f.Links {
		for _, p := range l.Prefixes {
			stale.router = append(stale.router, p.Addr())
		}
	}
	return stale
}

// flushAllFlows is for kernels without conntrack netlink: OpenWrt's answers to
// "f" by forgetting every flow (its patch 600-netfilter_conntrack_flush).
func flushAllFlows() error {
	return os.WriteFile("/proc/net/nf_conntrack", []byte("f\n"), 0o600)
}

// neighbours maps addresses on the LAN to hardware addresses.
func (k *Kernel) neighbours() map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		ns, err := k.nl.NeighList(0, family)
		if err != nil {
			continue // unknown devices count as default: their flows are judged by address
		}
		for _, n := range ns {
			if a, ok := netip.AddrFromSlice(n.IP); ok && len(n.HardwareAddr) == 6 {
				out[a.Unmap()] = n.HardwareAddr.String()
			}
		}
	}
	return out
}

// staleFlows is the filter that conntrack deletion asks about each flow.
type staleFlows struct {
	fw     *rules.Firewall
	lan    []netip.Prefix
	router []netip.Addr
	macs   map[netip.Addr]string
	doomed map[flowKey]bool
}

// MatchConntrackFlow says whether the flow must go.
func (s staleFlows) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if s.doomed[keyOf(flow)] {
		return true
	}
	src, dst, back := addr(flow.Forward.SrcIP), addr(flow.Forward.DstIP), addr(flow.Reverse.SrcIP)
	mark := flow.Mark & rules.MarkMask
	if slices.Contains(s.router, src) {
		return false // the router's own
	}
	switch {
	case s.onLAN(src):
		if s.onLAN(dst) || slices.Contains(s.router, dst) && back == dst {
			return false // stays inside
		}
		f := rules.Flow{MAC: s.macs[src], Src: src, Dst: dst, Proto: protoName(flow.Forward.Protocol), Dport: flow.Forward.DstPort}
		if mark == rules.MarkDirect && s.fw.Excepted(f) {
			return false
		}
		way := s.fw.WayOf(f.MAC, src)
		return mark != uint32(way) || s.translatedElsewhere(way, addr(flow.Reverse.DstIP))
	case s.onLAN(back): // came from outside, by a port forward
		return s.fw.WayOf(s.macs[back], back) != rules.Way(rules.MarkDirect)
	}
	return mark != 0 && mark != rules.MarkTransport && mark != uint32(s.fw.Default) // a spoofed source
}

// translatedElsewhere says whether a flow leaves under an address that is not
// its exit's. Its mark alone does not tell: the new lock has marked every
// packet since it was loaded, and the translation of a flow is decided once.
func (s staleFlows) translatedElsewhere(way rules.Way, as netip.Addr) bool {
	for _, e := range s.fw.Exits {
		if e.Mark != uint32(way) || !e.Masquerade {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(e.Addresses), func(a netip.Addr) bool { return a.Is4() != as.Is4() })
		return len(own) > 0 && !slices.Contains(own, as)
	}
	return false
}

func (s staleFlows) onLAN(a netip.Addr) bool {
	return slices.ContainsFunc(s.lan, func(p netip.Prefix) bool { return p.Contains(a) }) && !slices.Contains(s.router, a)
}

func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func protoName(p uint8) string {
	switch p {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		return "icmp"
	}
	return ""
}
