package rules

import "net/netip"

// Names and numbers of the kernel's objects, as every part agrees on them.
const (
	MarkMask      uint32 = 0x7f000000 // the bits of a packet's mark that are lanseal's
	MarkDirect    uint32 = 0x7e000000 // may leave by the WAN, on purpose
	MarkTransport uint32 = 0x7f000000 // encrypted packets, the agent's bootstrap DNS and time
	MaxExits             = 120        // exit numbers run from 1 to MaxExits

	TableMain = 254
	TableLAN  = 5200                    // the LAN's own subnets; exit n has TableLAN+n
	TableEnd  = TableLAN + MaxExits + 1 // stops the router's packets, not the search for gateways: see routerEnd

	PriorityFirst = 500 // ip rule priorities PriorityFirst…PriorityLast are lanseal's
	PriorityLast  = 529

	DevicePrefix = "ls-" // devices that lanseal makes
	NFTable      = "lanseal"
	NFTableGuard = "lanseal_guard"
)

// Policy is what the user wants, valid and complete: every name in it exists,
// every device has a kernel name. agent/config makes it.
type Policy struct {
	Enabled    bool
	KillSwitch bool
	LAN        []string // kernel devices of the protected LANs
	WAN        []string // uplinks named by the user; Facts.Uplinks are added
	Via        []string // exits in order of preference, or one of ViaDirect, ViaBlock; never empty
	Exits      []Exit   // every tunnel section in file order, disabled ones too
	Devices    []Device
	Exceptions []Exception // those in force now; the agent drops the expired

	BlockIPv6    bool // ipv6 'block'
	DNS          DNSMode
	Resolvers    []netip.Addr // dns 'custom'
	BlockDoT     bool
	BlockDoH     bool
	RouterDirect bool // router_traffic 'wan'
}

// The two ways that are not exits.
const (
	ViaDirect = "direct"
	ViaBlock  = "block"
)

// DNSMode says who answers the LAN's questions.
type DNSMode string

// The values of option dns.
const (
	DNSTunnel DNSMode = "tunnel"
	DNSCustom DNSMode = "custom"
	DNSOff    DNSMode = "off"
)

// Exit is one tunnel as far as the kernel's plan needs to know it: no secrets.
type Exit struct {
	Name      string
	Number    int // 1…MaxExits: position among the tunnel sections
	Enabled   bool
	Device    string         // "ls-<name>", or the foreign device of type device
	Foreign   bool           // somebody else makes the device and gives it its addresses
	Addresses []netip.Prefix // the tunnel's own addresses
	Allowed   []netip.Prefix // what the tunnel carries; type device: 0.0.0.0/0 and ::/0
	Resolvers []netip.Addr   // from the file; empty: PublicResolvers, through the tunnel
	MTU       int            // bytes; 0: leave the device's own
}

// Mark is the exit's firewall mark.
func (e Exit) Mark() uint32 { return uint32(e.Number) << 24 }

// Table is the exit's routing table.
func (e Exit) Table() int { return TableLAN + e.Number }

// Carries says whether the tunnel takes packets of the family (4 or 6): it
// needs an address of it (unless somebody else gives the addresses) and at
// least one prefix of it.
func (e Exit) Carries(family int) bool {
	has := func(ps []netip.Prefix) bool {
		for _, p := range ps {
			if familyOf(p.Addr()) == family {
				return true
			}
		}
		return false
	}
	return has(e.Allowed) && (e.Foreign || has(e.Addresses))
}

// PublicResolvers answer when a tunnel file names none: Quad9's, asked through
// the tunnel, never outside it.
func PublicResolvers() []netip.Addr {
	return []netip.Addr{
		netip.AddrFrom4([4]byte{9, 9, 9, 9}),
		netip.MustParseAddr("2620:fe::fe"),
	}
}

// Device is a rule of the user for one thing on the LAN.
type Device struct {
	Name string
	MACs []string // lower case, colons
	IPs  []netip.Addr
	Via  []string // exits in order, or one of ViaDirect, ViaBlock; never empty
}

// Exception is traffic that may leave by the WAN, on purpose.
type Exception struct {
	Name    string
	Devices []string // names of Policy.Devices; empty: every device
	Dest    []netip.Prefix
	Proto   string // "any", "tcp", "udp" or "icmp"
	Ports   []PortRange
}

// PortRange is inclusive; First equals Last for a single port.
type PortRange struct{ First, Last uint16 }

// Facts is what is true of the machine now. agent/kernel observes it.
type Facts struct {
	Links    map[string]Link // by kernel name
	Uplinks  []string        // devices with a default route in main, tunnels left out
	Up       map[string]bool // exits that carry traffic, by name
	Fresh    map[string]int  // of those, the ones that failed lately: others come first, then the lowest
	Resolver bool            // lanseal keeps the router's resolver on the tunnel: redirect to it
	// TimeUnknown says that the clock is not synchronised. While it is not and
	// the router has no exit, its own NTP may leave by the WAN.
	TimeUnknown bool
}

// Link is one network device.
type Link struct {
	Up       bool
	Prefixes []netip.Prefix // its addresses with their prefix lengths, not masked
	RPFilter int            // net.ipv4.conf: the stricter of "all" and the device's own
	Loopback bool
	Carries  bool // other devices sit on it: VLANs, macvlans
}

func familyOf(a netip.Addr) int {
	if a.Is4() || a.Is4In6() {
		return 4
	}
	return 6
}
