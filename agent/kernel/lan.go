package kernel

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Neighbour is one address on a device of the LAN that somebody answers to.
type Neighbour struct {
	Device string
	IP     netip.Addr
	MAC    string
	Online bool // it answered lately
}

// Neighbours lists who is known on the devices.
func (k *Kernel) Neighbours(devices []string) ([]Neighbour, error) {
	var out []Neighbour
	for _, name := range devices {
		link, err := k.nl.LinkByName(name)
		if err != nil {
			continue // not there now: nobody is on it
		}
		ns, err := k.nl.NeighList(link.Attrs().Index, unix.AF_UNSPEC)
		if err != nil {
			return nil, fmt.Errorf("listing the neighbours on %s: %w", name, err)
		}
		for _, n := range ns {
			ip, ok := netip.AddrFromSlice(n.IP)
			if !ok || len(n.HardwareAddr) != 6 || ip.IsMulticast() || n.State&(netlink.NUD_FAILED|netlink.NUD_NOARP) != 0 {
				continue
			}
			out = append(out, Neighbour{Device: name, IP: ip.Unmap(), MAC: n.HardwareAddr.String(),
				Online: n.State&(netlink.NUD_REACHABLE|netlink.NUD_DELAY|netlink.NUD_PROBE|netlink.NUD_PERMANENT) != 0})
		}
	}
	return out, nil
}

// ListenOn listens on an address, for what arrives by one device alone: a
// packet to a LAN address that comes by the WAN finds nobody. The address need
// not be there yet.
func ListenOn(ctx context.Context, device string, at netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			if err = unix.BindToDevice(int(fd), device); err != nil {
				return
			}
			if at.Addr().Is4() {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
			} else {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
			}
		}); e != nil {
			return e
		}
		return err
	}}
	network := "tcp4"
	if at.Addr().Is6() {
		network = "tcp6"
	}
	return lc.Listen(ctx, network, at.String())
}
