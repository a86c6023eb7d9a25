package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// WireGuard is what a wg-quick file says, as far as lanseal uses it.
type WireGuard struct {
	PrivateKey SecretKey
	ListenPort uint16         // 0: any free one
	Addresses  []netip.Prefix // the tunnel's own, host bits kept
	DNS        []netip.Addr
	Search     []string
	MTU        int // bytes; 0: not given
	Peers      []Peer
}

// Format tells no secret under any verb. The keys redact themselves, but fmt
// goes round their methods when a pointer meets a verb that fits no field.
func (w WireGuard) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "{private key %s, port %d, addresses %v, dns %v %v, mtu %d, peers %v}",
		redacted, w.ListenPort, w.Addresses, w.DNS, w.Search, w.MTU, w.Peers)
}

// Peer is the other end. A provider's file has one.
type Peer struct {
	PublicKey       PublicKey
	PresharedKey    SecretKey
	HasPresharedKey bool
	Endpoint        Endpoint
	AllowedIPs      []netip.Prefix // masked
	Keepalive       int            // seconds; 0: off
}

// Format tells no secret, as WireGuard's.
func (p Peer) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "{%s, preshared key %t, endpoint %s, allowed %v, keepalive %d s}",
		p.PublicKey, p.HasPresharedKey, p.Endpoint, p.AllowedIPs, p.Keepalive)
}

// Endpoint is where a peer listens. The zero value says that the file names
// none: such a peer has to call first.
type Endpoint struct {
	Host string     // as written, without brackets
	Addr netip.Addr // valid if Host is an address and needs no resolver
	Port uint16
}

// IsZero says whether the file names no endpoint.
func (e Endpoint) IsZero() bool { return e == Endpoint{} }

// String is host:port, with brackets around an IPv6 address.
func (e Endpoint) String() string {
	switch {
	case e.IsZero():
		return ""
	case e.Addr.IsValid():
		return netip.AddrPortFrom(e.Addr, e.Port).String()
	}
	return fmt.Sprintf("%s:%d", e.Host, e.Port)
}

// The keys of each section, in the spelling of the manual.
func interfaceKeys() []string {
	return []string{"PrivateKey", "Address", "DNS", "MTU", "ListenPort", "FwMark", "Table",
		"PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig"}
}

func peerKeys() []string {
	return []string{"PublicKey", "PresharedKey", "Endpoint", "AllowedIPs", "PersistentKeepalive"}
}

// amneziaKeys make the packets look different on the wire; a plain WireGuard
// that ignored them would never get an answer.
func amneziaKeys() []string {
	return []string{"Jc", "Jmin", "Jmax", "S1", "S2", "S3", "S4", "H1", "H2", "H3", "H4",
		"I1", "I2", "I3", "I4", "I5", "J1", "J2", "J3", "Itime"}
}

// appKeys are written by the Android and desktop apps and mean nothing here.
func appKeys() []string {
	return []string{"IncludedApplications", "ExcludedApplications"}
}

// wgParser reads one file. It collects every problem before it gives up.
type wgParser struct {
	file     string
	secrets  []string // raw values of secret keys, so that no message repeats them
	wg       WireGuard
	warnings []string
	problems []Problem

	section   string // "[Interface]", "[Peer]", "" before the first, "?" in an unknown one
	line      int
	iface     int            // line of [Interface]; 0: none yet
	given     map[string]int // single-valued keys of this section, with their lines
	peerLine  int
	allowed   bool     // the peer has a line AllowedIPs
	vendor    []string // AmneziaWG keys found
	vendorAt  Problem
	seenPeers map[PublicKey]int
}

// ParseWGQuick reads a wg-quick file; file is for messages only. Everything
// that is wrong comes in one [Errors]; no message holds a secret. Warnings say
// what is ignored or suspicious. The WireGuard is nil when there are errors.
func ParseWGQuick(file string, data []byte) (*WireGuard, []string, error) {
	p := &wgParser{file: file, seenPeers: map[PublicKey]int{}}
	text := string(data)
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		p.fail("", "the file is UTF-16: save it as UTF-8")
		return nil, nil, asError(p.problems)
	}
	text = strings.TrimPrefix(text, "\ufeff")
	lines := strings.Split(text, "\n")
	for _, l := range lines {
		key, value, _ := strings.Cut(l, "=")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "privatekey", "presharedkey":
			value, _, _ = strings.Cut(value, "#")
			p.secrets = append(p.secrets, strings.TrimSpace(value))
		}
	}
	for i, l := range lines {
		p.line = i + 1
		l, _, _ = strings.Cut(l, "#")
		if l = strings.TrimSpace(l); l == "" || strings.HasPrefix(l, ";") {
			continue
		}
		if strings.HasPrefix(l, "[") {
			p.open(l)
			continue
		}
		p.setting(l)
	}
	p.close()
	p.whole()
	if err := asError(p.problems); err != nil {
		return nil, p.warnings, err
	}
	return &p.wg, p.warnings, nil
}

