package threats

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

const strangerPort = 9999

// boxes listen where nothing may arrive.
func boxes(hosts ...func(*Env) *lab.Host) func(context.Context, *Env) error {
	return func(_ context.Context, e *Env) error {
		for _, h := range hosts {
			b, err := h(e).Inbox(strangerPort)
			if err != nil {
				return err
			}
			e.Inboxes = append(e.Inboxes, b)
		}
		return nil
	}
}

// nothingCame checks the boxes. The traffic since has been answered, so what
// was injected before it would have arrived.
func nothingCame(_ context.Context, e *Env) error {
	for i, b := range e.Inboxes {
		if n := b.Count(); n > 0 {
			return fmt.Errorf("%d datagrams came through to box %d", n, i)
		}
	}
	return nil
}

func router(e *Env) *lab.Host { return e.Lab.Router }
func tv(e *Env) *lab.Host     { return e.Lab.TV }

// probePackets are a datagram and a connection attempt.
func probePackets(src, dst string) []lab.Packet {
	s, d := netip.AddrPortFrom(addr(src), 1234), netip.AddrPortFrom(addr(dst), strangerPort)
	return []lab.Packet{{Src: s, Dst: d, Payload: []byte("x")}, {Src: s, Dst: d, TCP: lab.TCPSyn}, {Src: s, Dst: d, TCP: lab.TCPSynAck}}
}

// noneOfTunnel checks that no frame of any class on the wire has a tunnel's
// own address.
func noneOfTunnel(_ context.Context, e *Env) error {
	for _, f := range e.Lab.WAN.Frames() {
		if v := e.Lab.VPN1; f.Src == v.Client4() || f.Src == v.Client6() {
			return fmt.Errorf("a frame shows the tunnel's address: %s", f)
		}
	}
	return nil
}

