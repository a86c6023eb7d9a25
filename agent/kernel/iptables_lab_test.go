package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// The lab of these tests: a client with several addresses and a guest network
// behind a router; behind that the WAN and two "tunnels", which are plain wires
// here. The far end of each wire has the same addresses and says its name, so
// an answer tells which way a packet took. There is no routing lock: the main
// table leads to the WAN, and the firewall lock alone holds.
const (
	iptTarget4    = "203.0.113.9"
	iptTarget6    = "2001:db8:99::9"
	iptControl    = 7     // UDP port of the control packets
	iptFirstProbe = 20000 // every probe has a port of its own above
	iptEchoPort   = 9999  // UDP and TCP, like 53, 443, 853 and 5000
)

// iptNS is one host of the lab: functions run on a thread inside it.
type iptNS struct {
	name string
	work chan func()
}

func iptNewNS(t *testing.T, name string) *iptNS {
	t.Helper()
	ns := &iptNS{name: name, work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		h, err := netns.New()
		ready <- err
		if err != nil {
			return
		}
		defer h.Close()
		for f := range ns.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		iptCannot(t, "making a network namespace: %v", err)
	}
	t.Cleanup(func() { close(ns.work) })
	return ns
}

// do runs f inside and waits.
func (ns *iptNS) do(f func()) {
	done := make(chan struct{})
	ns.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// iptCannot ends a test that this machine cannot run.
func iptCannot(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("LANSEAL_LAB") == "require" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// iptCount is how many frames of one probe showed, by wire.
type iptCount map[string]int

type iptLab struct {
	router, client, guest, wan, se, no *iptNS

	sender  net.Conn     // the router's control packets
	control atomic.Int64 // control frames seen on the WAN's wire
	mu      sync.Mutex
	seen    map[int]iptCount // by the probe's own port
	strays  int              // frames to the target that are no probe's
	port    int              // last given to a probe
	probes  []iptProbe
}

func iptNewLab(t *testing.T) *iptLab {
	t.Helper()
	if os.Geteuid() != 0 {
		iptCannot(t, "needs root for network namespaces")
	}
	// Tests of other packages, and other programs, have a lock of their own.
	t.Setenv("XTABLES_LOCKFILE", filepath.Join(t.TempDir(), "xtables.lock"))
	l := &iptLab{seen: map[int]iptCount{}, port: iptFirstProbe}
	for _, h := range []struct {
		ns   **iptNS
		name string
	}{{&l.router, "router"}, {&l.client, "client"}, {&l.guest, "guest"}, {&l.wan, "wan"}, {&l.se, "se"}, {&l.no, "no"}} {
		*h.ns = iptNewNS(t, h.name)
	}
	l.wire(t, l.client, "lan0", "192.168.1.1/24", "fd01::1/64", "192.168.1.50/24", "fd01::50/64",
		"192.168.1.51/24", "fd01::51/64", "192.168.1.52/24", "fd01::52/64", "192.168.1.53/24", "fd01::53/64")
	l.wire(t, l.guest, "guest0", "192.168.2.1/24", "fd02::1/64", "192.168.2.50/24", "fd02::50/64")
	l.wire(t, l.wan, "wan0", "198.51.100.2/24", "2001:db8:1::2/64", "198.51.100.1/24", "2001:db8:1::1/64")
	l.wire(t, l.se, "ls-se", "10.64.0.2/24", "fd64::2/64", "10.64.0.1/24", "fd64::1/64")
	l.wire(t, l.no, "ls-no", "10.65.0.2/24", "fd65::2/64", "10.65.0.1/24", "fd65::1/64")
	// A tunnel has no neighbour discovery, and the firewall refuses it there.
	for device, h := range map[string]struct {
		ns        *iptNS
		near, far string
	}{"ls-se": {l.se, "fd64::2", "fd64::1"}, "ls-no": {l.no, "fd65::2", "fd65::1"}} {
		l.neighbour(t, l.router, device, h.far, l.neighbour(t, h.ns, "eth0", h.near, l.neighbour(t, l.router, device, "", nil)))
	}
	l.gateway(t, l.client, "eth0", "192.168.1.1", "fd01::1", 0)
	l.gateway(t, l.guest, "eth0", "192.168.2.1", "fd02::1", 0)
	l.gateway(t, l.wan, "eth0", "198.51.100.2", "2001:db8:1::2", 0)
	l.gateway(t, l.router, "wan0", "198.51.100.1", "2001:db8:1::1", 0)
	l.gateway(t, l.router, "ls-se", "10.64.0.1", "fd64::1", 1)
	l.gateway(t, l.router, "ls-no", "10.65.0.1", "fd65::1", 2)
	for _, h := range []*iptNS{l.wan, l.se, l.no} {
		l.server(t, h)
	}
	l.server(t, l.guest)
	for _, h := range []*iptNS{l.wan, l.se, l.no} {
		l.watch(t, h)
	}
	l.wan.do(func() { // nobody says "refused" to the control packets
		pc, err := net.ListenPacket("udp4", fmt.Sprintf("0.0.0.0:%d", iptControl))
		if err != nil {
			t.Errorf("lab: control: %v", err)
			return
		}
		t.Cleanup(func() { pc.Close() })
	})
	l.router.do(func() {
		d := net.Dialer{Control: iptMarked(int(rules.MarkTransport))}
		var err error
		if l.sender, err = d.Dial("udp4", net.JoinHostPort(iptTarget4, fmt.Sprint(iptControl))); err != nil {
			t.Errorf("lab: control: %v", err)
		}
	})
	t.Cleanup(func() { l.sender.Close() })
	return l
}

// wire lays a cable from the router's device to eth0 of host. The first two
// addresses are the router's.
func (l *iptLab) wire(t *testing.T, host *iptNS, device string, addrs ...string) {
	t.Helper()
	var fd netns.NsHandle
	host.do(func() { fd, _ = netns.Get() })
	defer fd.Close()
	must := func(err error) {
		if err != nil {
			t.Errorf("lab: %s: %v", device, err)
		}
	}
	up := func(name string, addrs []string) {
		link, err := netlink.LinkByName(name)
		if err != nil {
			t.Errorf("lab: %v", err)
			return
		}
		for _, f := range []string{"ipv6/conf/" + name + "/accept_dad", "ipv4/conf/all/rp_filter", "ipv4/conf/" + name + "/rp_filter"} {
			must(os.WriteFile("/proc/sys/net/"+f, []byte("0"), 0))
		}
		must(os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0))
		must(os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0))
		lo, _ := netlink.LinkByName("lo")
		must(netlink.LinkSetUp(lo))
		must(netlink.LinkSetUp(link))
		for _, a := range addrs {
			addr, err := netlink.ParseAddr(a)
			must(err)
			must(netlink.AddrAdd(link, addr))
		}
	}
	l.router.do(func() {
		must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: device}, PeerName: "eth0", PeerNamespace: netlink.NsFd(fd)}))
		up(device, addrs[:2])
	})
	host.do(func() {
		up("eth0", addrs[2:])
		if host == l.wan || host == l.se || host == l.no {
			lo, _ := netlink.LinkByName("lo")
			for _, a := range []string{iptTarget4 + "/32", iptTarget6 + "/128"} {
				addr, _ := netlink.ParseAddr(a)
				must(netlink.AddrAdd(lo, addr))
			}
		}
	})
}

