package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// ask puts one question from this host to a resolver.
func (h *Host) ask(to netip.AddrPort, tcp bool, id uint16, name string, t dnsmessage.Type, deadline time.Time) (dnsmessage.RCode, []netip.Addr, error) {
	q, err := dnsQuery(id, name, t)
	if err != nil {
		return 0, nil, err
	}
	var b []byte
	if tcp {
		b, err = h.exchangeTCP(to, q, deadline)
	} else {
		b, err = h.exchange(to, q, deadline)
	}
	if err != nil {
		return 0, nil, err
	}
	got, rcode, addrs, err := parseAnswer(b)
	if err == nil && got != id {
		err = errors.New("an answer to another question")
	}
	return rcode, addrs, err
}

// exchangeTCP is one DNS message each way with its length before it.
func (h *Host) exchangeTCP(to netip.AddrPort, msg []byte, deadline time.Time) ([]byte, error) {
	s, err := h.socket(unix.SOCK_STREAM, 0, to, deadline)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	_ = s.SetDeadline(deadline)
	if _, err := s.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)); err != nil {
		return nil, err
	}
	var n [2]byte
	if _, err := io.ReadFull(s, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(n[:]))
	_, err = io.ReadFull(s, b)
	return b, err
}

// Resolve asks one resolver ("addr" or "addr:port") one question of type A or
// AAAA; a refusal by the resolver is an error.
func (h *Host) Resolve(resolver, name, qtype string) ([]netip.Addr, error) {
	to, err := netip.ParseAddrPort(resolver)
	if err != nil {
		a, err := netip.ParseAddr(resolver)
		if err != nil {
			return nil, err
		}
		to = netip.AddrPortFrom(a, 53)
	}
	t := dnsmessage.TypeA
	if qtype == "AAAA" {
		t = dnsmessage.TypeAAAA
	}
	rcode, addrs, err := h.ask(to, false, uint16(time.Now().UnixNano()), name, t, time.Now().Add(probeTimeout))
	if err == nil && rcode != dnsmessage.RCodeSuccess {
		err = fmt.Errorf("%s: %v", name, rcode)
	}
	return addrs, err
}

// WhoAmI asks an echo server over TCP which address it sees.
func (h *Host) WhoAmI(server string) (netip.Addr, error) {
	a, err := netip.ParseAddr(server)
	if err != nil {
		return a, err
	}
	return onceTCP(netip.AddrPortFrom(a, EchoPort))(h, 1, time.Now().Add(probeTimeout))
}

// STUN asks a STUN server for the address it sees.
func (h *Host) STUN(server string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(server)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return h.stun(netip.AddrPortFrom(a, STUNPort), uint64(time.Now().UnixNano()), time.Now().Add(probeTimeout))
}

func (h *Host) stun(to netip.AddrPort, id uint64, deadline time.Time) (netip.AddrPort, error) {
	req := []byte{0, 1, 0, 0}
	req = binary.BigEndian.AppendUint32(req, stunMagic)
	req = binary.BigEndian.AppendUint32(req, 0)
	req = binary.BigEndian.AppendUint64(req, id)
	b, err := h.exchange(to, req, deadline)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if len(b) < 32 || string(b[4:20]) != string(req[4:20]) || b[0] != 1 || b[1] != 1 {
		return netip.AddrPort{}, errors.New("a strange answer")
	}
	ip := append([]byte(nil), b[28:]...)
	for i := range ip {
		ip[i] ^= b[4+i%16]
	}
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.AddrPort{}, errors.New("a strange address")
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[26:])^(stunMagic>>16)), nil
}
