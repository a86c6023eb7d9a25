package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Limits of a tunnel's MTU: IPv4 needs 576 of everyone, IPv6 1280.
const (
	minMTU     = 576
	minMTUIPv6 = 1280
	maxMTU     = 65535
)

// setting reads one "Key = value" line.
func (p *wgParser) setting(l string) {
	name, value, ok := strings.Cut(l, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	canonical, home := wgKey(name)
	switch {
	case !ok && canonical != "":
		p.fail(canonical, "there is no '=' between key and value")
	case canonical == "" && (!ok || value == "" || strings.Trim(value, "=") == "" || !echoable(name)):
		// A key broken over two lines looks like this too: do not repeat it.
		p.fail("", "this line is not 'Key = value' (it is not repeated here; it may hold part of a key)")
	case p.section == "?":
		// The section is reported already.
	case canonical == "" && p.section == "":
		p.fail("", "this line stands before the first section: [Interface] comes first")
	case canonical == "":
		known := interfaceKeys()
		if p.section == "[Peer]" {
			known = peerKeys()
		}
		hint := didYouMean(name, known)
		if hint == "" {
			hint = "; " + p.section + " may have " + strings.Join(known, ", ")
		}
		p.fail(p.nameOf(name), "unknown key%s", hint)
	case home == "amnezia":
		if len(p.vendor) == 0 {
			p.vendorAt = p.problem("", "")
		}
		if !slices.Contains(p.vendor, canonical) {
			p.vendor = append(p.vendor, canonical)
		}
	case home == "app":
		p.warn(canonical, "is ignored: it is for the provider's app")
	case canonical == "Reserved":
		p.fail(canonical, "reserved bytes (Cloudflare WARP) are not supported by this version: remove the line if the server does without")
	case p.section == "":
		p.fail("", "%s stands before the first section: it belongs in %s", canonical, home)
	case home != p.section:
		p.fail(canonical, "belongs in %s, not in %s", home, p.section)
	default:
		if single(canonical) {
			if first := p.given[canonical]; first > 0 {
				p.fail(canonical, "is given twice in one section; the first is on line %d", first)
				return
			}
			p.given[canonical] = p.line
		}
		p.value(canonical, value)
	}
}

// wgKey finds the manual's spelling of a key, whatever its case, and the
// section it belongs in ("amnezia", "app" for keys that are not WireGuard's).
func wgKey(name string) (canonical, home string) {
	in := func(keys []string) bool {
		for _, k := range keys {
			if strings.EqualFold(k, name) {
				canonical = k
				return true
			}
		}
		return false
	}
	switch {
	case in(interfaceKeys()):
		return canonical, "[Interface]"
	case in(peerKeys()):
		return canonical, "[Peer]"
	case in(amneziaKeys()):
		return canonical, "amnezia"
	case in(appKeys()):
		return canonical, "app"
	case in([]string{"Reserved"}):
		return canonical, "[Peer]"
	}
	return "", ""
}

// echoable says whether an unknown key is a word that a message may repeat.
func echoable(name string) bool { return len(name) <= 24 && validName(name) }

// nameOf is the unknown key itself, unless it is part of a secret.
func (p *wgParser) nameOf(name string) string {
	for _, s := range p.secrets {
		if len(name) >= 4 && strings.Contains(s, name) || len(s) >= 4 && strings.Contains(name, s) {
			return ""
		}
	}
	return name
}

// single says whether a key may stand once per section.
func single(key string) bool {
	switch key {
	case "PrivateKey", "PublicKey", "PresharedKey", "Endpoint", "MTU", "ListenPort", "PersistentKeepalive":
		return true
	}
	return false
}

func (p *wgParser) value(key, v string) {
	switch key {
	case "PrivateKey":
		p.wg.PrivateKey = SecretKey(p.key(key, v))
	case "Address":
		p.addresses(v)
	case "DNS":
		p.dns(v)
	case "MTU":
		p.wg.MTU = p.number(key, v, minMTU, maxMTU)
	case "ListenPort":
		p.wg.ListenPort = uint16(p.number(key, v, 0, 65535))
	case "FwMark", "Table", "PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig":
		p.warn(key, "is ignored: lanseal sets its own marks and routes, and never runs a command of a tunnel file")
	default:
		p.peerValue(&p.wg.Peers[len(p.wg.Peers)-1], key, v)
	}
}

func (p *wgParser) peerValue(peer *Peer, key, v string) {
	switch key {
	case "PublicKey":
		peer.PublicKey = PublicKey(p.key(key, v))
	case "PresharedKey":
		if v == zeroKey {
			p.warn(key, "is all zero, which is the same as none")
			return
		}
		peer.PresharedKey = SecretKey(p.key(key, v))
		peer.HasPresharedKey = !peer.PresharedKey.IsZero()
	case "Endpoint":
		peer.Endpoint = p.endpoint(v)
	case "AllowedIPs":
		p.allowed = true
		for _, item := range fields(v) {
			prefix, problem := parsePrefix(item)
			if problem != "" {
				p.fail(key, "%s", joined(p.show(item), problem))
				continue
			}
			p.allow(peer, prefix.Masked())
		}
		if len(fields(v)) == 0 {
			p.warn(key, "is empty: this line lets the peer carry nothing; 0.0.0.0/0, ::/0 is everything")
		}
	case "PersistentKeepalive":
		if !strings.EqualFold(v, "off") {
			peer.Keepalive = p.number(key, v, 0, 65535)
		}
	}
}

const zeroKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// allow adds a prefix once. WireGuard gives a prefix to one peer only, the last
// that asks for it.
func (p *wgParser) allow(peer *Peer, prefix netip.Prefix) {
	if slices.Contains(peer.AllowedIPs, prefix) {
		return
	}
	for i := range len(p.wg.Peers) - 1 {
		other := &p.wg.Peers[i]
		if at := slices.Index(other.AllowedIPs, prefix); at >= 0 {
			p.warn("AllowedIPs", "%s is also a prefix of peer %d of this file: the later one gets it", prefix, i+1)
			other.AllowedIPs = slices.Delete(other.AllowedIPs, at, at+1)
		}
	}
	peer.AllowedIPs = append(peer.AllowedIPs, prefix)
}

func (p *wgParser) key(key, v string) [32]byte {
	k, problem := decodeKey(v)
	if problem != "" {
		p.fail(key, "%s", problem)
	}
	return k
}

func (p *wgParser) number(key, v string, low, high int) int {
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		p.fail(key, "%s is not a whole number from %d to %d", p.show(v), low, high)
		return 0
	}
	return n
}

