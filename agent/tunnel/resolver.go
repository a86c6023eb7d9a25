package tunnel

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/lanseal/lanseal/rules"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// Resolver answers endpoint names, and nothing else: it asks the bootstrap
// servers, over sockets that carry the transport mark, so that the question
// leaves by the WAN while everything else is held. It never falls back to the
// system's resolver, and it does not ask at all when it cannot set the mark.
type Resolver struct {
	Servers []netip.AddrPort
	Cache   Cache                 // nil: nothing is remembered
	Refuse  func() []netip.Prefix // the router's own networks; nil: none
	Timeout time.Duration         // of one Lookup; 0: 5 s
	// HasRoute says whether there is a default route of the family, 4 or 6;
	// nil: look into the kernel's main table.
	HasRoute func(family int) bool
}

// Cache remembers what endpoint names stood for, so that a reboot needs no DNS.
// agent/store does.
type Cache interface {
	Get(host string) []netip.Addr
	Put(host string, addrs []netip.Addr)
}

// Bootstrap gives addresses the port of DNS.
func Bootstrap(addrs []netip.Addr) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range addrs {
		out = append(out, netip.AddrPortFrom(a, 53))
	}
	return out
}

const (
	lookupTimeout  = 5 * time.Second
	firstResend    = 800 * time.Millisecond // then doubled
	otherFamily    = 300 * time.Millisecond // how long the second family is waited for
	maxUDP, maxTCP = 4096, 16384            // bytes of an answer
	maxStray       = 64                     // datagrams of one exchange that are not ours
)

// Cached is what the cache remembers and is still believable, best first.
func (r *Resolver) Cached(host string) []netip.Addr {
	if r.Cache == nil {
		return nil
	}
	good, _ := r.believe(r.Cache.Get(host))
	return r.order(good)
}

// Lookup asks every server for both families at once and takes the first good
// answer of each. The addresses come best first, and are put into the cache.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	name, err := dnsName(host)
	if err != nil {
		return nil, err
	}
	if len(r.Servers) == 0 {
		return nil, errors.New("no bootstrap resolver is configured")
	}
	timeout := r.Timeout
	if timeout == 0 {
		timeout = lookupTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addrs, err := r.ask(ctx, name)
	if err != nil {
		return nil, err
	}
	addrs = r.order(addrs)
	addrs = addrs[:min(len(addrs), maxAddrs)]
	if r.Cache != nil {
		r.Cache.Put(host, addrs)
	}
	return addrs, nil
}

type reply struct {
	family int
	addrs  []netip.Addr
	err    error
}

func (r *Resolver) ask(ctx context.Context, name dnsmessage.Name) ([]netip.Addr, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	types := map[int]dnsmessage.Type{4: dnsmessage.TypeA, 6: dnsmessage.TypeAAAA}
	replies := make(chan reply, len(types)*len(r.Servers)) // nobody waits to be read
	open := map[int]int{}                                  // family: servers that have not replied
	for family, qtype := range types {
		open[family] = len(r.Servers)
		for _, server := range r.Servers {
			go func() {
				addrs, err := exchange(ctx, server, name, qtype)
				if err == nil {
					addrs, err = r.believe(addrs)
				}
				if err != nil {
					err = fmt.Errorf("%s: %w", server, err)
				}
				replies <- reply{family, addrs, err}
			}()
		}
	}
	var good []netip.Addr
	var failed []error
	var patience <-chan time.Time
	for open[4] > 0 || open[6] > 0 {
		select {
		case rp := <-replies:
			open[rp.family]--
			if rp.err != nil {
				failed = append(failed, rp.err)
				continue
			}
			if open[rp.family] < 0 {
				continue // this family is settled
			}
			good = append(good, rp.addrs...)
			open[rp.family] = 0
			if patience == nil {
				t := time.NewTimer(otherFamily)
				defer t.Stop()
				patience = t.C
			}
		case <-patience:
			return good, nil
		case <-ctx.Done():
			if len(good) > 0 {
				return good, nil
			}
			return nil, oneLine(append(failed, fmt.Errorf("no answer: %w", ctx.Err()))...)
		}
	}
	if len(good) == 0 {
		return nil, oneLine(failed...)
	}
	return good, nil
}

