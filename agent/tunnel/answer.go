package tunnel

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Limits of an answer; none is met by an honest one.
const (
	maxAddrs   = 8  // of one name that are kept
	maxRecords = 64 // read of one answer
	maxCNAMEs  = 8  // followed
)

// What an answer can be besides addresses.
var (
	errNotOurs   = errors.New("the answer is not to our question")
	errTruncated = errors.New("the answer is truncated")
	errNoSuch    = errors.New("there is no such name")
	errNoRecords = errors.New("the name has no address of this family")
)

// FalseAnswer says that a name was answered with an address at which no server
// can honestly be: somebody between here and the resolver, or the resolver, lies.
type FalseAnswer struct {
	Addr netip.Addr
	Why  string
}

func (f *FalseAnswer) Error() string { return fmt.Sprintf("refusing the answer %s: %s", f.Addr, f.Why) }

// newQuery makes a plain question: no EDNS, which old servers trip over.
func newQuery(id uint16, name dnsmessage.Name, qtype dnsmessage.Type) ([]byte, error) {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(dnsmessage.Question{Name: name, Type: qtype, Class: dnsmessage.ClassINET}); err != nil {
		return nil, err
	}
	return b.Finish()
}

// parseAnswer reads the addresses out of one answer. errNotOurs means that the
// message may be forged and the true answer may still come; the other errors
// are the server's word.
func parseAnswer(msg []byte, id uint16, name dnsmessage.Name, qtype dnsmessage.Type) ([]netip.Addr, error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || !h.Response || h.ID != id || h.OpCode != 0 {
		return nil, errNotOurs
	}
	q, err := p.Question()
	if err != nil || q.Type != qtype || q.Class != dnsmessage.ClassINET || !sameName(q.Name, name) {
		return nil, errNotOurs
	}
	if _, err := p.Question(); !errors.Is(err, dnsmessage.ErrSectionDone) {
		return nil, errNotOurs
	}
	switch {
	case h.Truncated:
		return nil, errTruncated
	case h.RCode == dnsmessage.RCodeNameError:
		return nil, errNoSuch
	case h.RCode != dnsmessage.RCodeSuccess:
		return nil, fmt.Errorf("the server says %s", strings.TrimPrefix(h.RCode.String(), "RCode"))
	}
	return readRecords(&p, name, qtype)
}

// readRecords keeps the addresses of the name itself and of what it is an
// alias of, in whatever order the records come.
func readRecords(p *dnsmessage.Parser, name dnsmessage.Name, qtype dnsmessage.Type) ([]netip.Addr, error) {
	alias := map[string]string{}
	addrs := map[string][]netip.Addr{}
	for range maxRecords {
		rh, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		owner := lower(rh.Name)
		switch {
		case rh.Class != dnsmessage.ClassINET:
			err = p.SkipAnswer()
		case rh.Type == dnsmessage.TypeCNAME:
			var r dnsmessage.CNAMEResource
			if r, err = p.CNAMEResource(); err == nil {
				alias[owner] = lower(r.CNAME)
			}
		case rh.Type == dnsmessage.TypeA && qtype == dnsmessage.TypeA:
			var r dnsmessage.AResource
			if r, err = p.AResource(); err == nil {
				addrs[owner] = append(addrs[owner], netip.AddrFrom4(r.A))
			}
		case rh.Type == dnsmessage.TypeAAAA && qtype == dnsmessage.TypeAAAA:
			var r dnsmessage.AAAAResource
			if r, err = p.AAAAResource(); err == nil {
				addrs[owner] = append(addrs[owner], netip.AddrFrom16(r.AAAA))
			}
		default:
			err = p.SkipAnswer()
		}
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
	}
	at := lower(name)
	for range maxCNAMEs {
		if found := addrs[at]; len(found) > 0 {
			return found[:min(len(found), maxAddrs)], nil
		}
		next, ok := alias[at]
		if !ok {
			break
		}
		at = next
	}
	return nil, errNoRecords
}

func lower(n dnsmessage.Name) string { return strings.ToLower(n.String()) }

func sameName(a, b dnsmessage.Name) bool { return lower(a) == lower(b) }

// dnsName checks a host name and gives it its final dot.
func dnsName(host string) (dnsmessage.Name, error) {
	bad := errors.New("not a host name")
	s := strings.TrimSuffix(host, ".")
	if s == "" || len(s) > 253 {
		return dnsmessage.Name{}, bad
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return dnsmessage.Name{}, bad
		}
		for _, c := range []byte(label) {
			switch {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			default:
				return dnsmessage.Name{}, bad
			}
		}
	}
	return dnsmessage.NewName(s + ".")
}

// special are the ranges in which no VPN server on the internet can be, beyond
// those that netip knows. The documentation ranges are left out: laboratories
// use them.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT, RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),  // protocol assignments, RFC 6890
	netip.MustParsePrefix("240.0.0.0/4"),   // reserved, and broadcast
	netip.MustParsePrefix("::/96"),         // unspecified, loopback, IPv4-compatible
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),  // discard, RFC 6666
	netip.MustParsePrefix("2001::/32"), // Teredo
	netip.MustParsePrefix("fec0::/10"), // site-local
}

// refusal says why an answered address is not believed (threat T11: a false
// answer must not open a hole to a host of the attacker's choice near us);
// empty: it is fine.
func refusal(a netip.Addr, own []netip.Prefix) string {
	if a.Is4In6() {
		return "IPv4-mapped"
	}
	switch {
	case a.IsUnspecified():
		return "unspecified"
	case a.IsLoopback():
		return "loopback"
	case a.IsPrivate():
		return "private"
	case a.IsLinkLocalUnicast():
		return "link-local"
	case a.IsMulticast():
		return "multicast"
	}
	for _, p := range special {
		if p.Contains(a) {
			return "reserved"
		}
	}
	for _, p := range own {
		if p.IsValid() && plainPrefix(p).Contains(a) {
			return "in one of the router's own networks"
		}
	}
	if v4, ok := embedded(a); ok {
		return refusal(v4, own)
	}
	return ""
}

// embedded is the IPv4 address inside a NAT64 (RFC 6052) or 6to4 address.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	b := a.As16()
	switch {
	case netip.PrefixFrom(netip.MustParseAddr("64:ff9b::"), 96).Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}
