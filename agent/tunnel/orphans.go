package tunnel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/lanseal/lanseal/rules"
)

// ownAlias marks the devices that lanseal makes, as `ip link` shows them: a name
// alone anybody may have given.
const ownAlias = "lanseal"

// markLink is for a TUN, which cannot be made with a mark.
func markLink(name string) error {
	return withNetlink(func(h *netlink.Handle) error {
		l, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("reading the device: %w", err)
		}
		if err := h.LinkSetAlias(l, ownAlias); err != nil {
			return fmt.Errorf("marking the device: %w", err)
		}
		return nil
	})
}

// Orphans are the drivers of devices that lanseal made and nobody wants: of
// tunnels that left the configuration while no agent was there to see it. They
// are only good for [Driver.Down].
func Orphans(wanted []string) (out []Driver, err error) {
	err = withNetlink(func(h *netlink.Handle) error {
		all, err := h.LinkList()
		if err != nil {
			return fmt.Errorf("listing the devices: %w", err)
		}
		for _, l := range all {
			a := l.Attrs()
			if a.Alias == ownAlias && strings.HasPrefix(a.Name, rules.DevicePrefix) && !slices.Contains(wanted, a.Name) &&
				(l.Type() == kindWireGuard || l.Type() == kindTUN) {
				out = append(out, NewWireGuard(WireGuard{Device: a.Name}, nil))
			}
		}
		return nil
	})
	return out, err
}
