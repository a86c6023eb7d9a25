package openwrt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// The burst is sent more than once because it is multicast, and a sleeping
// phone may miss one.
const (
	bursts     = 3
	burstPause = 500 * time.Millisecond
)

// withdraw tells the LANs' clients that the ISP's prefixes are over. Releases
// from 24.10 on do that themselves, for as long as it takes (RFC 9096).
func (g *Guest) withdraw(ctx context.Context, w Wish, now []Network, lans, devs []string, relayed bool) error {
	if !g.release.before(24, 10) {
		return nil
	}
	var gone []netip.Prefix
	for _, n := range now {
		if contains(lans, n.Name) {
			gone = append(gone, n.Offered...)
		} else if relayed && !contains(lans, n.Name) {
			for _, p := range n.Own {
				gone = append(gone, netip.PrefixFrom(p.Addr(), 64))
			}
		}
	}
	var prefixes []netip.Prefix
	for _, p := range gone {
		// A client's address lies in the /64 of its LAN, whatever was assigned.
		p = netip.PrefixFrom(p.Addr(), max(p.Bits(), 64)).Masked()
		if !slices.Contains(prefixes, p) {
			prefixes = append(prefixes, p)
		}
	}
	var links []*net.Interface
	for _, d := range devs {
		if link, err := net.InterfaceByName(d); err == nil { // else nobody is there to be told
			links = append(links, link)
		}
	}
	if len(prefixes) == 0 || len(links) == 0 {
		return nil
	}
	lifetime := time.Duration(0)
	if w.IPv6 {
		lifetime = 30 * time.Minute // the router stays the way out, with another prefix
	}
	msg := advertisement(lifetime, prefixes)
	var failed error
	for i := range bursts {
		if i > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(burstPause):
			}
		}
		failed = nil
		for _, link := range links {
			failed = errors.Join(failed, advertise(link, msg))
		}
	}
	return failed
}

// advertisement is a router advertisement (RFC 4861, section 4.2) in which
// every prefix has both lifetimes zero. The kernel adds the checksum.
func advertisement(router time.Duration, gone []netip.Prefix) []byte {
	const typeRA, optionPrefix, onLinkAutonomous = 134, 3, 0xc0
	b := []byte{typeRA, 0, 0, 0, 64, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(router/time.Second))
	b = append(b, make([]byte, 8)...) // reachable time, retransmission timer: unspecified
	for _, p := range gone {
		a := p.Masked().Addr().As16()
		b = append(b, optionPrefix, 4, byte(p.Bits()), onLinkAutonomous)
		b = append(b, make([]byte, 12)...) // valid, preferred, reserved
		b = append(b, a[:]...)
	}
	return b
}

// advertise sends one message to all nodes on a device, from its link-local
// address: the kernel chooses no other for this destination.
func advertise(link *net.Interface, msg []byte) error {
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.IPPROTO_ICMPV6)
	if err == nil {
		defer syscall.Close(fd)
		err = errors.Join(
			// Receivers drop what may have crossed a router (RFC 4861, section 6.1.2).
			syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_MULTICAST_HOPS, 255),
			syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_MULTICAST_IF, link.Index),
			syscall.Sendto(fd, msg, 0, &syscall.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16(), ZoneId: uint32(link.Index)}))
	}
	if err != nil {
		return fmt.Errorf("withdrawing the ISP's prefix on %s: %w", link.Name, err)
	}
	return nil
}
