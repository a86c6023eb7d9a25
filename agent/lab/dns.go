package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Zone is what all resolvers of the lab know. Any name under whoami.test is
// answered with the address that asked; any other unknown name with Echo4 and
// Echo6, so that every question has an answer.
type Zone struct {
	mu    sync.Mutex
	names map[string][]netip.Addr
}

func newZone() *Zone {
	return &Zone{names: map[string][]netip.Addr{
		"vpn1.lab.test":    {netip.MustParseAddr(VPN1v4), netip.MustParseAddr(VPN1v6)},
		"myip.opendns.com": nil, // but at OpenDNS
		"vpn2.lab.test":    {netip.MustParseAddr(VPN2v4), netip.MustParseAddr(VPN2v6)},
	}}
}

// Set replaces a name's addresses; none means the name does not exist.
func (z *Zone) Set(name string, addrs ...netip.Addr) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names[strings.ToLower(name)] = addrs
}

func (z *Zone) lookup(name string, who netip.Addr) []netip.Addr {
	if strings.HasSuffix(name, "whoami.test") {
		return []netip.Addr{who}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if a, ok := z.names[name]; ok {
		return a
	}
	return []netip.Addr{netip.MustParseAddr(Echo4), netip.MustParseAddr(Echo6)}
}

// Question is one line of a resolver's log.
type Question struct {
	Time  time.Time
	From  netip.AddrPort
	To    netip.Addr // which of the resolver's addresses was asked
	Proto string     // udp | tcp
	Name  string     // without the last dot
	Type  string     // "A", "AAAA", …
}

// DNSServer is one resolver, perhaps on several addresses.
type DNSServer struct {
	Name   string
	whoami string // a name that is answered with the address that asked; empty: none
	zone   *Zone
	mu     sync.Mutex
	log    []Question
	silent bool
}

// Silence has the server answer nobody, or again; its log goes on.
func (s *DNSServer) Silence(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = on
}

// maxQuestions bounds a resolver's log.
const maxQuestions = 100_000

// Questions are those asked after since, oldest first.
func (s *DNSServer) Questions(since time.Time) (q []Question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.log {
		if e.Time.After(since) {
			q = append(q, e)
		}
	}
	return q
}

func (h *Host) serveDNS(name string, port uint16, whoami string, addrs ...string) (*DNSServer, error) {
	s := &DNSServer{Name: name, whoami: whoami, zone: h.lab.Zone}
	for _, a := range addrs {
		ip := netip.MustParseAddr(a)
		err := errors.Join(
			h.ListenUDP(netip.AddrPortFrom(ip, port), func(from netip.AddrPort, q []byte) []byte { return s.answer("udp", ip, from, q) }),
			h.ListenTCP(netip.AddrPortFrom(ip, port), func(c net.Conn) { s.serveTCP(ip, c) }))
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *DNSServer) serveTCP(to netip.Addr, c net.Conn) {
	from := addrPort(c.RemoteAddr())
	for {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		var n [2]byte
		if _, err := io.ReadFull(c, n[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(n[:]))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		a := s.answer("tcp", to, from, q)
		if a == nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)); err != nil {
			return
		}
	}
}

// answer is nil for what is not a question.
func (s *DNSServer) answer(proto string, to netip.Addr, from netip.AddrPort, msg []byte) []byte {
	var p dnsmessage.Parser
	hdr, err := p.Start(msg)
	if err != nil || hdr.Response {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	s.mu.Lock()
	if len(s.log) < maxQuestions {
		s.log = append(s.log, Question{Time: time.Now(), From: from, To: to, Proto: proto, Name: name, Type: strings.TrimPrefix(q.Type.String(), "Type")})
	}
	silent := s.silent
	s.mu.Unlock()
	if silent {
		return nil
	}
	addrs := s.zone.lookup(name, from.Addr().Unmap())
	if s.whoami != "" && name == s.whoami {
		addrs = []netip.Addr{from.Addr().Unmap()}
	}
	rcode := dnsmessage.RCodeSuccess
	if len(addrs) == 0 {
		rcode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: hdr.ID, Response: true, RecursionDesired: hdr.RecursionDesired, RecursionAvailable: true, RCode: rcode})
	_ = b.StartQuestions()
	_ = b.Question(q)
	_ = b.StartAnswers()
	for _, a := range addrs {
		rh := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
		if q.Type == dnsmessage.TypeA && a.Is4() {
			_ = b.AResource(rh, dnsmessage.AResource{A: a.As4()})
		} else if q.Type == dnsmessage.TypeAAAA && a.Is6() {
			_ = b.AAAAResource(rh, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	out, err := b.Finish()
	if err != nil {
		return nil
	}
	return out
}

// dnsQuery is one packed question.
func dnsQuery(id uint16, name string, t dnsmessage.Type) ([]byte, error) {
	n, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, fmt.Errorf("naming %q: %w", name, err)
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: n, Type: t, Class: dnsmessage.ClassINET}}}
	return m.Pack()
}

// parseAnswer returns the answer's id, code and addresses.
func parseAnswer(b []byte) (id uint16, rcode dnsmessage.RCode, addrs []netip.Addr, err error) {
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		return 0, 0, nil, err
	}
	for _, a := range m.Answers {
		switch r := a.Body.(type) {
		case *dnsmessage.AResource:
			addrs = append(addrs, netip.AddrFrom4(r.A))
		case *dnsmessage.AAAAResource:
			addrs = append(addrs, netip.AddrFrom16(r.AAAA))
		}
	}
	return m.ID, m.RCode, addrs, nil
}
