package kernel

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// leakPort is the router's end of the cable to the client that the leak test
// makes. It goes when the client's namespace does, so a test that is killed
// leaves nothing behind.
const leakPort = "lanprobe0"

// LeakClientMAC is how the hardware addresses of these clients begin.
const LeakClientMAC = "02:6c:73:"

// leakClient is a device of its own on the LAN, in a network namespace of its
// own: it tries what a device could try.
type leakClient struct {
	nl   *netlink.Handle // of the router
	do   chan func()     // runs on the thread that is inside
	fd   int             // of the namespace
	v4   netip.Addr
	v6   netip.Addr
	gone chan struct{}
}

// newLeakClient plugs a client into a bridge of the LAN, with addresses that
// nobody has.
func (k *Kernel) newLeakClient(bridge string, l rules.Link) (*leakClient, error) {
	master, err := k.nl.LinkByName(bridge)
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", bridge, err)
	}
	if master.Type() != "bridge" {
		return nil, fmt.Errorf("%s is no bridge: a client cannot be plugged in", bridge)
	}
	c := &leakClient{nl: k.nl, do: make(chan func()), fd: -1, gone: make(chan struct{})}
	ready := make(chan error, 1)
	go onOwnThread(func() { c.live(ready) })
	if err := <-ready; err != nil {
		return nil, err
	}
	if err := c.plug(master, l, k.neighbours()); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// live owns the thread whose network is the client's.
func (c *leakClient) live(ready chan<- error) {
	defer close(c.gone)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		ready <- fmt.Errorf("making a network namespace for the client: %w", err)
		return
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		ready <- err
		return
	}
	c.fd = fd
	defer unix.Close(fd)
	ready <- nil
	for f := range c.do {
		f()
	}
}

// inside runs f in the client's namespace.
func (c *leakClient) inside(f func() error) error {
	done := make(chan error, 1)
	c.do <- func() { done <- f() }
	return <-done
}

// close takes the client away, and waits for it.
func (c *leakClient) close() {
	if l, err := c.nl.LinkByName(leakPort); err == nil {
		_ = c.nl.LinkDel(l)
	}
	close(c.do)
	<-c.gone
}

func (c *leakClient) plug(bridge netlink.Link, l rules.Link, taken map[netip.Addr]string) error {
	if old, err := c.nl.LinkByName(leakPort); err == nil {
		return fmt.Errorf("there is a device %s already: another leak test is running", old.Attrs().Name)
	}
	mac := make(net.HardwareAddr, 6)
	_, _ = rand.Read(mac)
	copy(mac, []byte{0x02, 0x6c, 0x73}) // LeakClientMAC: locally administered, one device's
	v := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerHardwareAddr: mac, PeerNamespace: netlink.NsFd(c.fd)}
	v.Name = leakPort
	if err := c.nl.LinkAdd(v); err != nil {
		return fmt.Errorf("making the client's cable: %w", err)
	}
	port, err := c.nl.LinkByName(leakPort)
	if err != nil {
		return err
	}
	if err := errors.Join(c.nl.LinkSetMaster(port, bridge), c.nl.LinkSetUp(port)); err != nil {
		return fmt.Errorf("plugging the client in: %w", err)
	}
	return c.inside(func() error { return c.configure(l, taken) })
}

// configure gives the client an address of each family that the LAN has, and
// the router as its gateway.
func (c *leakClient) configure(l rules.Link, taken map[netip.Addr]string) error {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer nl.Close()
	dev, err := nl.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := nl.LinkSetUp(dev); err != nil {
		return err
	}
	for _, p := range l.Prefixes {
		router := p.Addr()
		if router.IsLinkLocalUnicast() || router.Is4() && c.v4.IsValid() || router.Is6() && c.v6.IsValid() {
			continue
		}
		own := freeAddress(p, taken)
		if !own.IsValid() {
			continue
		}
		a := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(own, p.Bits())), Flags: unix.IFA_F_NODAD}
		route := &netlink.Route{LinkIndex: dev.Attrs().Index, Gw: router.AsSlice(), Dst: ipNet(netip.PrefixFrom(zero(router), 0))}
		if err := errors.Join(nl.AddrAdd(dev, a), nl.RouteAdd(route)); err != nil {
			return fmt.Errorf("giving the client an address: %w", err)
		}
		if router.Is4() {
			c.v4 = own
		} else {
			c.v6 = own
		}
	}
	if !c.v4.IsValid() && !c.v6.IsValid() {
		return errors.New("the LAN has no address that is free for the client")
	}
	return nil
}

func zero(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// freeAddress takes one near the end of the subnet that no neighbour has.
func freeAddress(p netip.Prefix, taken map[netip.Addr]string) netip.Addr {
	if p.Addr().BitLen()-p.Bits() < 3 {
		return netip.Addr{}
	}
	b := p.Masked().Addr().AsSlice()
	if p.Addr().Is6() {
		_, _ = rand.Read(b[12:])
		b[8], b[9] = 2, 0
		if p.Bits() > 64 {
			return netip.Addr{}
		}
		a, _ := netip.AddrFromSlice(b)
		return a
	}
	for i := p.Bits(); i < 32; i++ { // the broadcast address
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	for range 64 {
		a = a.Prev()
		if _, used := taken[a]; !used && a != p.Addr() && p.Contains(a) && a != p.Masked().Addr() {
			return a
		}
	}
	return netip.Addr{}
}

// received is how many frames the router got from the client.
func (c *leakClient) received() uint64 {
	l, err := c.nl.LinkByName(leakPort)
	if err != nil || l.Attrs().Statistics == nil {
		return 0
	}
	return l.Attrs().Statistics.RxPackets
}

// wire captures what leaves by an uplink.
type wire struct {
	name string
	fd   int
}

func openWire(nl *netlink.Handle, name string) (*wire, error) {
	l, err := nl.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("looking for the uplink %s: %w", name, err)
	}
	all := int(network16(unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all)
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", name, err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network16(unix.ETH_P_ALL), Ifindex: l.Attrs().Index}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watching %s: %w", name, err)
	}
	return &wire{name, fd}, nil
}

func network16(v uint16) uint16 { return v<<8 | v>>8&0xff }

// drain calls f for every frame that left since the last call.
func (w *wire) drain(f func(frame []byte)) (seen int) {
	buf := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(w.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return seen
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			seen++
			f(slices.Clone(buf[:n]))
		}
	}
}

// lost is how many frames the capture could not keep.
func (w *wire) lost() uint32 {
	st, err := unix.GetsockoptTpacketStats(w.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return st.Drops
}

func (w *wire) close() { unix.Close(w.fd) }
