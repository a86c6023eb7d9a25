package kernel

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// Route asks the kernel itself where a packet would go: by which device, or ""
// where it is refused. in is the device it arrives by, "" for the router's own.
func (k *Kernel) Route(in string, mark uint32, src, dst netip.Addr) (string, error) {
	family := uint8(unix.AF_INET6)
	if dst.Is4() {
		family = unix.AF_INET
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	req.AddData(header(family, uint8(dst.BitLen()), 0, 0, 0, 0))
	req.AddData(nl.NewRtAttr(unix.RTA_DST, dst.AsSlice()))
	if in != "" {
		link, err := k.nl.LinkByName(in)
		var gone netlink.LinkNotFoundError
		if errors.As(err, &gone) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		req.AddData(nl.NewRtAttr(unix.RTA_IIF, u32(uint32(link.Attrs().Index))))
		req.AddData(nl.NewRtAttr(unix.RTA_SRC, src.AsSlice()))
	}
	if mark != 0 {
		req.AddData(nl.NewRtAttr(unix.RTA_MARK, u32(mark)))
	}
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	if err != nil {
		return "", except(err, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EACCES, unix.EINVAL, unix.ENETDOWN)
	}
	for _, b := range msgs {
		m := nl.DeserializeRtMsg(b)
		if m.Type == unix.RTN_UNREACHABLE || m.Type == unix.RTN_PROHIBIT || m.Type == unix.RTN_BLACKHOLE {
			return "", nil
		}
		attrs, err := nl.ParseRouteAttr(b[m.Len():])
		if err != nil {
			return "", err
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.RTA_OIF {
				link, err := k.nl.LinkByIndex(int(native.Uint32(a.Value)))
				if err != nil {
					return "", err
				}
				return link.Attrs().Name, nil
			}
		}
	}
	return "", nil
}

// Flowtables names nft flowtables, through which offloaded flows pass by every
// rule. It needs nft.
func (k *Kernel) Flowtables(ctx context.Context) []string {
	if n, ok := k.fw.(*nft); ok {
		return n.flowtables(ctx)
	}
	return nil
}

func (n *nft) flowtables(ctx context.Context) []string {
	out, err := n.run(ctx, "", "list", "flowtables")
	if err != nil {
		return nil
	}
	var found []string
	table := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "table "); ok {
			table = strings.TrimSuffix(rest, " {")
		}
		if rest, ok := strings.CutPrefix(line, "flowtable "); ok {
			found = append(found, table+" "+strings.TrimSuffix(rest, " {"))
		}
	}
	return found
}
