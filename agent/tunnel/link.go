package tunnel

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// link is what there is under a device's name.
type link struct {
	index  int
	kind   string // as the kernel names it: "wireguard", "tuntap", "bridge" …
	mtu    int
	up     bool
	rx, tx uint64
}

const (
	kindWireGuard = "wireguard"
	kindTUN       = "tuntap" // netlink's name for it; the kernel says "tun"
)

// withNetlink opens a routing socket and no other family: not every kernel has
// the rest.
func withNetlink(do func(*netlink.Handle) error) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening netlink: %w", err)
	}
	defer h.Close()
	return do(h)
}

// findLink returns nil when there is no device of that name.
func findLink(name string) (found *link, err error) {
	err = withNetlink(func(h *netlink.Handle) error {
		l, err := h.LinkByName(name)
		if noLink(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the device: %w", err)
		}
		a := l.Attrs()
		found = &link{index: a.Index, kind: l.Type(), mtu: a.MTU, up: a.Flags&net.FlagUp != 0}
		if s := a.Statistics; s != nil {
			found.rx, found.tx = s.RxBytes, s.TxBytes
		}
		return nil
	})
	return found, err
}

// addKernelLink returns the kernel's own error: EOPNOTSUPP says that it has no
// WireGuard.
func addKernelLink(name string) error {
	return withNetlink(func(h *netlink.Handle) error {
		a := netlink.NewLinkAttrs()
		a.Name, a.Alias = name, ownAlias
		return h.LinkAdd(&netlink.Wireguard{LinkAttrs: a})
	})
}

// raiseLink sets the MTU and brings the link up, where that is not so already.
func raiseLink(name string, mtu int) error {
	return withNetlink(func(h *netlink.Handle) error {
		l, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("reading the device: %w", err)
		}
		if mtu != 0 && l.Attrs().MTU != mtu {
			if err := h.LinkSetMTU(l, mtu); err != nil {
				return fmt.Errorf("setting the mtu to %d: %w", mtu, err)
			}
		}
		if l.Attrs().Flags&net.FlagUp != 0 {
			return nil
		}
		// Without a link-local address the kernel sends no router
		// solicitations into the tunnel. A kernel without IPv6 has no such file.
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/addr_gen_mode", []byte("1"), 0)
		if err := h.LinkSetUp(l); err != nil {
			return fmt.Errorf("bringing the device up: %w", err)
		}
		return nil
	})
}

// removeLink is content when there is no such device.
func removeLink(name string) error {
	return withNetlink(func(h *netlink.Handle) error {
		l, err := h.LinkByName(name)
		if noLink(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the device: %w", err)
		}
		if err := h.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("removing the device: %w", err)
		}
		return nil
	})
}

func noLink(err error) bool {
	var nf netlink.LinkNotFoundError
	return errors.As(err, &nf) || errors.Is(err, unix.ENODEV)
}

// hasDefaultRoute says whether the main table has a default route of the
// family, 4 or 6.
func hasDefaultRoute(family int) bool {
	f := netlink.FAMILY_V4
	if family == 6 {
		f = netlink.FAMILY_V6
	}
	found := false
	_ = withNetlink(func(h *netlink.Handle) error {
		routes, err := h.RouteListFiltered(f, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		for _, r := range routes {
			ones := 0
			if r.Dst != nil {
				ones, _ = r.Dst.Mask.Size()
			}
			if ones == 0 && (r.Type == unix.RTN_UNICAST || r.Type == unix.RTN_UNSPEC) {
				found = true
			}
		}
		return err
	})
	return found
}

// validDevice keeps names from becoming paths.
func validDevice(name string) bool {
	if name == "" || len(name) >= unix.IFNAMSIZ || name == "." || name == ".." {
		return false
	}
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '@':
		default:
			return false
		}
	}
	return true
}
