package config

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/lanseal/lanseal/rules"
)

// DefaultPath is where the configuration lives.
const DefaultPath = "/etc/config/lanseal"

// WireGuardMTU is what a tunnel gets that names no MTU: 1500 less the 80 bytes
// of WireGuard over IPv6, as wg-quick computes it.
const WireGuardMTU = 1420

// The types of a tunnel.
const (
	TypeWireGuard = "wireguard"
	TypeOpenVPN   = "openvpn"
	TypeDevice    = "device"
)

// The values of option firewall.
const (
	FirewallAuto     = "auto"
	FirewallNFT      = "nft"
	FirewallIPTables = "iptables"
)

// Config is the whole configuration, typed. It is read-only once loaded.
type Config struct {
	// Policy is what the rules are made of. Its Exceptions are only those
	// without an end; PolicyAt adds the ones in force at a time.
	Policy rules.Policy

	Tunnels    []Tunnel    // same order and index as Policy.Exits
	Devices    []Device    // same order and index as Policy.Devices
	Exceptions []Exception // all of them, the ended ones too

	LANNetworks []string // logical OpenWrt networks to protect; "lan" if neither list names any
	WANNetworks []string // logical uplinks; empty, as Policy.WAN: whatever holds a default route
	Bootstrap   []netip.Addr
	Firewall    string // FirewallAuto, FirewallNFT or FirewallIPTables
	WebUI       bool
	WebUIListen netip.AddrPort // not valid: the LAN addresses, port 8053
	LogLevel    slog.Level

	Warnings []string // whole lines, of the tunnel files too
	File     *File    // the UCI file as read; nil if it could not be read
}

// Tunnel is what its driver needs to know, secrets included; rules.Exit is the
// rest.
type Tunnel struct {
	Name      string
	Label     string // the name, if the user gave none
	Type      string // TypeWireGuard, TypeOpenVPN or TypeDevice
	File      string // path, resolved
	Enabled   bool
	Device    string     // "ls-<name>" or the foreign one
	WireGuard *WireGuard // nil unless Type is TypeWireGuard and the file could be read
	Warnings  []string   // those of Config.Warnings that concern this tunnel
}

// Device names a rules.Device for people.
type Device struct {
	Name  string
	Label string // the name, if the user gave none
}

// Exception is traffic that may leave by the WAN, until an end.
type Exception struct {
	Rule  rules.Exception
	Label string
	Until time.Time // zero: no end
}

// InForce says whether the exception holds; at its end it does not any more.
func (e Exception) InForce(now time.Time) bool {
	return e.Until.IsZero() || now.Before(e.Until)
}

// PolicyAt is the policy with the exceptions in force at a time.
func (c *Config) PolicyAt(now time.Time) rules.Policy {
	p := c.Policy
	p.Exceptions = nil
	for _, e := range c.Exceptions {
		if e.InForce(now) {
			p.Exceptions = append(p.Exceptions, e.Rule)
		}
	}
	return p
}

// NextChange is when PolicyAt next gives another answer; zero if never.
func (c *Config) NextChange(now time.Time) time.Time {
	var next time.Time
	for _, e := range c.Exceptions {
		if e.Until.After(now) && (next.IsZero() || e.Until.Before(next)) {
			next = e.Until
		}
	}
	return next
}

// Tunnel finds a tunnel by name, or nil.
func (c *Config) Tunnel(name string) *Tunnel {
	i := slices.IndexFunc(c.Tunnels, func(t Tunnel) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Tunnels[i]
}

// DefaultBootstrap are Quad9's resolvers. The agent asks them outside the
// tunnel, for the names of endpoints alone.
func DefaultBootstrap() []netip.Addr {
	return []netip.Addr{
		netip.AddrFrom4([4]byte{9, 9, 9, 9}),
		netip.AddrFrom4([4]byte{149, 112, 112, 112}),
		netip.MustParseAddr("2620:fe::fe"),
	}
}
