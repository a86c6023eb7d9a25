package lab

import "net/netip"

// Every address comes from the documentation or benchmark ranges, so that a
// frame that escapes the lab can hurt nobody. OpenDNS's are its own: the agent
// knows them by heart, and its question to them must go nowhere but there.
const (
	RouterLAN4 = "192.168.1.1"
	RouterLAN6 = "fd00:1::1"
	RouterGUA  = "2001:db8:100:1::1" // of the prefix that the ISP delegates
	GuestLAN4  = "192.168.2.1"
	TV4        = "192.168.1.50"
	TV6        = "fd00:1::50"
	TVGUA      = "2001:db8:100:1::50"
	Laptop4    = "192.168.1.60"
	Laptop6    = "fd00:1::60"
	LaptopGUA  = "2001:db8:100:1::60"
	Guest4     = "192.168.2.50"

	WAN4      = "203.0.113.2"
	WAN6      = "2001:db8:ffff::2"
	Gateway4  = "203.0.113.1"
	Gateway4b = "203.0.113.254" // the ISP's second router, for a change of gateway
	Gateway6  = "2001:db8:ffff::1"

	ISPResolver4    = "203.0.113.53" // on the WAN's own link
	ISPResolver6    = "2001:db8:ffff::53"
	ISPResolverFar4 = "198.51.100.153" // the ISP's, but behind its gateway

	WAN2v4     = "198.18.2.2" // the second uplink
	WAN2v6     = "2001:db8:eeee::2"
	Gateway2v4 = "198.18.2.1"
	Gateway2v6 = "2001:db8:eeee::1"

	Echo4     = "198.51.100.10"
	Echo4b    = "198.51.100.11"
	Echo6     = "2001:db8:5::10"
	Resolver4 = "198.51.100.53"
	Resolver6 = "2001:db8:5::53"
	OpenDNS4  = "208.67.222.222"
	OpenDNS6  = "2620:119:35::35"

	VPN1v4 = "192.0.2.10"
	VPN2v4 = "192.0.2.20"
	VPN1v6 = "2001:db8:a::10"
	VPN2v6 = "2001:db8:a::20"

	WGPort   = 51820
	EchoPort = 7
	STUNPort = 3478

	OpenDNSPort = 5353
)

// Fixed hardware addresses, so that policies by MAC can be written down.
const (
	MACRouterLAN = "02:00:00:00:01:01"
	MACRouterWAN = "02:00:00:00:02:02"
	MACWAN2      = "02:00:00:00:02:03"
	MACISP       = "02:00:00:00:02:01"
	MACTV        = "02:00:00:00:01:50"
	MACLaptop    = "02:00:00:00:01:60"
	MACGuest     = "02:00:00:00:03:50"
)

// ISPOwned says whether an address betrays the customer: it is the WAN's, or
// of a prefix that the ISP routes to the customer.
func ISPOwned(a netip.Addr) bool {
	for _, p := range []string{"203.0.113.0/24", "198.18.2.0/24", "2001:db8:100::/48", "2001:db8:ffff::/48", "2001:db8:eeee::/48"} {
		if netip.MustParsePrefix(p).Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
