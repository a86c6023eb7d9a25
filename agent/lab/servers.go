package lab

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// ListenUDP answers datagrams on one address of the host; a nil answer is
// none. It lives as long as the lab.
func (h *Host) ListenUDP(at netip.AddrPort, answer func(from netip.AddrPort, msg []byte) []byte) error {
	var c *net.UDPConn
	err := h.Do(func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: listening: %w", h.Name, err)
	}
	_ = c.SetReadBuffer(4 << 20)
	h.lab.onClose(func() { c.Close() })
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // an ICMP error about an earlier answer
			}
			if a := answer(from, buf[:n]); a != nil {
				_, _ = c.WriteToUDPAddrPort(a, from)
			}
		}
	}()
	return nil
}

// ListenTCP serves connections to one address of the host.
func (h *Host) ListenTCP(at netip.AddrPort, serve func(net.Conn)) error {
	var ln net.Listener
	err := h.Do(func() (err error) {
		ln, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: listening: %w", h.Name, err)
	}
	h.lab.onClose(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return nil
}

// serveEcho answers on one address: UDP echo on EchoPort, 443, 853, and STUN;
// TCP echo on EchoPort, 443, 853. Every answer begins with the source address
// that the server saw.
func (h *Host) serveEcho(addr string) error {
	ip := netip.MustParseAddr(addr)
	var err error
	for _, port := range []uint16{EchoPort, 443, 853} {
		at := netip.AddrPortFrom(ip, port)
		err = errors.Join(err, h.ListenUDP(at, echoUDP), h.ListenTCP(at, echoTCP))
	}
	return errors.Join(err, h.ListenUDP(netip.AddrPortFrom(ip, STUNPort), stunAnswer))
}

// echoUDP answers one length byte, the source address as text, the datagram.
func echoUDP(from netip.AddrPort, msg []byte) []byte {
	src := from.Addr().Unmap().String()
	return append(append([]byte{byte(len(src))}, src...), msg...)
}

// echoTCP answers each line with the source address, a space, the line.
func echoTCP(c net.Conn) {
	src := addrPort(c.RemoteAddr()).Addr().Unmap().String()
	r := bufio.NewScanner(c)
	for {
		// A customer whose way has changed never closes: do not wait for ever.
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		if !r.Scan() {
			return
		}
		if _, err := fmt.Fprintf(c, "%s %s\n", src, r.Text()); err != nil {
			return
		}
	}
}

// stunMagic is the cookie of RFC 8489.
const stunMagic = 0x2112A442

// stunAnswer is a binding response with XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
func stunAnswer(from netip.AddrPort, msg []byte) []byte {
	if len(msg) < 20 || binary.BigEndian.Uint16(msg) != 1 || binary.BigEndian.Uint32(msg[4:]) != stunMagic {
		return nil
	}
	addr := from.Addr().Unmap()
	ip, family := addr.AsSlice(), byte(1)
	if addr.Is6() {
		family = 2
	}
	for i := range ip {
		ip[i] ^= msg[4+i] // the cookie, then the transaction id
	}
	attr := []byte{0, 0x20, 0, byte(4 + len(ip)), 0, family}
	attr = binary.BigEndian.AppendUint16(attr, from.Port()^(stunMagic>>16))
	attr = append(attr, ip...)
	out := binary.BigEndian.AppendUint16([]byte{1, 1}, uint16(len(attr)))
	return append(append(out, msg[4:20]...), attr...)
}

func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort()
	case *net.UDPAddr:
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

// Public resolvers of the lab's internet and of the ISP.
type resolvers struct{ public, isp, open *DNSServer }

// PublicDNS is the resolver at Resolver4 and Resolver6.
func (l *Lab) PublicDNS() *DNSServer { return l.dns.public }

// ISPDNS is the resolver at ISPResolver4, ISPResolver6 and ISPResolverFar4.
func (l *Lab) ISPDNS() *DNSServer { return l.dns.isp }

// OpenDNS is the resolver at OpenDNS4 and OpenDNS6, which tells who asks it for
// "myip.opendns.com" which address that question came from.
func (l *Lab) OpenDNS() *DNSServer { return l.dns.open }

// serveInternet starts the servers of the internet and of the ISP.
func (l *Lab) serveInternet() (err error) {
	for _, a := range []string{Echo4, Echo4b, Echo6} {
		if err := l.Internet.serveEcho(a); err != nil {
			return err
		}
	}
	if l.dns.public, err = l.Internet.serveDNS("public", 53, "", Resolver4, Resolver6); err != nil {
		return err
	}
	if l.dns.open, err = l.Internet.serveDNS("opendns", OpenDNSPort, "myip.opendns.com", OpenDNS4, OpenDNS6); err != nil {
		return err
	}
	l.dns.isp, err = l.ISP.serveDNS("isp", 53, "", ISPResolver4, ISPResolver6, ISPResolverFar4)
	return err
}