func (p *wgParser) problem(key, format string, args ...any) Problem {
	section := p.section
	if section == "?" {
		section = ""
	}
	if section == "" && key != "" {
		format, args, key = "%s: "+format, append([]any{key}, args...), ""
	}
	return Problem{File: p.file, Line: p.line, Section: section, Option: key, Message: fmt.Sprintf(format, args...)}
}

func (p *wgParser) fail(key, format string, args ...any) {
	p.problems = append(p.problems, p.problem(key, format, args...))
}

func (p *wgParser) warn(key, format string, args ...any) {
	p.warnings = append(p.warnings, p.problem(key, format, args...).String())
}

// show quotes a value unless it is, holds, or is part of, one of the file's
// secrets.
func (p *wgParser) show(v string) string {
	for _, s := range p.secrets {
		if len(s) >= 6 && strings.Contains(v, s) || len(v) >= 6 && strings.Contains(s, v) {
			return "a value that is part of a key (not repeated here)"
		}
	}
	return shown(v)
}

// open begins a section.
func (p *wgParser) open(l string) {
	p.close()
	p.given = map[string]int{}
	name := strings.ToLower(strings.TrimSpace(strings.Trim(l, "[]")))
	switch {
	case !strings.HasSuffix(l, "]"):
		p.section = "?"
		p.fail("", "a section line ends with ']': [Interface] or [Peer] is right")
	case name == "interface":
		p.section = "[Interface]"
		if p.iface > 0 {
			p.fail("", "a second [Interface]; the first is on line %d, and one file is one tunnel", p.iface)
		} else {
			p.iface = p.line
		}
	case name == "peer":
		p.section = "[Peer]"
		p.peerLine, p.allowed = p.line, false
		p.wg.Peers = append(p.wg.Peers, Peer{})
	default:
		p.section = "?"
		p.fail("", "unknown section%s; a WireGuard file has [Interface] and [Peer]",
			didYouMean(name, []string{"Interface", "Peer"}))
	}
}

// close checks the peer that ends here.
func (p *wgParser) close() {
	if p.section != "[Peer]" {
		return
	}
	line := p.line
	p.line = p.peerLine
	peer := &p.wg.Peers[len(p.wg.Peers)-1]
	if p.given["PublicKey"] == 0 {
		p.fail("PublicKey", "is missing; without it no peer can be recognised")
	}
	if peer.PublicKey != (PublicKey{}) {
		if first, ok := p.seenPeers[peer.PublicKey]; ok {
			p.fail("PublicKey", "is the one of the peer on line %d", first)
		}
		p.seenPeers[peer.PublicKey] = p.peerLine
	}
	if !p.allowed {
		p.warn("AllowedIPs", "is missing: this peer carries nothing; 0.0.0.0/0, ::/0 is everything")
	}
	if p.given["Endpoint"] == 0 {
		p.warn("Endpoint", "is missing: this peer has to call first")
	}
	p.line = line
}

// whole checks what concerns no single line.
func (p *wgParser) whole() {
	p.section, p.line = "", 0
	if p.iface == 0 {
		p.fail("", "there is no [Interface] section: is this a wg-quick file?")
	}
	p.section, p.line = "[Interface]", p.iface
	if p.iface > 0 {
		unreported := func(key string) bool {
			return !slices.ContainsFunc(p.problems, func(q Problem) bool {
				return q.Section == p.section && q.Option == key
			})
		}
		if p.wg.PrivateKey.IsZero() && unreported("PrivateKey") {
			p.fail("PrivateKey", "is missing; the provider's file holds it")
		}
		if len(p.wg.Addresses) == 0 && unreported("Address") {
			p.fail("Address", "is missing; the tunnel needs an address of its own, like 10.64.0.2/32")
		}
	}
	if len(p.vendor) > 0 {
		q := p.vendorAt
		q.Option = p.vendor[0]
		q.Message = fmt.Sprintf("this file needs AmneziaWG (it sets %s), which lanseal does not speak itself: "+
			"bring the tunnel up with amneziawg and use a tunnel of type 'device'", strings.Join(p.vendor, ", "))
		p.problems = append(p.problems, q)
	}
	p.section, p.line = "", 0
	if len(p.wg.Peers) == 0 {
		p.fail("", "there is no [Peer] section: the tunnel has no other end")
	}
}
