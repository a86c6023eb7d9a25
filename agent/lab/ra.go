package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// RA is one router advertisement (RFC 4861, RFC 4191, RFC 8106).
type RA struct {
	RouterLifetime time.Duration // 0: not a default router
	Prefixes       []RAPrefix
	Routes         []RARoute
	RDNSS          []netip.Addr
	MTU            int
}

// RAPrefix is a prefix option, on-link and autonomous.
type RAPrefix struct {
	Prefix           netip.Prefix
	Preferred, Valid time.Duration // both 0: withdrawn
}

// RARoute is a route information option, always of high preference.
type RARoute struct {
	Prefix   netip.Prefix
	Lifetime time.Duration
}

func seconds(b []byte, d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(d/time.Second))
}

func (r RA) marshal() []byte {
	b := []byte{134, 0, 0, 0, 64, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(r.RouterLifetime/time.Second))
	b = append(b, make([]byte, 8)...) // reachable time and retransmission: unspecified
	for _, p := range r.Prefixes {
		a := p.Prefix.Masked().Addr().As16()
		b = append(b, 3, 4, byte(p.Prefix.Bits()), 0xc0)
		b = append(seconds(seconds(b, p.Valid), p.Preferred), 0, 0, 0, 0)
		b = append(b, a[:]...)
	}
	for _, o := range r.Routes {
		a := o.Prefix.Masked().Addr().As16()
		b = append(b, 24, 3, byte(o.Prefix.Bits()), 1<<3)
		b = seconds(b, o.Lifetime)
		b = append(b, a[:]...)
	}
	if len(r.RDNSS) > 0 {
		b = append(b, 25, byte(1+2*len(r.RDNSS)), 0, 0)
		b = seconds(b, 10*time.Minute)
		for _, d := range r.RDNSS {
			a := d.As16()
			b = append(b, a[:]...)
		}
	}
	if r.MTU > 0 {
		b = binary.BigEndian.AppendUint32(append(b, 5, 1, 0, 0), uint32(r.MTU))
	}
	return b
}

// SendRA sends one advertisement to all nodes on a device of the host, from
// its link-local address; the kernel adds the checksum.
func (h *Host) SendRA(dev string, ra RA) error {
	link, err := h.nl.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("%s: finding %s: %w", h.Name, dev, err)
	}
	to := &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16(), ZoneId: uint32(link.Attrs().Index)}
	return h.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		err = errors.Join(
			// Receivers drop what may have crossed a router (RFC 4861 §6.1.2).
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, link.Attrs().Index),
			unix.Sendto(fd, ra.marshal(), 0, to))
		if err != nil {
			return fmt.Errorf("%s: sending an advertisement: %w", h.Name, err)
		}
		return nil
	})
}

// RARoute is TunnelVision for IPv6: the ISP advertises a more specific route
// to a target. Lifetime 0 takes it back.
func (l *Lab) RARoute(prefix string, lifetime time.Duration) error {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return err
	}
	return l.ISP.SendRA("cpe", RA{Routes: []RARoute{{p, lifetime}}})
}