// neighbour makes an entry, if addr is given, and returns the hardware address
// of the device.
func (l *iptLab) neighbour(t *testing.T, host *iptNS, device, addr string, mac net.HardwareAddr) (own net.HardwareAddr) {
	t.Helper()
	host.do(func() {
		link, err := netlink.LinkByName(device)
		if err != nil {
			t.Errorf("lab: %v", err)
			return
		}
		own = link.Attrs().HardwareAddr
		if addr == "" {
			return
		}
		if err := netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, Family: netlink.FAMILY_V6, State: netlink.NUD_PERMANENT,
			IP: net.ParseIP(addr), HardwareAddr: mac,
		}); err != nil {
			t.Errorf("lab: neighbour %s: %v", addr, err)
		}
	})
	return own
}

// gateway sets default routes: in main, or for packets with an exit's mark.
func (l *iptLab) gateway(t *testing.T, host *iptNS, device, gw4, gw6 string, exit int) {
	t.Helper()
	host.do(func() {
		link, err := netlink.LinkByName(device)
		if err != nil {
			t.Errorf("lab: %v", err)
			return
		}
		for fam, gw := range map[int]string{netlink.FAMILY_V4: gw4, netlink.FAMILY_V6: gw6} {
			dst := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
			if fam == netlink.FAMILY_V6 {
				dst = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
			}
			r := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(gw), Dst: dst, Family: fam}
			if exit > 0 {
				r.Table = rules.TableLAN + exit
				for _, lan := range []string{"lan0", "guest0"} {
					rule, near, mask := netlink.NewRule(), netlink.NewRule(), rules.MarkMask
					near.Family, near.Priority, near.IifName, near.Table, near.SuppressPrefixlen = fam, 502, lan, unix.RT_TABLE_MAIN, 0
					rule.Family, rule.Priority, rule.IifName, rule.Mark, rule.Mask, rule.Table = fam, 510, lan, uint32(exit)<<24, &mask, r.Table
					if err := errors.Join(netlink.RuleAdd(near), netlink.RuleAdd(rule)); err != nil && !errors.Is(err, unix.EEXIST) {
						t.Errorf("lab: rule: %v", err)
					}
				}
			}
			if err := netlink.RouteAdd(r); err != nil {
				t.Errorf("lab: route by %s: %v", device, err)
			}
		}
	})
}