// believe drops the addresses at which no server can honestly be.
func (r *Resolver) believe(addrs []netip.Addr) ([]netip.Addr, error) {
	var own []netip.Prefix
	if r.Refuse != nil {
		own = r.Refuse()
	}
	var good []netip.Addr
	var bad []error
	for _, a := range addrs {
		if why := refusal(a, own); why != "" {
			bad = append(bad, &FalseAnswer{a, why})
			continue
		}
		if !slices.Contains(good, a) {
			good = append(good, a)
		}
	}
	if len(good) == 0 {
		return nil, oneLine(bad...)
	}
	return good, nil
}

// order puts the families that have a default route first, and IPv4 before
// IPv6.
func (r *Resolver) order(addrs []netip.Addr) []netip.Addr {
	has := r.HasRoute
	if has == nil {
		has = hasDefaultRoute
	}
	first := 4
	if !has(4) && has(6) {
		first = 6
	}
	var out, rest []netip.Addr
	for _, a := range addrs {
		if a.Is4() == (first == 4) {
			out = append(out, a)
		} else {
			rest = append(rest, a)
		}
	}
	return append(out, rest...)
}

// exchange asks one server one question: by UDP, repeated, and by TCP when the
// answer does not fit.
func exchange(ctx context.Context, server netip.AddrPort, name dnsmessage.Name, qtype dnsmessage.Type) ([]netip.Addr, error) {
	id, err := randomID()
	if err != nil {
		return nil, err
	}
	query, err := newQuery(id, name, qtype)
	if err != nil {
		return nil, fmt.Errorf("making the question: %w", err)
	}
	conn, err := dialMarked(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()

	buf := make([]byte, maxUDP)
	stray := 0
	for wait := firstResend; ctx.Err() == nil; wait *= 2 {
		if _, err := conn.Write(query); err != nil {
			return nil, fmt.Errorf("asking: %w", err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		if ctx.Err() != nil {
			break // it ended before the deadline was set
		}
		for {
			n, err := conn.Read(buf)
			if isTimeout(err) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("reading the answer: %w", err)
			}
			addrs, err := parseAnswer(buf[:n], id, name, qtype)
			switch {
			case errors.Is(err, errNotOurs):
				if stray++; stray > maxStray {
					return nil, errors.New("too many forged answers")
				}
				continue
			case errors.Is(err, errTruncated):
				return exchangeTCP(ctx, server, query, id, name, qtype)
			}
			return addrs, err
		}
	}
	return nil, fmt.Errorf("no answer: %w", ctx.Err())
}

func exchangeTCP(ctx context.Context, server netip.AddrPort, query []byte, id uint16, name dnsmessage.Name, qtype dnsmessage.Type) ([]netip.Addr, error) {
	conn, err := dialMarked(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, fmt.Errorf("asking by TCP: %w", err)
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, fmt.Errorf("reading the answer by TCP: %w", err)
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > maxTCP {
		return nil, fmt.Errorf("the answer has %d bytes", n)
	}
	msg := make([]byte, n)
	if _, err := io.ReadFull(conn, msg); err != nil {
		return nil, fmt.Errorf("reading the answer by TCP: %w", err)
	}
	return parseAnswer(msg, id, name, qtype)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// dialMarked sets the transport mark before the first packet. The kernel picks
// a random source port, and a connected socket hears its server only.
func dialMarked(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return setOption(c, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(rules.MarkTransport))
		})
	}}
	conn, err := d.DialContext(ctx, network, to.String())
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return conn, nil
}

func setOption(c syscall.RawConn, set func(fd int) error) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = set(int(fd)) }); e != nil {
		return e
	}
	return err
}

func randomID() (uint16, error) {
	var b [2]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(b[:]), nil
}
