package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanseal/lanseal/rules"
)

// deviceSections reads the rules for single devices of the LAN. One that is
// wrong stays in the policy with what could be understood, and is blocked if
// its way out could not.
func (l *loader) deviceSections(sections []*Section) {
	macs, ips := map[string]*Section{}, map[netip.Addr]*Section{}
	for _, s := range sections {
		l.known(s, "label", "mac", "ip", "via")
		d, label := rules.Device{Name: s.Name}, l.label(s)
		for _, it := range l.list(s, "mac") {
			mac, problem := parseMAC(it.text)
			if other := macs[mac]; problem == "" && other != nil {
				problem = "belongs to " + other.title() + " on line " + strconv.Itoa(other.Line)
				if other == s {
					problem = "is named twice"
				}
			}
			if problem != "" {
				l.fail(s, "mac", it.line, "%s", about(it.text, problem))
				continue
			}
			macs[mac] = s
			d.MACs = append(d.MACs, mac)
		}
		for _, it := range l.list(s, "ip") {
			ip, problem := parseDeviceIP(it.text)
			if other := ips[ip]; problem == "" && other != nil {
				problem = "belongs to " + other.title() + " on line " + strconv.Itoa(other.Line)
				if other == s {
					problem = "is named twice"
				}
			}
			if problem != "" {
				l.fail(s, "ip", it.line, "%s", about(it.text, problem))
				continue
			}
			ips[ip] = s
			d.IPs = append(d.IPs, ip)
		}
		if len(l.list(s, "mac")) == 0 && len(l.list(s, "ip")) == 0 {
			l.fail(s, "mac", 0, "the device needs a list mac 'aa:bb:cc:dd:ee:ff' or a list ip '192.168.1.50' to be known by")
		}
		d.Via = l.via(s, l.cfg.Policy.Via)
		if !ValidExitName(s.Name) {
			continue
		}
		l.cfg.Policy.Devices = append(l.cfg.Policy.Devices, d)
		l.cfg.Devices = append(l.cfg.Devices, Device{Name: s.Name, Label: label})
	}
}

// parseMAC reads six bytes, with colons or dashes, and writes them as the rules
// want them.
func parseMAC(s string) (mac, problem string) {
	hw, err := net.ParseMAC(s)
	switch {
	case err != nil || len(hw) != 6 || strings.Contains(s, "."):
		return "", "is no MAC address, like aa:bb:cc:dd:ee:ff"
	case hw[0]&1 != 0:
		return "", "is a group's MAC address; no device sends from it"
	case slices.Max(hw) == 0:
		return "", "is all zero; no device sends from it"
	}
	return hw.String(), ""
}

func parseDeviceIP(s string) (netip.Addr, string) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil && strings.Contains(s, "/"):
		return a, "is a prefix; a device has single addresses, like 192.168.1.50"
	case err != nil:
		return a, "is no address, like 192.168.1.50 or fd00::50"
	case a.Zone() != "":
		return a, "has a zone, which means nothing here"
	case a.Is4In6():
		return a, "is an IPv4 address in IPv6 form: write it as " + a.Unmap().String()
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback():
		return a, "cannot be the address of a device on the LAN"
	}
	return a, ""
}

// exceptionSections reads what may leave by the WAN. An exception with anything
// wrong in it is none: half of it could open more than all of it.
func (l *loader) exceptionSections(sections []*Section) {
	for _, s := range sections {
		before := len(l.problems)
		l.known(s, "label", "device", "dest", "proto", "port", "until")
		x := Exception{Label: l.label(s), Rule: rules.Exception{Name: s.Name}}
		for _, it := range l.list(s, "device") {
			switch {
			case !slices.Contains(l.devices, it.text):
				hint := didYouMean(it.text, l.devices)
				if hint == "" {
					hint = "; it needs a section config device 'NAME'"
				}
				l.fail(s, "device", it.line, "no device named %s%s", shown(it.text), hint)
			case slices.Contains(x.Rule.Devices, it.text):
				l.fail(s, "device", it.line, "%q is named twice", it.text)
			default:
				x.Rule.Devices = append(x.Rule.Devices, it.text)
			}
		}
		l.dest(s, &x)
		x.Rule.Proto, _ = l.enum(s, "proto", "any", "tcp", "udp", "icmp")
		x.Rule.Ports = l.ports(s, x.Rule.Proto)
		if it, set, _ := l.scalar(s, "until"); set {
			var problem string
			if x.Until, problem = parseUntil(it.text); problem != "" {
				l.fail(s, "until", it.line, "%s", about(it.text, problem))
			}
		}
		if len(l.problems) > before || !ValidExitName(s.Name) {
			continue
		}
		l.cfg.Exceptions = append(l.cfg.Exceptions, x)
		if x.Until.IsZero() {
			l.cfg.Policy.Exceptions = append(l.cfg.Policy.Exceptions, x.Rule)
		}
	}
}

func (l *loader) dest(s *Section, x *Exception) {
	items := l.list(s, "dest")
	if len(items) == 0 {
		l.fail(s, "dest", lineOf(s, "dest", ""), "is missing: an exception says where to, at least one list dest '192.168.100.0/24'")
	}
	for _, it := range items {
		p, problem := parsePrefix(it.text)
		switch {
		case problem != "":
			l.fail(s, "dest", it.line, "%s", about(it.text, problem))
			continue
		case p != p.Masked():
			// Masking it silently could open 256 times what was meant.
			l.fail(s, "dest", it.line, "%s has bits behind the prefix: write %s for the network or %s for the host",
				shown(it.text), p.Masked(), p.Addr())
			continue
		case slices.Contains(x.Rule.Dest, p):
			l.fail(s, "dest", it.line, "%s is named twice", shown(it.text))
			continue
		case p.Bits() == 0:
			l.warn(s, "dest", it.line, "%s is the whole internet: what this exception names leaves outside every tunnel", p)
		}
		x.Rule.Dest = append(x.Rule.Dest, p)
	}
}

func (l *loader) ports(s *Section, proto string) []rules.PortRange {
	items := l.list(s, "port")
	if len(items) > 0 && proto != "tcp" && proto != "udp" {
		l.fail(s, "port", items[0].line, "ports need option proto 'tcp' or 'udp'; it is '%s'", proto)
	}
	var ports []rules.PortRange
	for _, it := range items {
		r, problem := parsePorts(it.text)
		if problem != "" {
			l.fail(s, "port", it.line, "%s", about(it.text, problem))
			continue
		}
		ports = append(ports, r)
	}
	return ports
}

func parsePorts(s string) (r rules.PortRange, problem string) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	switch {
	case errA != nil || errB != nil || a == 0 || b == 0:
		return r, "is no port or range from 1 to 65535, like '443' or '5000-5999'"
	case a > b:
		return r, fmt.Sprintf("begins behind its end: '%d-%d' is right", b, a)
	}
	return rules.PortRange{First: uint16(a), Last: uint16(b)}, ""
}

// parseUntil reads RFC 3339, and the same without seconds.
func parseUntil(s string) (time.Time, string) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, ""
		}
	}
	return time.Time{}, "is no time with a zone, like '2026-11-23T20:00Z' or '2026-11-23T21:00:00+01:00'"
}
