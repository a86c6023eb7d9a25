package tunnel

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsServer is a real server on UDP and TCP; answer makes what is sent for a
// question, in order.
func dnsServer(t *testing.T, answer func(q question) [][]byte) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	l, err := net.Listen("tcp", pc.LocalAddr().String())
	must(t, err)
	t.Cleanup(func() {
		_ = pc.Close()
		_ = l.Close()
	})
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, m := range answer(parseQuestion(buf[:n], "udp")) {
				_, _ = pc.WriteTo(m, from)
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			_, _ = io.ReadFull(c, size[:])
			msg := make([]byte, binary.BigEndian.Uint16(size[:]))
			_, _ = io.ReadFull(c, msg)
			for _, m := range answer(parseQuestion(msg, "tcp")) {
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
			}
			_ = c.Close()
		}
	}()
	return netip.MustParseAddrPort(pc.LocalAddr().String())
}

type question struct {
	network string
	header  dnsmessage.Header
	q       dnsmessage.Question
}

func parseQuestion(b []byte, network string) question {
	var m dnsmessage.Message
	_ = m.Unpack(b)
	q := question{network: network, header: m.Header}
	if len(m.Questions) > 0 {
		q.q = m.Questions[0]
	}
	return q
}

// reply answers with those of the addresses that are of the family asked for.
func (q question) reply(change func(*dnsmessage.Message), addrs ...string) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.header.ID, Response: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q.q},
	}
	for _, a := range addrs {
		addr := netip.MustParseAddr(a)
		h := dnsmessage.ResourceHeader{Name: q.q.Name, Class: dnsmessage.ClassINET, TTL: 60}
		switch {
		case addr.Is4() && q.q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && q.q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	if change != nil {
		change(&m)
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func addrsOf(ss ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range ss {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func both(int) bool { return true }

func TestResolver(t *testing.T) {
	needLab(t) // the mark needs CAP_NET_ADMIN
	own := []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("2001:db8:77::1/64")}
	plain := func(addrs ...string) func(question) [][]byte {
		return func(q question) [][]byte { return [][]byte{q.reply(nil, addrs...)} }
	}
	tests := map[string]struct {
		answer  func(question) [][]byte
		want    []netip.Addr
		wantErr string
	}{
		"both families, IPv4 first": {plain("2001:db8::10", "192.0.2.10", "192.0.2.11"), addrsOf("192.0.2.10", "192.0.2.11", "2001:db8::10"), ""},
		"IPv6 only":                 {plain("2001:db8::10"), addrsOf("2001:db8::10"), ""},
		"private":                   {plain("192.168.1.1", "fd00::1"), nil, "private"},
		"a private one among good":  {plain("10.0.0.1", "192.0.2.10"), addrsOf("192.0.2.10"), ""},
		"loopback":                  {plain("127.0.0.1", "::1"), nil, "loopback"},
		"own network":               {plain("198.51.100.77", "2001:db8:77::9"), nil, "own networks"},
		"mapped":                    {plain("::ffff:192.0.2.1"), nil, "IPv4-mapped"},
		"NAT64 of a private one":    {plain("64:ff9b::10.0.0.1"), nil, "private"},
		"nothing":                   {plain(), nil, "no address"},
		"no such name": {func(q question) [][]byte {
			return [][]byte{q.reply(func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError })}
		}, nil, "no such name"},
		"server failure": {func(q question) [][]byte {
			return [][]byte{q.reply(func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure })}
		}, nil, "ServerFailure"},
		"truncated, then by TCP": {func(q question) [][]byte {
			if q.network == "udp" {
				return [][]byte{q.reply(func(m *dnsmessage.Message) { m.Truncated = true })}
			}
			return [][]byte{q.reply(nil, "192.0.2.10")}
		}, addrsOf("192.0.2.10"), ""},
		"truncated by TCP too": {func(q question) [][]byte {
			return [][]byte{q.reply(func(m *dnsmessage.Message) { m.Truncated = true })}
		}, nil, "truncated"},
		"wrong id before the right one": {func(q question) [][]byte {
			return [][]byte{q.reply(func(m *dnsmessage.Message) { m.ID++ }, "203.0.113.66"), q.reply(nil, "192.0.2.10")}
		}, addrsOf("192.0.2.10"), ""},
		"another question before the right one": {func(q question) [][]byte {
			return [][]byte{q.reply(func(m *dnsmessage.Message) {
				m.Questions[0].Name = dnsmessage.MustNewName("evil.example.")
			}, "203.0.113.66"), q.reply(nil, "192.0.2.10")}
		}, addrsOf("192.0.2.10"), ""},
		"a query instead of an answer": {func(q question) [][]byte {
			return [][]byte{q.reply(func(m *dnsmessage.Message) { m.Response = false }, "203.0.113.66"), q.reply(nil, "192.0.2.10")}
		}, addrsOf("192.0.2.10"), ""},
		"garbage before the right one": {func(q question) [][]byte {
			return [][]byte{{}, []byte("garbage"), make([]byte, 1400), q.reply(nil, "192.0.2.10")}
		}, addrsOf("192.0.2.10"), ""},
		"only garbage": {func(question) [][]byte { return [][]byte{[]byte("garbage")} }, nil, "no answer"},
		"a flood of forgeries": {func(q question) [][]byte {
			return slices.Repeat([][]byte{q.reply(func(m *dnsmessage.Message) { m.ID++ })}, 100)
		}, nil, "forged"},
		"silence": {func(question) [][]byte { return nil }, nil, "no answer"},
		"an alias": {func(q question) [][]byte {
			return [][]byte{q.reply(func(m *dnsmessage.Message) {
				if q.q.Type == dnsmessage.TypeA {
					target := dnsmessage.MustNewName("Real.example.")
					m.Answers = append(m.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: target, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 10}},
					}, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: q.q.Name, Class: dnsmessage.ClassINET}, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("real.EXAMPLE.")},
					})
				}
			})}
		}, addrsOf("192.0.2.10"), ""},
		"an alias that goes in circles": {func(q question) [][]byte {
			return [][]byte{q.reply(func(m *dnsmessage.Message) {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.q.Name, Class: dnsmessage.ClassINET}, Body: &dnsmessage.CNAMEResource{CNAME: q.q.Name},
				})
			})}
		}, nil, "no address"},
		"an address of another name": {func(q question) [][]byte {
			return [][]byte{q.reply(func(m *dnsmessage.Message) {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("other.example."), Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: [4]byte{203, 0, 113, 66}},
				})
			})}
		}, nil, "no address"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := memoryCache{}
			r := Resolver{
				Servers: []netip.AddrPort{dnsServer(t, tt.answer)}, Cache: cache, HasRoute: both,
				Refuse: func() []netip.Prefix { return own }, Timeout: 1500 * time.Millisecond,
			}
			got, err := r.Lookup(t.Context(), "vpn.example.net")
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("got %v, error %v, want %q", got, err, tt.wantErr)
				}
			} else if err != nil {
				t.Error(err)
			}
			if !slices.Equal(got, tt.want) || !slices.Equal(r.Cached("VPN.example.net"), tt.want) {
				t.Errorf("got %v, cached %v, want %v", got, r.Cached("vpn.example.net"), tt.want)
			}
		})
	}
}

