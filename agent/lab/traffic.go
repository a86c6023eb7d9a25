package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is one sort of probe.
type Kind string

const (
	UDP4         Kind = "udp4" // one long flow
	UDP6         Kind = "udp6"
	UDPNew4      Kind = "udp-new4" // a new source port for every datagram
	TCP4         Kind = "tcp4"     // one long connection, made again when it dies
	TCP6         Kind = "tcp6"
	TCPNew4      Kind = "tcp-new4" // connect, one line, close
	TCPNew6      Kind = "tcp-new6"
	ICMP4        Kind = "icmp4"
	ICMP6        Kind = "icmp6"
	Fragment4    Kind = "fragment4" // datagrams of 3000 bytes
	Fragment6    Kind = "fragment6"
	DNSRouter    Kind = "dns-router" // UDP, to the router's address
	DNSPublic    Kind = "dns-public"
	DNSPublicTCP Kind = "dns-public-tcp"
	DNSPublic6   Kind = "dns-public6"
	DNSISP       Kind = "dns-isp" // on the WAN's link
	DNSISPTCP    Kind = "dns-isp-tcp"
	DNSISPFar    Kind = "dns-isp-far"
	DoT          Kind = "dot" // TCP 853, not expected to be answered under lanseal
	STUN4        Kind = "stun4"
)

// probe says how one kind is sent: how often, and by what.
type probe struct {
	every time.Duration
	run   func(ctx context.Context, h *Host, m *meter, every time.Duration)
}

func hz(n int) time.Duration { return time.Second / time.Duration(n) }

// probes is the table of all kinds; together 220 a second.
func probes() map[Kind]probe {
	echo4, echo6 := netip.MustParseAddr(Echo4), netip.MustParseAddr(Echo6)
	at := func(a string, port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), port) }
	e4, e6 := netip.AddrPortFrom(echo4, EchoPort), netip.AddrPortFrom(echo6, EchoPort)
	return map[Kind]probe{
		UDP4:         {hz(40), datagrams(e4, 64)},
		UDP6:         {hz(20), datagrams(e6, 64)},
		UDPNew4:      {hz(10), each(onceUDP(e4))},
		TCP4:         {hz(25), stream(e4)},
		TCP6:         {hz(10), stream(e6)},
		TCPNew4:      {hz(10), each(onceTCP(e4))},
		TCPNew6:      {hz(5), each(onceTCP(e6))},
		ICMP4:        {hz(20), pings(echo4)},
		ICMP6:        {hz(10), pings(echo6)},
		Fragment4:    {hz(8), datagrams(e4, 3000)},
		Fragment6:    {hz(4), datagrams(e6, 3000)},
		DNSRouter:    {hz(10), each(onceDNS(at(RouterLAN4, 53), false))},
		DNSPublic:    {hz(10), each(onceDNS(at(Resolver4, 53), false))},
		DNSPublicTCP: {hz(5), each(onceDNS(at(Resolver4, 53), true))},
		DNSPublic6:   {hz(5), each(onceDNS(at(Resolver6, 53), false))},
		DNSISP:       {hz(10), each(onceDNS(at(ISPResolver4, 53), false))},
		DNSISPTCP:    {hz(5), each(onceDNS(at(ISPResolver4, 53), true))},
		DNSISPFar:    {hz(5), each(onceDNS(at(ISPResolverFar4, 53), false))},
		DoT:          {hz(5), each(onceTCP(at(Echo4, 853)))},
		STUN4:        {hz(5), each(onceSTUN(at(Echo4, STUNPort)))},
	}
}

// AllKinds are all kinds in a fixed order. DNSRouter needs a resolver on the
// router: Options.Dnsmasq, or a lanseal that redirects.
func AllKinds() []Kind {
	return []Kind{UDP4, UDP6, UDPNew4, TCP4, TCP6, TCPNew4, TCPNew6, ICMP4, ICMP6, Fragment4, Fragment6,
		DNSRouter, DNSPublic, DNSPublicTCP, DNSPublic6, DNSISP, DNSISPTCP, DNSISPFar, DoT, STUN4}
}

// TunnelKinds are those that a tunnel with IPv6 carries under lanseal's
// defaults: all but DoT, which is refused.
func TunnelKinds() []Kind { return Without(AllKinds(), DoT) }

