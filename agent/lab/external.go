package lab

import (
	"errors"
	"fmt"
)

// Devices of the host "router" that stand for the sockets of a router outside
// the lab, such as a virtual machine: whoever runs it inside that host opens
// them as TAP devices. It takes the addresses that the ordinary router would
// have (RouterLAN4, WAN4, …); MACRouterWAN and MACRouterLAN are free for it.
const (
	TapLAN = "tap-lan"
	TapWAN = "tap-wan"
)

// buildPatchPanel makes the host "router" a patch panel between the lab's
// cables and the sockets of the router outside. It has no addresses and says
// nothing by itself, so that every frame on the wire is of the router outside.
func (l *Lab) buildPatchPanel() error {
	r := l.Router
	err := errors.Join(
		r.Sysctl("net/ipv6/conf/all/disable_ipv6", "1"),
		r.Sysctl("net/ipv6/conf/default/disable_ipv6", "1"),
		r.bridge("br-lan", ""), r.bridge("br-wan", ""))
	if err != nil {
		return err
	}
	for _, port := range []struct{ tap, bridge string }{{TapLAN, "br-lan"}, {TapWAN, "br-wan"}} {
		err = errors.Join(err,
			r.run("ip", "tuntap", "add", "dev", port.tap, "mode", "tap"),
			r.enslave(port.tap, port.bridge), r.setLink(port.tap, true))
	}
	return errors.Join(err, r.enslave("wan", "br-wan"))
}

// enslave makes a device a port of a bridge.
func (h *Host) enslave(dev, bridge string) error {
	port, err := h.nl.LinkByName(dev)
	if err != nil {
		return err
	}
	master, err := h.nl.LinkByName(bridge)
	if err != nil {
		return err
	}
	if err := h.nl.LinkSetMaster(port, master); err != nil {
		return fmt.Errorf("%s: putting %s on %s: %w", h.Name, dev, bridge, err)
	}
	return nil
}
