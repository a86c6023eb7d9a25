package lab

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// wgConfig is all that a WireGuard process of the lab needs to know. One peer
// is enough: the server has one customer, the client one server.
type wgConfig struct {
	Device     string
	PrivateKey wgtypes.Key
	ListenPort int
	PeerKey    wgtypes.Key
	Endpoint   netip.AddrPort // of the peer; a server leaves it out
	AllowedIPs []netip.Prefix
	Keepalive  int
	Addresses  []netip.Prefix // of the device
	Routes     []netip.Prefix // into the device, in main
}

func (c wgConfig) uapi() string {
	var b strings.Builder
	fmt.Fprintf(&b, "private_key=%s\nlisten_port=%d\nreplace_peers=true\npublic_key=%s\n",
		hex.EncodeToString(c.PrivateKey[:]), c.ListenPort, hex.EncodeToString(c.PeerKey[:]))
	if c.Endpoint.IsValid() {
		fmt.Fprintf(&b, "endpoint=%s\n", c.Endpoint)
	}
	if c.Keepalive > 0 {
		fmt.Fprintf(&b, "persistent_keepalive_interval=%d\n", c.Keepalive)
	}
	for _, p := range c.AllowedIPs {
		fmt.Fprintf(&b, "allowed_ip=%s\n", p)
	}
	return b.String()
}

// runWG is the child: it lives entirely inside one namespace, says "ready" on
// stdout, and ends when its stdin does, so that it never outlives the lab.
func runWG(c wgConfig, stdin *json.Decoder) error {
	t, err := tun.CreateTUN(c.Device, 1420)
	if err != nil {
		return fmt.Errorf("making %s: %w", c.Device, err)
	}
	dev := device.NewDevice(t, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, c.Device+": "))
	defer dev.Close()
	if err := dev.IpcSet(c.uapi()); err != nil {
		return fmt.Errorf("configuring %s: %w", c.Device, err)
	}
	if err := dev.Up(); err != nil {
		return fmt.Errorf("starting %s: %w", c.Device, err)
	}
	if err := c.configureLink(); err != nil {
		return err
	}
	fmt.Println("ready")
	// Each further line on stdin asks for the device's state on stdout.
	for {
		var any json.RawMessage
		if stdin.Decode(&any) != nil {
			return nil
		}
		s, err := dev.IpcGet()
		if err != nil {
			return err
		}
		var public []string
		for _, line := range strings.Split(s, "\n") {
			if !strings.HasPrefix(line, "private_key") && !strings.HasPrefix(line, "preshared_key") {
				public = append(public, line)
			}
		}
		if err := json.NewEncoder(os.Stdout).Encode(public); err != nil {
			return err
		}
	}
}

func (c wgConfig) configureLink() error {
	link, err := netlink.LinkByName(c.Device)
	if err != nil {
		return err
	}
	err = netlink.LinkSetUp(link)
	for _, a := range c.Addresses {
		addr := &netlink.Addr{IPNet: ipNet(a)}
		if a.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD // usable at once
		}
		err = errors.Join(err, netlink.AddrReplace(link, addr))
	}
	for _, p := range c.Routes {
		err = errors.Join(err, netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(p.Masked())}))
	}
	if err != nil {
		return fmt.Errorf("configuring %s: %w", c.Device, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