// One server is dead, one lies that there is no such name, one is right.
func TestResolverAsksAll(t *testing.T) {
	needLab(t)
	dead := dnsServer(t, func(question) [][]byte { return nil })
	lies := dnsServer(t, func(q question) [][]byte {
		return [][]byte{q.reply(func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError })}
	})
	good := dnsServer(t, func(q question) [][]byte {
		time.Sleep(50 * time.Millisecond)
		return [][]byte{q.reply(nil, "192.0.2.10", "2001:db8::1")}
	})
	r := Resolver{Servers: []netip.AddrPort{dead, lies, good}, HasRoute: both, Timeout: time.Hour} // nobody waits for the dead one
	got, err := r.Lookup(t.Context(), "vpn.example.net.")
	if err != nil || !slices.Equal(got, addrsOf("192.0.2.10", "2001:db8::1")) {
		t.Errorf("got %v, %v", got, err)
	}
	r.HasRoute = func(family int) bool { return family == 6 }
	if got, err := r.Lookup(t.Context(), "vpn.example.net"); err != nil || got[0] != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("with IPv6 alone: %v, %v", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r.Servers = r.Servers[:1]
	if _, err := r.Lookup(ctx, "vpn.example.net"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// D7: the question bears the mark; without it the firewall would hold it.
func TestD7BootstrapIsMarked(t *testing.T) {
	needLab(t)
	server := dnsServer(t, func(q question) [][]byte {
		if q.network == "udp" {
			return [][]byte{q.reply(func(m *dnsmessage.Message) { m.Truncated = true })}
		}
		return [][]byte{q.reply(nil, "192.0.2.10")}
	})
	for _, proto := range []string{"udp", "tcp"} {
		count := nft(t, "flush ruleset\n"+markRules(proto, int(server.Port())))
		r := Resolver{Servers: []netip.AddrPort{server}, HasRoute: both}
		if _, err := r.Lookup(t.Context(), "vpn.example.net"); err != nil {
			t.Error(err)
		}
		if count("unmarked") != 0 || count("marked") == 0 {
			t.Errorf("%s: %d unmarked, %d marked", proto, count("unmarked"), count("marked"))
		}
	}
}

func TestHostNames(t *testing.T) {
	for _, bad := range []string{"", ".", "a..b", "a b", "a/b", "a\x00b", "ä.example", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example"} {
		if _, err := (&Resolver{Servers: []netip.AddrPort{{}}}).Lookup(t.Context(), bad); err == nil {
			t.Errorf("%q is taken for a name", bad)
		}
	}
	if _, err := new(Resolver).Lookup(t.Context(), "vpn.example.net"); err == nil {
		t.Error("without servers the answer came from somewhere")
	}
}

func TestRefusal(t *testing.T) {
	for _, bad := range addrsOf("0.0.0.0", "0.1.2.3", "10.1.1.1", "100.64.0.1", "100.127.255.255", "127.9.9.9", "169.254.1.1",
		"172.16.0.1", "192.0.0.8", "192.168.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::1.2.3.4", "::ffff:192.0.2.1", "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "100::1",
		"2001::1", "2002:a00:1::1", "64:ff9b::7f00:1", "64:ff9b:1::1") {
		if refusal(bad, nil) == "" {
			t.Errorf("%s is believed", bad)
		}
	}
	for _, good := range addrsOf("9.9.9.9", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1",
		"2001:db8::1", "2620:fe::fe", "64:ff9b::909:909", "2002:909:909::1") {
		if why := refusal(good, nil); why != "" {
			t.Errorf("%s is refused: %s", good, why)
		}
	}
}

// memoryCache is a Cache that ends with the test.
type memoryCache map[string][]netip.Addr

func (c memoryCache) Get(host string) []netip.Addr        { return c[strings.ToLower(host)] }
func (c memoryCache) Put(host string, addrs []netip.Addr) { c[strings.ToLower(host)] = addrs }

// What the cache remembers must be believable, too.
func TestCachedIsJudged(t *testing.T) {
	c := memoryCache{"evil.example": addrsOf("192.168.1.1", "192.0.2.1")}
	if got := (&Resolver{Cache: c, HasRoute: both}).Cached("evil.example"); !slices.Equal(got, addrsOf("192.0.2.1")) {
		t.Errorf("got %v", got)
	}
}

// Whatever a server sends, it is read without panic, and what is taken from it
// is bounded.
func FuzzParseAnswer(f *testing.F) {
	name := dnsmessage.MustNewName("vpn.example.net.")
	q := question{header: dnsmessage.Header{ID: 7}, q: dnsmessage.Question{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
	f.Add(q.reply(nil, "192.0.2.10", "192.0.2.11"), false)
	f.Add(q.reply(func(m *dnsmessage.Message) { m.Truncated = true }), false)
	f.Add(q.reply(func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError }), true)
	f.Add(q.reply(func(m *dnsmessage.Message) {
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET}, Body: &dnsmessage.CNAMEResource{CNAME: name}}}
	}), false)
	q.q.Type = dnsmessage.TypeAAAA
	f.Add(q.reply(nil, "2001:db8::1"), true)
	f.Fuzz(func(t *testing.T, msg []byte, six bool) {
		qtype := dnsmessage.TypeA
		if six {
			qtype = dnsmessage.TypeAAAA
		}
		addrs, err := parseAnswer(msg, 7, name, qtype)
		if (err == nil) != (len(addrs) > 0) || len(addrs) > maxAddrs {
			t.Errorf("%d addresses, error %v", len(addrs), err)
		}
		for _, a := range addrs {
			if a.Is4() == six {
				t.Errorf("%s in an answer of the other family", a)
			}
			refusal(a, nil)
		}
		if len(msg) > 2 && err == nil && (msg[0] != 0 || msg[1] != 7) {
			t.Error("an answer with another id is taken")
		}
	})
}
