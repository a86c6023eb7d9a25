package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// startDnsmasq runs the resolver that an ordinary router has on its LAN.
func (l *Lab) startDnsmasq() (err error) {
	l.dnsmasq, err = l.Router.Start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=",
		"--interface=br-lan", "--except-interface=lo", "--bind-interfaces", "--no-hosts", "--no-resolv",
		"--server="+ISPResolver4, "--cache-size=0", "--log-queries", "--log-facility=-")
	return err
}

// Dnsmasq is the router's resolver, nil without Options.Dnsmasq.
func (l *Lab) Dnsmasq() *Process { return l.dnsmasq }

// Ready asserts that the lab is as it should be before anything is broken: an
// open router on which every client reaches the internet in both families as
// its ISP's customer, and captures that run. Call it before StartAgent.
func (l *Lab) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	type question struct {
		who    *Host
		server string
		seen   func(netip.Addr) bool
	}
	var all []question
	for _, c := range l.Clients() {
		all = append(all, question{c, Echo4, func(a netip.Addr) bool { return a.String() == WAN4 }})
		if c != l.Guest {
			all = append(all, question{c, Echo6, ISPOwned})
		}
	}
	for _, v := range []*VPN{l.VPN1, l.VPN2} {
		all = append(all, question{v.Host, Echo4, v.Public}, question{v.Host, Echo6, v.Public})
	}
	err := parallel(len(all), func(i int) error {
		q := all[i]
		return eventually(ctx, q.who.Name+" to reach "+q.server, func() error {
			a, err := q.who.WhoAmI(q.server)
			if err == nil && !q.seen(a) {
				err = fmt.Errorf("it was seen as %s", a)
			}
			return err
		})
	})
	if l.dnsmasq != nil {
		err = errors.Join(err, eventually(ctx, "dnsmasq to answer", func() error {
			_, err := l.TV.Resolve(RouterLAN4, "ready.whoami.test", "A")
			return err
		}))
	}
	err = errors.Join(err, l.WAN.Drain(ctx), l.WAN.Check())
	if l.WAN2 != nil {
		err = errors.Join(err, l.WAN2.Check())
	}
	return err
}

// ControlLeak is the positive control: with no lanseal, everything that a
// client sends must be answered, must show on the wire as leaks, and must be
// seen as coming from the ISP's customer. A lab in which this fails proves
// nothing by being silent.
func (l *Lab) ControlLeak(ctx context.Context, client *Host, kinds ...Kind) error {
	if len(kinds) == 0 {
		kinds = AllKinds()
		if l.dnsmasq == nil {
			kinds = Without(kinds, DNSRouter)
		}
	}
	mark := l.WAN.MarkTime()
	t := l.Traffic(client, kinds...)
	defer t.Stop()
	if err := t.WaitFlow(ctx); err != nil {
		return fmt.Errorf("positive control: %w\n%s", err, t)
	}
	t.Stop()
	if err := errors.Join(l.WAN.Drain(ctx), l.WAN.Check()); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, f := range l.WAN.Leaks(mark) {
		for _, k := range kinds {
			if kindOf(k, f) {
				seen[string(k)] = true
			}
		}
	}
	var missing []string
	for _, k := range kinds {
		if !seen[string(k)] {
			missing = append(missing, string(k))
		}
	}
	if missing != nil {
		return fmt.Errorf("positive control: the capture saw no leak of %s", strings.Join(missing, " "))
	}
	if n, _ := t.Betrayed(); n == 0 {
		return errors.New("positive control: no server saw the ISP's customer")
	}
	return nil
}

// kindOf says whether a frame on the wire may be of a probe kind.
func kindOf(k Kind, f *Frame) bool {
	to := func(proto uint8, dst string, port uint16) bool {
		return f.Proto == proto && !f.Later && f.Dst.String() == dst && f.DstPort == port
	}
	switch k {
	case UDP4, UDPNew4:
		return to(protoUDP, Echo4, EchoPort) && !f.Fragment
	case UDP6:
		return to(protoUDP, Echo6, EchoPort) && !f.Fragment
	case TCP4, TCPNew4:
		return to(protoTCP, Echo4, EchoPort)
	case TCP6, TCPNew6:
		return to(protoTCP, Echo6, EchoPort)
	case ICMP4:
		return f.Proto == protoICMP && f.Dst.String() == Echo4
	case ICMP6:
		return f.Proto == protoICMPv6 && f.Dst.String() == Echo6
	case Fragment4:
		return f.Fragment && f.Proto == protoUDP && f.Dst.String() == Echo4
	case Fragment6:
		return f.Fragment && f.Proto == protoUDP && f.Dst.String() == Echo6
	case DNSRouter, DNSISP:
		return to(protoUDP, ISPResolver4, 53)
	case DNSISPTCP:
		return to(protoTCP, ISPResolver4, 53)
	case DNSISPFar:
		return to(protoUDP, ISPResolverFar4, 53)
	case DNSPublic:
		return to(protoUDP, Resolver4, 53)
	case DNSPublicTCP:
		return to(protoTCP, Resolver4, 53)
	case DNSPublic6:
		return to(protoUDP, Resolver6, 53)
	case DoT:
		return to(protoTCP, Echo4, 853)
	case STUN4:
		return to(protoUDP, Echo4, STUNPort)
	}
	return false
}
