package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

func addr(s string) netip.Addr             { return netip.MustParseAddr(s) }
func at(s string, p uint16) netip.AddrPort { return netip.AddrPortFrom(addr(s), p) }

// attackRows are what the uplink's network and its neighbours can do.
func attackRows() []row {
	routes := func(prefixes ...string) (lay, undo func(context.Context, *demo) error) {
		do := func(f func(*demo, string) error) func(context.Context, *demo) error {
			return func(_ context.Context, d *demo) (err error) {
				for _, p := range prefixes {
					err = errors.Join(err, f(d, p))
				}
				return err
			}
		}
		return do(func(d *demo, p string) error { return d.l.AddMainRoute(p) }), do(func(d *demo, p string) error { return d.l.DelMainRoute(p) })
	}
	halves, noHalves := routes("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")
	target, noTarget := routes("198.51.100.0/24", "2001:db8:5::/64")
	return []row{
		{id: "T9", key: "tunnelvision", fault: "0/1 + 128/1 by DHCP option 121", user: "nothing", lay: halves, after: noHalves},
		{id: "T9", key: "target", fault: "/24 and v6 /64 of the target", user: "nothing", lay: target, after: noTarget},
		{
			id: "T10", key: "localnet", fault: "WAN's subnet covers the target", user: "nothing",
			lay:   func(_ context.Context, d *demo) error { return d.l.LocalNet("198.51.100.200/24") },
			after: func(_ context.Context, d *demo) error { return d.l.EndLocalNet("198.51.100.200/24") },
		},
		{
			id: "T11", key: "server ports", fault: "VPN server's other ports", user: "works, through the tunnel",
			lay: toServer, after: serverHidden,
		},
		{
			id: "T16", key: "cve", fault: "tunnel address hit from the WAN", user: "nothing (CVE-2019-14899)",
			lay: hitTunnelAddress, after: func(_ context.Context, d *demo) error { return d.sameTCP() },
		},
		{id: "D1", key: "dns", fault: "DNS, TCP 53, DoT at the ISP's", lay: askISP},
	}
}

// uplinkRows change the way to the ISP.
func uplinkRows() []row {
	return []row{
		{
			id: "T8", key: "flap", fault: "WAN unplugged, plugged in again", user: "no internet without a cable",
			lay:    func(_ context.Context, d *demo) error { return d.l.LinkDelete("wan") },
			repair: func(_ context.Context, d *demo) error { return errors.Join(d.l.PlugWAN(), d.l.WarmNeighbours()) },
		},
		{
			id: "T8", key: "lease", fault: "new WAN address", user: pauses,
			lay:   func(_ context.Context, d *demo) error { return d.l.SetWANAddress("203.0.113.7/24") },
			after: func(_ context.Context, d *demo) error { return d.l.SetWANAddress(lab.WAN4 + "/24") },
		},
	}
}

// serverRows are the provider's.
func serverRows() []row {
	return []row{
		{
			id: "T3", key: "moved", fault: "VPN server's address changes", user: "a pause: its name is asked again",
			// Another machine: one that knew the session would speak first.
			lay: func(_ context.Context, d *demo) error {
				d.l.VPN1.Kill()
				d.l.Zone.Set(endpointName, addr("192.0.2.77"))
				return errors.Join(d.l.VPN1.ChangeAddress("192.0.2.77"), d.l.VPN1.Restart(false))
			},
		},
		{
			id: "T3", key: "silent", fault: "server silent, second exit", two: true,
			lay:   func(_ context.Context, d *demo) error { return d.l.VPN1.Silence() },
			after: failedOver,
		},
		{
			id: "T3", key: "dead", fault: "both servers dead", two: true, hold: 1500 * time.Millisecond,
			lay:    func(_ context.Context, d *demo) error { d.l.VPN1.Kill(); d.l.VPN2.Kill(); return nil },
			during: refusedAtOnce,
			repair: func(_ context.Context, d *demo) error {
				return errors.Join(d.l.VPN1.Restart(false), d.l.VPN2.Restart(false))
			},
			after: func(ctx context.Context, d *demo) error { return d.state(ctx, "protected") },
		},
		{
			id: "T14", key: "reconfigure", fault: "user prefers the second exit", two: true, user: "another country, connections anew",
			lay: func(_ context.Context, d *demo) error {
				return errors.Join(d.edit("option enabled '1'", "option enabled '1'\n\tlist via 'no'\n\tlist via 'se'"), d.a.Reload())
			},
			after: func(ctx context.Context, d *demo) error {
				if err := d.seenAs(d.l.VPN2); err != nil {
					return err
				}
				return errors.Join(d.edit("\n\tlist via 'no'\n\tlist via 'se'", ""), d.a.Reload(), d.home(ctx))
			},
		},
		{
			id: "V2", key: "no ipv6", fault: "exit without IPv6", two: true, dead: sixes(),
			lay: func(_ context.Context, d *demo) error {
				return errors.Join(d.tunnelFile("se", d.l.VPN1, true), d.tunnelFile("no", d.l.VPN2, true), d.a.Reload())
			},
			during: sixRefused,
			after: func(ctx context.Context, d *demo) error {
				return errors.Join(d.tunnelFile("se", d.l.VPN1, false), d.tunnelFile("no", d.l.VPN2, false), d.a.Reload())
			},
		},
	}
}

func sixes() []lab.Kind {
	return []lab.Kind{lab.UDP6, lab.TCP6, lab.TCPNew6, lab.ICMP6, lab.Fragment6, lab.DNSPublic6}
}