func strangers() []Scenario {
	toTunnel := func(_ context.Context, e *Env) (err error) {
		for _, to := range []string{e.Lab.VPN1.Client4().String(), e.Lab.VPN1.Client6().String()} {
			lan, wan := lab.Laptop4, lab.Echo4
			if addr(to).Is6() {
				lan, wan = lab.Laptop6, lab.Echo6
			}
			for _, p := range probePackets(lan, to) {
				err = errors.Join(err, e.Lab.InjectLAN(e.Lab.Laptop, p))
			}
			for _, p := range probePackets(wan, to) {
				err = errors.Join(err, e.Lab.InjectWAN(p))
			}
		}
		return err
	}
	both := func(fs ...func(context.Context, *Env) error) func(context.Context, *Env) error {
		return func(ctx context.Context, e *Env) (err error) {
			for _, f := range fs {
				err = errors.Join(err, f(ctx, e))
			}
			return err
		}
	}
	return []Scenario{
		{
			Name: "T16TunnelAddress", Threat: "T16", Title: "CVE-2019-14899: packets to the tunnel's own address arrive on the LAN and on the uplink",
			User: "Nothing.", RecoversBy: "nothing was broken",
			Before: boxes(router), Fault: toTunnel, Check: both(nothingCame, noneOfTunnel), Mutate: noChain("prerouting"),
		},
		{
			Name: "T17Unsolicited", Threat: "T17", Title: "The internet sends unasked to a device of the LAN",
			User: "Nothing.", RecoversBy: "nothing was broken",
			Before: boxes(tv),
			Fault: func(_ context.Context, e *Env) (err error) {
				for _, pair := range [][2]string{{lab.Echo4, lab.TV4}, {lab.Echo6, lab.TVGUA}, {lab.Echo6, lab.TV6}} {
					for _, p := range probePackets(pair[0], pair[1]) {
						err = errors.Join(err, e.Lab.InjectWAN(p))
					}
				}
				return err
			},
			Check: nothingCame, Mutate: unlock,
		},
		{
			Name: "T17PortForward", Threat: "T17", Title: "A port forward of the uplink leads to a protected device",
			User: "The forward does not answer; it would show the ISP's address.", RecoversBy: "by design",
			Before: func(_ context.Context, e *Env) error {
				return errors.Join(e.Lab.PortForward(strangerPort, lab.TV4),
					e.Lab.TV.ListenUDP(netip.AddrPortFrom(netip.IPv4Unspecified(), strangerPort), func(_ netip.AddrPort, msg []byte) []byte { return msg }))
			},
			Fault: func(_ context.Context, e *Env) error {
				to := netip.AddrPortFrom(addr(lab.WAN4), strangerPort)
				if _, err := e.Lab.Internet.Exchange(to, []byte("x"), 300*time.Millisecond); err == nil && !e.Mode.Mutated {
					return broken(errors.New("the port forward was answered by the uplink"))
				}
				if c, err := e.Lab.Internet.Dial(to, 200*time.Millisecond); err == nil {
					c.Close()
				}
				return nil
			},
			Mutate: unlock,
		},
		{
			Name: "T18Spoofed", Threat: "T18", Title: "A client sends from addresses that are not its own",
			User: "Nothing.", RecoversBy: "nothing was broken",
			Fault: func(_ context.Context, e *Env) (err error) {
				for _, src := range []string{"169.254.7.7", "10.9.9.9", "192.168.1.99", "192.168.77.7", lab.WAN4, lab.Gateway4, lab.ISPResolver4, lab.VPN1v4,
					lab.RouterLAN4, "8.8.8.8", "100.64.1.1", e.Lab.VPN1.Client4().String()} {
					err = errors.Join(err, e.injectBoth(src, lab.Echo4), e.injectBoth(src, lab.ISPResolver4), e.injectBoth(src, lab.VPN1v4))
				}
				for _, src := range []string{"fe80::77", "fd99::7", lab.WAN6, "2001:db8:100:1::99", "2001:db8:100:7::1", lab.VPN1v6, e.Lab.VPN1.Client6().String()} {
					err = errors.Join(err, e.injectBoth(src, lab.Echo6), e.injectBoth(src, lab.ISPResolver6))
				}
				return err
			},
			Mutate: unlock,
		},
		{
			Name: "T18NewDevice", Threat: "T18", Title: "A new device appears on a new port of the bridge",
			User: "It works, through the tunnel.", RecoversBy: "nothing was broken",
			Fault: func(_ context.Context, e *Env) error {
				h, err := e.Lab.AddClient("phone", "br-lan", "02:00:00:00:01:61", "192.168.1.61/24", "fd00:1::61/64")
				if err == nil {
					e.Others = append(e.Others, e.Lab.Traffic(h, lab.UDP4, lab.UDP6, lab.TCPNew4, lab.TCPNew6, lab.DNSPublic, lab.ICMP4))
				}
				return err
			},
			Mutate: unlock,
		},
		{
			Name: "T18LinkLocal", Threat: "T18", Title: "A device without a lease sends from 169.254.0.0/16",
			User: "It has no internet.", RecoversBy: "by design",
			Fault: func(ctx context.Context, e *Env) error {
				h, err := e.Lab.AddClient("nolease", "br-lan", "02:00:00:00:01:62", "169.254.7.7/16")
				if err != nil {
					return err
				}
				t := e.Lab.Traffic(h, lab.UDP4, lab.TCPNew4, lab.DNSPublic, lab.ICMP4)
				defer t.Stop()
				return t.WaitSent(ctx, 3)
			},
			Mutate: func(ctx context.Context, e *Env) error { return unlock(ctx, e) },
		},
		{
			Name: "T18OtherMAC", Threat: "T18", Title: "The TV changes its hardware address",
			User: "Nothing.", RecoversBy: "nothing was broken",
			Fault: func(ctx context.Context, e *Env) error {
				return sh(ctx, e.Lab.TV, "ip link set eth0 address 02:00:00:00:01:99")
			},
			Mutate: unlock,
		},
		{
			Name: "T18SecondLAN", Threat: "T18", Title: "A guest network is protected as well", Options: lab.Options{Guest: true},
			User: "Guests use the tunnel too.", RecoversBy: "nothing was broken",
			Before: func(_ context.Context, e *Env) error {
				e.Others = append(e.Others, e.Lab.Traffic(e.Lab.Guest, lab.UDP4, lab.TCPNew4, lab.DNSPublic, lab.DNSISP, lab.ICMP4))
				return nil
			},
			Boot: func(ctx context.Context, e *Env) error {
				if err := e.Agent.Start(); err != nil {
					return err
				}
				return e.protected(ctx)
			},
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.LinkDelete(device) },
			Mutate: unlock,
		},
		{
			Name: "T19OwnReplies", Threat: "T19", Title: "The router answers and ends connections under the tunnel's address while the tunnel is gone",
			User: "Nothing.", RecoversBy: "nothing was broken",
			Fault: func(ctx context.Context, e *Env) error {
				for range 3 {
					c, err := e.Lab.Router.Dial(netip.AddrPortFrom(addr(lab.Echo4), lab.EchoPort), 2*time.Second)
					if err != nil {
						return fmt.Errorf("the router's own connection: %w", err)
					}
					e.Conns = append(e.Conns, c)
				}
				if err := errors.Join(e.Lab.LinkDown(device), toTunnel(ctx, e)); err != nil {
					return err
				}
				for _, c := range e.Conns {
					_, _ = c.Write([]byte("more\n"))
					c.Close()
				}
				return toTunnel(ctx, e)
			},
			Check: noneOfTunnel, Mutate: unlock,
		},
	}
}

// injectBoth sends a datagram and a connection attempt from the TV.
func (e *Env) injectBoth(src, dst string) error {
	var err error
	for _, port := range []uint16{53, 443} {
		s, d := netip.AddrPortFrom(addr(src), 4000), netip.AddrPortFrom(addr(dst), port)
		err = errors.Join(err, e.Lab.InjectLAN(e.Lab.TV, lab.Packet{Src: s, Dst: d, Payload: []byte("x")}),
			e.Lab.InjectLAN(e.Lab.TV, lab.Packet{Src: s, Dst: d, TCP: lab.TCPSyn}))
	}
	return err
}
