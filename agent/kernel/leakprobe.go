package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// leakProbe is one way out.
type leakProbe struct {
	name  string
	proto int
	to    netip.AddrPort
	dns   bool
	at    int // its number, which makes TCP's source port
}

// leakProbes are the ways in which devices leak: by every protocol, to the
// internet, to resolvers, to what is near the uplink, by IPv6.
func leakProbes(c *leakClient, l rules.Link, near []netip.Addr) []leakProbe {
	var out []leakProbe
	add := func(name string, proto int, a netip.Addr, port uint16, dns bool) {
		if a.Is4() && c.v4.IsValid() || a.Is6() && c.v6.IsValid() {
			out = append(out, leakProbe{name, proto, netip.AddrPortFrom(a, port), dns, len(out)})
		}
	}
	for _, a := range []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("2620:fe::fe")} {
		v := map[bool]string{true: "IPv4", false: "IPv6"}[a.Is4()]
		add("UDP to the internet, "+v, unix.IPPROTO_UDP, a, 40001, false)
		add("TCP to the internet, "+v, unix.IPPROTO_TCP, a, 443, false)
		add("ping, "+v, unix.IPPROTO_ICMP, a, 0, false)
		add("DNS to a public resolver, "+v, unix.IPPROTO_UDP, a, 53, true)
		add("DNS over TCP, "+v, unix.IPPROTO_TCP, a, 53, false)
		add("DNS over TLS, "+v, unix.IPPROTO_TCP, a, 853, false)
		add("STUN (WebRTC), "+v, unix.IPPROTO_UDP, a, 3478, false)
	}
	for _, p := range l.Prefixes {
		if !p.Addr().IsLinkLocalUnicast() {
			add("DNS to the router, "+p.Addr().String(), unix.IPPROTO_UDP, p.Addr(), 53, true)
		}
	}
	const most = 64 // however many servers there are
	for _, a := range near {
		if len(out)+2 > most {
			break
		}
		add("UDP to "+a.String()+", near the uplink", unix.IPPROTO_UDP, a, 40002, false)
		add("DNS to "+a.String()+", near the uplink", unix.IPPROTO_UDP, a, 53, true)
	}
	return out
}

// send sends the probe once, from inside the client. It waits for nothing.
func (p leakProbe) send(sign leakSign, i int) error {
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(p.to.Port()), Addr: as4(p.to.Addr())})
	if p.to.Addr().Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(p.to.Port()), Addr: p.to.Addr().As16()}
	}
	typ, proto := unix.SOCK_DGRAM, p.proto
	switch p.proto {
	case unix.IPPROTO_TCP:
		typ = unix.SOCK_STREAM
	case unix.IPPROTO_ICMP:
		typ = unix.SOCK_RAW
		if family == unix.AF_INET6 {
			proto = unix.IPPROTO_ICMPV6
		}
	}
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return fmt.Errorf("sending %s: %w", p.name, err)
	}
	defer unix.Close(fd)
	mark := fmt.Appendf(slices.Clone(sign.token), "%02x", i)
	switch {
	case p.proto == unix.IPPROTO_TCP:
		return p.connect(fd, family, sa, sign)
	case p.proto == unix.IPPROTO_ICMP:
		mark = echo(family, mark)
	case p.dns:
		if mark, err = question(string(mark)); err != nil {
			return err
		}
	}
	return unix.Sendto(fd, mark, 0, sa)
}

// connect begins a connection from the port that bears the sign.
func (p leakProbe) connect(fd, family int, sa unix.Sockaddr, sign leakSign) error {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	own := unix.Sockaddr(&unix.SockaddrInet4{Port: int(sign.port) + p.at})
	if family == unix.AF_INET6 {
		own = &unix.SockaddrInet6{Port: int(sign.port) + p.at}
	}
	if err := unix.Bind(fd, own); err != nil {
		return err
	}
	if err := unix.Connect(fd, sa); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	return nil
}

func as4(a netip.Addr) (b [4]byte) {
	if a.Is4() {
		b = a.As4()
	}
	return b
}

// question asks for a name that nobody has.
func question(label string) ([]byte, error) {
	name, err := dnsmessage.NewName(label + ".example.")
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 0x6c73, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	return m.Pack()
}

// echo is an ICMP echo request; ICMPv6's checksum is the kernel's work.
func echo(family int, payload []byte) []byte {
	b := append([]byte{8, 0, 0, 0, 0x6c, 0x73, 0, 1}, payload...)
	if family == unix.AF_INET6 {
		b[0] = 128
		return b
	}
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		if i+1 == len(b) {
			sum += uint32(b[i]) << 8
			break
		}
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
	return b
}