func (p *wgParser) addresses(v string) {
	items := fields(v)
	if len(items) == 0 {
		p.fail("Address", "is empty; an address like 10.64.0.2/32 is right")
	}
	for _, item := range items {
		prefix, problem := parsePrefix(item)
		switch {
		case problem != "":
			p.fail("Address", "%s", joined(p.show(item), problem))
		case prefix.Addr().IsUnspecified() || prefix.Addr().IsMulticast() || prefix.Addr().IsLoopback():
			p.fail("Address", "%s cannot be a tunnel's own address", p.show(item))
		case !slices.Contains(p.wg.Addresses, prefix):
			p.wg.Addresses = append(p.wg.Addresses, prefix)
		}
	}
}

func (p *wgParser) dns(v string) {
	for _, item := range fields(v) {
		if addr, err := netip.ParseAddr(item); err == nil {
			if problem := resolverProblem(addr); problem != "" {
				p.fail("DNS", "%s", joined(p.show(item), problem))
			} else if !slices.Contains(p.wg.DNS, addr) {
				p.wg.DNS = append(p.wg.DNS, addr)
			}
			continue
		}
		if problem := hostProblem(item); problem != "" {
			p.fail("DNS", "%s is neither an address nor a search domain: %s", p.show(item), problem)
			continue
		}
		p.wg.Search = append(p.wg.Search, item)
	}
}

func (p *wgParser) endpoint(v string) (e Endpoint) {
	const want = "HOST:PORT is right, like 192.0.2.10:51820, [2001:db8::1]:51820 or se.example.net:51820"
	i := strings.LastIndexByte(v, ':')
	if i <= 0 {
		p.fail("Endpoint", "%s has no port; %s", p.show(v), want)
		return e
	}
	host, portText := v[:i], v[i+1:]
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		p.fail("Endpoint", "%s: the port is not a number from 1 to 65535; %s", p.show(v), want)
		return e
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		addr, err := netip.ParseAddr(host[1 : len(host)-1])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			p.fail("Endpoint", "%s: between the brackets stands no IPv6 address (without a zone); %s", p.show(v), want)
			return e
		}
		host = host[1 : len(host)-1]
	} else if strings.Contains(host, ":") {
		p.fail("Endpoint", "%s: an IPv6 address needs brackets; %s", p.show(v), want)
		return e
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		if problem := hostProblem(host); problem != "" {
			p.fail("Endpoint", "%s: %s; %s", p.show(v), problem, want)
			return e
		}
		return Endpoint{Host: host, Port: uint16(port)}
	}
	addr = addr.Unmap()
	if addr.IsUnspecified() || addr.IsMulticast() {
		p.fail("Endpoint", "%s: no server has such an address", p.show(v))
		return e
	}
	return Endpoint{Host: host, Addr: addr, Port: uint16(port)}
}

// fields splits at commas and spaces.
func fields(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' })
}

// parsePrefix reads "address/length" or an address alone, keeping host bits.
func parsePrefix(s string) (netip.Prefix, string) {
	text, bits, hasBits := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return netip.Prefix{}, "is no address or prefix, like 192.0.2.0/24 or 2001:db8::/32"
	case addr.Zone() != "":
		return netip.Prefix{}, "has a zone, which means nothing here"
	case addr.Is4In6():
		return netip.Prefix{}, "is an IPv4 address in IPv6 form: write it as " + addr.Unmap().String()
	case !hasBits:
		return netip.PrefixFrom(addr, addr.BitLen()), ""
	}
	n, err := strconv.ParseUint(bits, 10, 8)
	if err != nil || int(n) > addr.BitLen() {
		return netip.Prefix{}, fmt.Sprintf("the prefix length is a number from 0 to %d", addr.BitLen())
	}
	return netip.PrefixFrom(addr, int(n)), ""
}

// resolverProblem says why an address cannot be a resolver that is asked over
// the network, or nothing.
func resolverProblem(a netip.Addr) string {
	switch {
	case a.Zone() != "" || a.IsLinkLocalUnicast():
		return "is a link-local address; a resolver is further away"
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback():
		return "is no address that a resolver elsewhere can have"
	case a.Is4In6():
		return "is an IPv4 address in IPv6 form: write it as " + a.Unmap().String()
	}
	return ""
}

// hostProblem says why a name cannot be a host or domain, or nothing (RFC 1123,
// and the underscore that people use).
func hostProblem(name string) string {
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	if len(name) > 253 {
		return "a name has at most 253 characters"
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return "the parts of a name have 1 to 63 characters and no '-' at either end"
		}
		for i := range len(l) {
			if !isAlnum(l[i]) && l[i] != '-' && l[i] != '_' {
				return "a name has only letters, digits, '-' and '.' (others as xn--…)"
			}
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return "it looks like an address, but is none"
	}
	return ""
}