func (d *demo) tunnelFile(name string, v *lab.VPN, noIPv6 bool) error {
	return os.WriteFile(filepath.Join(d.a.TunnelDir, name+".conf"), []byte(v.ClientFile(clientOptions(name, noIPv6))), 0o600)
}

const marker = "a client's own words, not a tunnel's"

// toServer talks to the VPN server's public addresses, its own port included.
func toServer(_ context.Context, d *demo) error {
	for range 5 {
		for _, dst := range d.l.VPN1.Endpoints() {
			src := at(lab.TV4, 4000)
			if dst.Addr().Is6() {
				src = at(lab.TV6, 4000)
			}
			for _, port := range []uint16{lab.EchoPort, 80, 443, 1194, lab.WGPort} {
				to := netip.AddrPortFrom(dst.Addr(), port)
				for _, p := range []lab.Packet{{Src: src, Dst: to, Payload: []byte(marker)}, {Src: src, Dst: to, TCP: lab.TCPSyn, Payload: []byte(marker)}} {
					if err := d.l.InjectLAN(d.l.TV, p); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// serverHidden looks for the client's words in frames of every class: to the
// tunnel's own port they would pass for transport.
func serverHidden(_ context.Context, d *demo) error {
	for _, f := range d.l.WAN.Frames() {
		if bytes.Contains(f.Raw, []byte(marker)) {
			return fmt.Errorf("a client's datagram left in the clear: %s", f)
		}
	}
	seen, err := d.l.TV.WhoAmI(d.l.VPN1.Endpoint().Addr().String())
	if err == nil && lab.ISPOwned(seen) {
		err = fmt.Errorf("the server's own address saw %s", seen)
	}
	return err
}

// hitTunnelAddress guesses at connections of the tunnel, from both sides.
func hitTunnelAddress(_ context.Context, d *demo) error {
	for port := uint16(40000); port < 40008; port++ {
		for _, flags := range []byte{0, lab.TCPSyn, lab.TCPSynAck, lab.TCPRst} {
			for _, p := range []lab.Packet{
				{Src: at(lab.Echo4, lab.EchoPort), Dst: netip.AddrPortFrom(d.l.VPN1.Client4(), port), TCP: flags, Payload: []byte("x")},
				{Src: at(lab.Echo6, lab.EchoPort), Dst: netip.AddrPortFrom(d.l.VPN1.Client6(), port), TCP: flags, Payload: []byte("x")},
			} {
				if err := errors.Join(d.l.InjectWAN(p), d.l.InjectLAN(d.l.Laptop, p)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// askISP asks the ISP's resolvers by address, in every way.
func askISP(_ context.Context, d *demo) error {
	for range 10 {
		for _, r := range []string{lab.ISPResolver4, lab.ISPResolverFar4, "[" + lab.ISPResolver6 + "]:53"} {
			if _, err := d.l.Laptop.Resolve(r, "mail.example", "A"); err != nil {
				return fmt.Errorf("asking %s: %w", r, err)
			}
		}
	}
	began := time.Now()
	if c, err := d.l.Laptop.Dial(at(lab.ISPResolver4, 853), 2*time.Second); err == nil {
		c.Close()
		return errors.New("DNS over TLS to the ISP's resolver was not refused")
	}
	d.say("tunnel answers; DoT refused: %s", took(time.Since(began)))
	return nil
}

// refusedAtOnce is what a sealed LAN owes its users: a quick no.
func refusedAtOnce(ctx context.Context, d *demo) error {
	if err := d.state(ctx, "sealed", "connecting"); err != nil {
		return err
	}
	began := time.Now()
	if _, err := d.l.TV.Resolve(lab.RouterLAN4, "www.example", "A"); err == nil {
		return errors.New("a name was answered with both servers dead")
	}
	dns := time.Since(began)
	if dns > time.Second/2 {
		return fmt.Errorf("DNS was not refused at once but after %s", took(dns))
	}
	d.say("sealed; DNS refused in %s", took(dns))
	return nil
}

// sixRefused wants applications to fall back to IPv4 without a wait.
func sixRefused(ctx context.Context, d *demo) error {
	ctx, cancel := context.WithTimeout(ctx, flowWithin)
	defer cancel()
	return poll(ctx, 10*time.Millisecond, func() error {
		began := time.Now()
		c, err := d.l.Laptop.Dial(at(lab.Echo6, lab.EchoPort), 2*time.Second)
		if err == nil {
			c.Close()
			return errors.New("IPv6 is still carried")
		}
		if t := time.Since(began); t > time.Second/2 {
			return fmt.Errorf("IPv6 was not refused at once but after %s", took(t))
		}
		d.say("IPv4 only; IPv6 refused in %s", took(time.Since(began)))
		return nil
	})
}

// failedOver checks who carries, and brings the first server back.
func failedOver(ctx context.Context, d *demo) error {
	if err := d.seenAs(d.l.VPN2); err != nil {
		return err
	}
	back := time.Now()
	if err := errors.Join(d.l.VPN1.Resume(), d.home(ctx)); err != nil {
		return err
	}
	d.say("another country; home after %s", took(time.Since(back)))
	return nil
}

// home waits until the first exit carries again.
func (d *demo) home(ctx context.Context) error {
	if err := d.state(ctx, "protected"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flowWithin)
	defer cancel()
	return poll(ctx, 20*time.Millisecond, func() error { return d.seenAs(d.l.VPN1) })
}

// seenAs asks a server who the laptop is.
func (d *demo) seenAs(v *lab.VPN) error {
	seen, err := d.l.Laptop.WhoAmI(lab.Echo4)
	if err == nil && !v.Public(seen) {
		err = fmt.Errorf("the server sees %s, not %s", seen, v.Name)
	}
	return err
}
