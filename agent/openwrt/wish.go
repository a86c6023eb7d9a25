package openwrt

import (
	"net/netip"
	"strconv"

	"github.com/lanseal/lanseal/rules"
)

// Wish is what the agent wants of the system, and all that a turn depends on
// beside the system itself.
type Wish struct {
	LAN, WAN   []string // logical networks, by the user's configuration
	LANDevices []string // kernel devices of LANs that the user named
	WANDevices []string

	// Known says that the plan which the rest was made from is in force. Until
	// then a turn looks and changes nothing.
	Known bool
	Armed bool // lanseal is on; otherwise everything is restored
	Hold  bool // the kill switch is on: the persistent lock, and no prefix of the ISP's

	DNS      bool // lanseal answers the LAN's questions
	Upstream Upstream

	Withdraw bool // devices without a rule of their own use an exit: none keeps an address of the ISP's
	IPv6     bool // the preferred exit carries IPv6
}

// Upstream is the tunnel's resolver; without a device no exit is up.
type Upstream struct {
	Device  string
	Servers []netip.Addr
}

// Report is what a turn found.
type Report struct {
	LAN, WAN []string // kernel devices of the logical networks
	Resolver string   // the exit's device that the router's resolver asks by; empty: none that serves every LAN
	Hardware bool     // flows may be offloaded to hardware, which forgets them late
	Notes    []string // worth telling once
	Error    string   // why not everything is as it should be
}

// blockPriority is that of the routing lock's end: the persistent rules are
// the plan's own rules, kept where netifd finds them, so whoever lays them
// first, the other finds them laid.
const blockPriority = 520

// wantNetwork is what lanseal wants of /etc/config/network.
func wantNetwork(c Config, w Wish, lans, uplinks []string, relayed bool, ula string) Config {
	out := c.clone()
	if !w.Armed {
		return out
	}
	for _, name := range lans {
		if c.section(name) == nil {
			continue // a network of netifd's own making: nothing of it is configured
		}
		if w.Hold {
			for _, rule := range []struct{ id, typ string }{{"lanseal_block4_", "rule"}, {"lanseal_block6_", "rule6"}} {
				id := rule.id + name
				out.set(id, "", one(rule.typ))
				out.set(id, "in", one(name))
				out.set(id, "action", one("unreachable"))
				out.set(id, "priority", one(strconv.Itoa(blockPriority)))
			}
		}
		assigned := c.section(name).get("ip6assign") != ""
		if w.Hold && w.Withdraw && (assigned || relayed) {
			if !assigned { // the ISP's prefix was relayed: now there is one of the router's own
				out.set(name, "ip6assign", one("60"))
			}
			out.set(name, "ip6class", list("local"))
		}
	}
	if globals := c.section("globals"); w.Hold && w.Withdraw && globals != nil && globals.get("ula_prefix") == "" && len(lans) > 0 {
		out.set("globals", "ula_prefix", one(ula))
	}
	for _, name := range uplinks {
		if s := c.section(name); s != nil && s.get("proto") == "dhcp" && s.value("classlessroute") == nil {
			out.set(name, "classlessroute", one("0"))
		}
	}
	return out
}

// wantAnnouncements is what lanseal wants of the dhcp sections: an own
// advertisement instead of a relay of the ISP's, and a default route only for
// what is served.
func wantAnnouncements(out *Config, c Config, w Wish, lans []string) {
	if !w.Armed || !w.Hold || !w.Withdraw {
		return
	}
	for _, s := range c.Sections {
		if s.Type != "dhcp" || !contains(lans, s.get("interface")) || s.yes("ignore", false) && s.get("ra") == "" {
			continue
		}
		for _, option := range []string{"ra", "dhcpv6"} {
			if v := s.get(option); v == "relay" || v == "hybrid" {
				out.set(s.ID, option, one("server"))
			}
		}
		if v := s.get("ndp"); v == "relay" || v == "hybrid" {
			out.set(s.ID, "ndp", nil)
		}
		want := "0"
		if w.IPv6 {
			want = "1"
		}
		if v := s.get("ra_default"); v != want && !(v == "" && want == "0") {
			out.set(s.ID, "ra_default", one(want))
		}
	}
}

// relays says whether the LANs hand on the ISP's own advertisements.
func relays(c Config, lans []string) bool {
	for _, s := range c.Sections {
		if v := s.get("ra"); s.Type == "dhcp" && contains(lans, s.get("interface")) && (v == "relay" || v == "hybrid") {
			return true
		}
	}
	return false
}

// fixedPrefixes names LANs with an address of the ISP's in their configuration,
// which lanseal does not withdraw.
func fixedPrefixes(c Config, lans []string) (out []string) {
	for _, name := range lans {
		if s := c.section(name); s != nil {
			for _, text := range append(s.words("ip6addr"), s.words("ip6prefix")...) {
				if p, err := netip.ParsePrefix(text); err == nil && isGlobal(p.Addr()) {
					out = addNew(out, name)
				}
			}
		}
	}
	return out
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// wantFirewall is what lanseal wants of /etc/config/firewall, where the
// snippet that lets marked packets through is not in force: a zone for the
// tunnels, and a way from the LANs' zones to it. What may use that way is
// decided by lanseal's own locks.
func wantFirewall(c Config, w Wish, lans, devices []string, snippet bool) Config {
	out := c.clone()
	if !w.Armed || snippet {
		return out
	}
	var from []string
	for _, s := range c.Sections {
		if s.Type != "zone" || s.get("name") == "" {
			continue
		}
		for _, n := range s.words("network") {
			if contains(lans, n) {
				from = addNew(from, s.get("name"))
			}
		}
		for _, d := range s.words("device") {
			if contains(devices, d) {
				from = addNew(from, s.get("name"))
			}
		}
	}
	if len(from) == 0 {
		return out
	}
	const zone = "lanseal_zone"
	out.set(zone, "", one("zone"))
	out.set(zone, "name", one("lanseal"))
	out.set(zone, "device", list(rules.DevicePrefix+"+"))
	out.set(zone, "input", one("DROP"))
	out.set(zone, "output", one("ACCEPT"))
	out.set(zone, "forward", one("DROP"))
	for i, name := range from {
		id := "lanseal_from" + strconv.Itoa(i+1)
		out.set(id, "", one("forwarding"))
		out.set(id, "src", one(name))
		out.set(id, "dest", one("lanseal"))
	}
	return out
}

// offloading reads whether flows are offloaded, and to hardware.
func offloading(c Config) (software, hardware bool) {
	for _, s := range c.Sections {
		if s.Type == "defaults" {
			software = software || s.yes("flow_offloading", false)
			hardware = hardware || s.yes("flow_offloading", false) && s.yes("flow_offloading_hw", false)
		}
	}
	return software, hardware
}

// autoIncludes says whether fw4 includes what packages ship.
func autoIncludes(c Config) bool {
	for _, s := range c.Sections {
		if s.Type == "defaults" && !s.yes("auto_includes", true) {
			return false
		}
	}
	return true
}