// Without is kinds less some.
func Without(kinds []Kind, less ...Kind) []Kind {
	return slices.DeleteFunc(slices.Clone(kinds), func(k Kind) bool { return slices.Contains(less, k) })
}

// Traffic is what one client keeps sending.
type Traffic struct {
	Client *Host
	kinds  []Kind
	meters map[Kind]*meter
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Traffic starts probes of the given kinds (none: all) from a client, until
// Stop or the end of the lab.
func (l *Lab) Traffic(client *Host, kinds ...Kind) *Traffic {
	if len(kinds) == 0 {
		kinds = AllKinds()
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &Traffic{Client: client, kinds: slices.Clone(kinds), meters: map[Kind]*meter{}, cancel: cancel}
	table := probes()
	for _, k := range kinds {
		p, m := table[k], newMeter(k)
		t.meters[k] = m
		t.wg.Go(func() { p.run(ctx, client, m, p.every) })
	}
	t.wg.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				for _, m := range t.meters {
					m.sweep(now)
				}
			}
		}
	})
	l.onClose(t.Stop)
	return t
}

// Mark starts counting anew and returns the moment.
func (t *Traffic) Mark() time.Time {
	for k, m := range t.meters {
		m.reset(k)
	}
	return time.Now()
}

// Stats are the counts of every kind since the last mark, in the order in
// which the kinds were asked for.
func (t *Traffic) Stats() (all []Stats) {
	for _, k := range t.kinds {
		all = append(all, t.meters[k].stats())
	}
	return all
}

// Of is one kind's counts since the last mark.
func (t *Traffic) Of(k Kind) Stats { return t.meters[k].stats() }

// WaitFlow waits until, for every kind (or the given ones), a probe that was
// sent after the call has been answered.
func (t *Traffic) WaitFlow(ctx context.Context, kinds ...Kind) error {
	if len(kinds) == 0 {
		kinds = t.kinds
	}
	since := time.Now()
	return eventually(ctx, t.Client.Name+": all traffic answered", func() error {
		var missing []string
		for _, k := range kinds {
			if !t.meters[k].answeredAfter(since) {
				missing = append(missing, string(k))
			}
		}
		if missing != nil {
			return errors.New("no answer for " + strings.Join(missing, " "))
		}
		return nil
	})
}

// WaitSent waits until every kind has sent n more probes: traffic as a clock,
// for tests that prove an absence.
func (t *Traffic) WaitSent(ctx context.Context, n int) error {
	start := map[Kind]uint64{}
	count := func(k Kind) uint64 {
		m := t.meters[k]
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.seq
	}
	for _, k := range t.kinds {
		start[k] = count(k)
	}
	return eventually(ctx, t.Client.Name+": probes sent", func() error {
		for _, k := range t.kinds {
			if got := count(k) - start[k]; got < uint64(n) {
				return fmt.Errorf("%s sent %d of %d", k, got, n)
			}
		}
		return nil
	})
}

// LongestGap is the longest gap in service of any kind since the last mark.
func (t *Traffic) LongestGap() (d time.Duration) {
	for _, s := range t.Stats() {
		d = max(d, s.LongestGap)
	}
	return d
}

// Betrayed is the second oracle: how often a server saw an address of the
// ISP's customer since the last mark, with a line for each kind.
func (t *Traffic) Betrayed() (n int, lines []string) {
	for _, s := range t.Stats() {
		if b := s.Betrayed(); b > 0 {
			n += b
			lines = append(lines, fmt.Sprintf("%s %s: %v", t.Client.Name, s.Kind, s.Sources))
		}
	}
	return n, lines
}

// Stop ends the probes and waits for them.
func (t *Traffic) Stop() {
	t.cancel()
	t.wg.Wait()
}

// String is a table of the counts.
func (t *Traffic) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-15s %6s %6s %6s %6s %6s  %-9s %s\n", t.Client.Name, "sent", "answ", "refus", "lost", "late", "gap", "seen as")
	for _, s := range t.Stats() {
		fmt.Fprintf(&b, "%-15s %6d %6d %6d %6d %6d  %-9s %v %s\n", s.Kind, s.Sent, s.Answered, s.Refused, s.TimedOut, s.Late,
			s.LongestGap.Round(time.Millisecond), s.Sources, s.LastError)
	}
	return b.String()
}
