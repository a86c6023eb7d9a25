package lab

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A capture that lost frames says so: with a tiny buffer and no reader, the
// kernel's drop counter is read and makes the wire unbelievable.
func TestCaptureCountsDrops(t *testing.T) {
	l := ForTest(t, Options{})
	link, err := l.ISP.nl.LinkByName("cpe")
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{fd: -1}
	if err := l.ISP.Do(func() (err error) { r.fd, err = openCapture(link.Attrs().Index); return err }); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(r.fd)
	if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1); err != nil {
		t.Fatal(err)
	}
	tr := l.Traffic(l.TV, UDP4, Fragment4)
	if err := tr.WaitSent(within(t, 5*time.Second), 10); err != nil {
		t.Fatal(err)
	}
	tr.Stop()
	w := &Wire{Name: "tiny", reader: r}
	if err := w.Check(); err == nil || !strings.Contains(err.Error(), "proves nothing") {
		t.Errorf("a capture that lost frames says %v", err)
	}
	if err := l.WAN.Check(); err != nil {
		t.Errorf("the real capture: %v", err)
	}
}

// Every class is told apart on the wire itself, the counts are split by marks,
// and a test can explain what leaves on purpose.
func TestClasses(t *testing.T) {
	l := ForTest(t, Options{})
	send := func(p Packet) {
		t.Helper()
		f, err := p.Frame(MACRouterWAN, MACISP)
		if err == nil {
			err = l.Router.Inject("wan", f)
		}
		if err == nil {
			err = l.WAN.Drain(within(t, time.Second))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	at := netip.MustParseAddrPort
	l.WAN.Explain("iptv", func(f *Frame) bool { return f.Dst.String() == Echo4b && f.DstPort == 5000 })
	for _, c := range []struct {
		name  string
		p     Packet
		class Class
	}{
		{"a tunnel's packet", Packet{Src: at(WAN4 + ":40000"), Dst: l.VPN1.Endpoint()}, Transport},
		{"a tunnel's packet over IPv6", Packet{Src: at("[" + WAN6 + "]:40000"), Dst: l.VPN2.Endpoints()[1]}, Transport},
		{"another port of the server", Packet{Src: at(WAN4 + ":40000"), Dst: at(VPN1v4 + ":444")}, Leak},
		{"TCP to the tunnel's port", Packet{Src: at(WAN4 + ":40000"), Dst: l.VPN1.Endpoint(), TCP: TCPSyn}, Leak},
		{"a DHCP request", Packet{Src: at(WAN4 + ":68"), Dst: at(Gateway4 + ":67")}, DHCP},
		{"a DHCPv6 request", Packet{Src: at("[" + WAN6 + "]:546"), Dst: at("[" + Gateway6 + "]:547")}, DHCP},
		{"an exception", Packet{Src: at(WAN4 + ":9"), Dst: at(Echo4b + ":5000")}, Explained},
		{"a question to the ISP", Packet{Src: at(WAN4 + ":9"), Dst: at(ISPResolver4 + ":53")}, Leak},
	} {
		before := l.WAN.MarkTime()
		send(c.p)
		after := l.WAN.MarkTime()
		if n := l.WAN.CountBetween(c.class, before, after); n != 1 {
			t.Errorf("%s: %d frames of class %s, want 1", c.name, n, c.class)
		}
	}
	if n := l.WAN.CountRule("iptv", 0); n != 1 {
		t.Errorf("the rule took %d frames", n)
	}
	path, err := l.WAN.WritePcap(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	if b, err := os.ReadFile(path); err != nil || binary.LittleEndian.Uint32(b) != 0xa1b23c4d || len(b) < 24+8*60 {
		t.Errorf("the pcap has %d bytes, %v", len(b), err)
	}
}

// Fragments without ports follow their first one; an orphan is a leak.
func TestFragmentsFollowTheFirst(t *testing.T) {
	w := &Wire{transport: map[netip.AddrPort]bool{netip.MustParseAddrPort("192.0.2.10:51820"): true}, frags: map[fragKey]verdict{}}
	frag := func(id, off uint16) *Frame {
		f, err := Packet{Src: netip.MustParseAddrPort("203.0.113.2:1"), Dst: netip.MustParseAddrPort("192.0.2.10:51820")}.Frame(MACRouterWAN, MACISP)
		if err != nil {
			t.Fatal(err)
		}
		binary.BigEndian.PutUint16(f[18:], id)
		binary.BigEndian.PutUint16(f[20:], off)
		return decode(time.Time{}, f, len(f))
	}
	for _, c := range []struct {
		f    *Frame
		want Class
	}{{frag(1, 0x2000), Transport}, {frag(1, 185), Transport}, {frag(2, 185), Leak}} {
		w.classify(c.f)
		if c.f.Class != c.want {
			t.Errorf("%s is %s, want %s", c.f, c.f.Class, c.want)
		}
	}
}

// The second uplink has a wire of its own, and takes over from the first.
func TestSecondUplink(t *testing.T) {
	l := ForTest(t, Options{WAN2: true})
	if err := l.LinkDown("wan"); err != nil {
		t.Fatal(err)
	}
	marks := l.MarkAll()
	tr := l.Traffic(l.TV, UDP4)
	if err := tr.WaitFlow(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := l.WAN2.Drain(within(t, time.Second)); err != nil || l.WAN2.Count(Leak, marks[l.WAN2]) == 0 {
		t.Errorf("nothing on the second wire: %v", err)
	}
	if n := l.WAN.Count(Leak, marks[l.WAN]); n != 0 {
		t.Errorf("%d frames on a wire that is down", n)
	}
}

// Advertised prefixes reach the clients, and are withdrawn again.
func TestAdvertisedPrefix(t *testing.T) {
	l := ForTest(t, Options{ClientRA: true})
	prefix := netip.MustParsePrefix("2001:db8:100:2::/64")
	state := func(preferred time.Duration, want func(lft int) bool) {
		t.Helper()
		ra := RA{Prefixes: []RAPrefix{{prefix, preferred, preferred}}}
		if err := l.Router.SendRA("br-lan", ra); err != nil {
			t.Fatal(err)
		}
		if err := eventually(within(t, 5*time.Second), "the advertised address", func() error {
			link, err := l.TV.nl.LinkByName("eth0")
			if err != nil {
				return err
			}
			addrs, err := l.TV.nl.AddrList(link, unix.AF_INET6)
			for _, a := range addrs {
				if ip, _ := netip.AddrFromSlice(a.IP); prefix.Contains(ip) && want(a.PreferedLft) {
					return nil
				}
			}
			return errors.Join(err, errors.New("not so"))
		}); err != nil {
			t.Error(err)
		}
	}
	state(time.Hour, func(lft int) bool { return lft > 3000 })
	state(0, func(lft int) bool { return lft == 0 })
}