// server answers on every port of interest with the host's name and the
// address that it sees.
func (l *iptLab) server(t *testing.T, host *iptNS) {
	t.Helper()
	host.do(func() {
		for _, port := range []string{"53", "443", "853", "5000", fmt.Sprint(iptEchoPort)} {
			for _, family := range []string{"4", "6"} {
				any := "0.0.0.0"
				if family == "6" {
					any = "::"
				}
				pc, err := net.ListenPacket("udp"+family, net.JoinHostPort(any, port))
				if err != nil {
					t.Errorf("lab: %v", err)
					return
				}
				t.Cleanup(func() { pc.Close() })
				go iptEcho(host.name, pc.(*net.UDPConn), family)
				ln, err := net.Listen("tcp"+family, net.JoinHostPort(any, port))
				if err != nil {
					t.Errorf("lab: %v", err)
					return
				}
				t.Cleanup(func() { ln.Close() })
				go func() {
					for {
						c, err := ln.Accept()
						if err != nil {
							return
						}
						fmt.Fprint(c, iptAnswer(host.name, c.RemoteAddr()))
						c.Close()
					}
				}()
			}
		}
	})
}

func iptAnswer(name string, from net.Addr) string {
	return name + " " + netip.MustParseAddrPort(from.String()).Addr().Unmap().String()
}

// iptEcho answers from the address that was asked.
func iptEcho(name string, c *net.UDPConn, family string) {
	raw, _ := c.SyscallConn()
	_ = raw.Control(func(fd uintptr) {
		if family == "4" {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		} else {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
	})
	buf, oob := make([]byte, 64), make([]byte, 128)
	for {
		_, n, _, from, err := c.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			return
		}
		back := append([]byte(nil), oob[:n]...)
		if family == "4" { // cmsghdr, ifindex, spec_dst, addr: send from addr, by any device
			h := unix.SizeofCmsghdr
			copy(back[h:], []byte{0, 0, 0, 0})
			copy(back[h+4:h+8], back[h+8:h+12])
		} else if back[unix.SizeofCmsghdr] != 0xfe {
			copy(back[unix.SizeofCmsghdr+16:], []byte{0, 0, 0, 0})
		}
		_, _, _ = c.WriteMsgUDPAddrPort([]byte(iptAnswer(name, net.UDPAddrFromAddrPort(from))), back, from)
	}
}
