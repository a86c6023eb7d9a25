package openwrt

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Network is one logical network, as netifd has it now.
type Network struct {
	Name    string
	Device  string // of layer 3 where there is one; empty: none now
	Up      bool
	Proto   string
	Default bool           // holds a default route
	Offered []netip.Prefix // global IPv6 prefixes that it offers to its clients
	Own     []netip.Prefix // its own global IPv6 addresses
}

// parseDump reads the answer of "ubus call network.interface dump".
func parseDump(data []byte) ([]Network, error) {
	type address struct {
		Address string `json:"address"`
		Mask    int    `json:"mask"`
	}
	var dump struct {
		Interface []struct {
			Interface string    `json:"interface"`
			Up        bool      `json:"up"`
			L3        string    `json:"l3_device"`
			Device    string    `json:"device"`
			Proto     string    `json:"proto"`
			IPv6      []address `json:"ipv6-address"`
			Assigned  []address `json:"ipv6-prefix-assignment"`
			Route     []struct {
				Target string `json:"target"`
				Mask   int    `json:"mask"`
			} `json:"route"`
		} `json:"interface"`
	}
	if err := json.Unmarshal(data, &dump); err != nil {
		return nil, fmt.Errorf("reading netifd's answer: %w", err)
	}
	global := func(as []address) (out []netip.Prefix) {
		for _, a := range as {
			addr, err := netip.ParseAddr(a.Address)
			if err != nil || !addr.Is6() || !isGlobal(addr) || a.Mask < 0 || a.Mask > 128 {
				continue
			}
			out = append(out, netip.PrefixFrom(addr, a.Mask))
		}
		return out
	}
	var all []Network
	for _, i := range dump.Interface {
		n := Network{Name: i.Interface, Device: i.L3, Up: i.Up, Proto: i.Proto, Offered: global(i.Assigned), Own: global(i.IPv6)}
		if n.Device == "" {
			n.Device = i.Device
		}
		if !validDevice(n.Device) {
			n.Device = ""
		}
		for _, r := range i.Route {
			n.Default = n.Default || r.Mask == 0 && (r.Target == "0.0.0.0" || r.Target == "::")
		}
		all = append(all, n)
	}
	return all, nil
}

// isGlobal says whether an address is of the part of IPv6 that ISPs give out.
func isGlobal(a netip.Addr) bool {
	return netip.PrefixFrom(netip.MustParseAddr("2000::"), 3).Contains(a)
}

// validDevice is the kernel's own idea of a device's name (dev_valid_name),
// less what would not survive the boot seal's file.
func validDevice(s string) bool {
	return s != "" && len(s) < 16 && s != "." && s != ".." && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 127 || strings.ContainsRune(`/:,"'\`, r)
	})
}

// dump asks netifd.
func (g *Guest) dump(ctx context.Context) ([]Network, error) {
	out, err := g.run(ctx, "", "ubus", "-S", "call", "network.interface", "dump")
	if err != nil {
		return nil, err
	}
	return parseDump(out)
}

// Devices are the kernel devices that the wish's logical networks have.
type Devices struct {
	LAN, WAN []string
	Missing  []string // networks that are not known at all
	Waiting  []string // LANs that are known, and have no device now
}

func (d *Devices) addLAN(name string) { d.LAN = addNew(d.LAN, name) }

func addNew(list []string, name string) []string {
	if name == "" || slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}

// devices resolves networks: by what netifd says, else by the configuration.
// Uplinks that nobody named are found by their default routes, by the kernel.
func devices(lan, wan []string, now []Network, conf Config) Devices {
	var d Devices
	find := func(name string) (string, bool) {
		i := slices.IndexFunc(now, func(n Network) bool { return n.Name == name })
		if i >= 0 && now[i].Device != "" {
			return now[i].Device, true
		}
		if dev := configuredDevice(conf, name, 0); dev != "" {
			return dev, true
		}
		return "", i >= 0 || conf.section(name) != nil
	}
	for _, name := range lan {
		dev, known := find(name)
		if !known {
			d.Missing = append(d.Missing, name)
		}
		if known && dev == "" {
			d.Waiting = append(d.Waiting, name)
		}
		d.addLAN(dev)
	}
	for _, name := range wan {
		dev, known := find(name)
		if !known {
			d.Missing = append(d.Missing, name)
		}
		if !slices.Contains(d.LAN, dev) {
			d.WAN = addNew(d.WAN, dev)
		}
	}
	return d
}

// configuredDevice is the device that netifd will give a network: its option
// device (21.02 and later; "@other" stands for another network's), or the
// bridge that older configurations ask for by option type.
func configuredDevice(conf Config, network string, depth int) string {
	s := conf.section(network)
	if s == nil || s.Type != "interface" || depth > 4 {
		return ""
	}
	if s.get("type") == "bridge" {
		return okDevice("br-" + network)
	}
	dev := s.get("device")
	if dev == "" {
		dev = s.get("ifname")
	}
	dev, _, _ = strings.Cut(dev, " ")
	if other, ok := strings.CutPrefix(dev, "@"); ok {
		return configuredDevice(conf, other, depth+1)
	}
	return okDevice(dev)
}

func okDevice(s string) string {
	if validDevice(s) {
		return s
	}
	return ""
}

// networksOn names the networks whose device is one of a list.
func networksOn(now []Network, conf Config, list []string) []string {
	var out []string
	for _, n := range now {
		if slices.Contains(list, n.Device) {
			out = addNew(out, n.Name)
		}
	}
	for _, s := range conf.Sections {
		if s.Type == "interface" && slices.Contains(list, configuredDevice(conf, s.ID, 0)) {
			out = addNew(out, s.ID)
		}
	}
	return out
}

// Known resolves networks without netifd, for the boot, before it is there:
// what the configuration says, and what the last seal held.
func (g *Guest) Known(ctx context.Context, lan, wan, sealed []string) Devices {
	conf, _ := g.read(ctx, "network") // what cannot be read is not known
	d := devices(lan, wan, nil, conf.Config)
	if len(lan) > 0 {
		for _, dev := range sealed {
			d.addLAN(dev)
		}
	}
	if len(d.LAN) == 0 && len(lan) > 0 {
		d.addLAN("br-lan") // OpenWrt's own default
	}
	return d
}

// Now resolves networks by what netifd says, and by the configuration.
func (g *Guest) Now(ctx context.Context, lan, wan []string) (Devices, error) {
	now, err := g.dump(ctx)
	if err != nil {
		return Devices{}, err
	}
	conf, err := g.read(ctx, "network")
	return devices(lan, wan, now, conf.Config), err
}
