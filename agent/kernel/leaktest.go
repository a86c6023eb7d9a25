package kernel

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// LeakProbe is one way out that was tried, and how often it was seen on a wire.
type LeakProbe struct {
	Name         string
	Sent, Leaked int
}

// LeakReport is what came of a leak test.
type LeakReport struct {
	Probes []LeakProbe
	Leaks  []string // the first frames, in words
	Wires  []string // the uplinks that were watched
}

// How a leak test goes.
const (
	leakRounds  = 3
	leakPause   = 300 * time.Millisecond  // after each round
	leakLast    = 1200 * time.Millisecond // for what is slow, like a forwarded question
	mostLeaks   = 20
	leakControl = 0x0806 // ARP: the one frame that anybody may send
)

// LeakTest plugs a client of its own into the LAN, lets it try to get out in
// the ways in which devices leak, and watches every uplink's wire for a sign
// that only these packets bear. near are more addresses to try, like the
// uplinks' gateways and the VPN servers' other ports. An error says that it
// could not be run.
func (k *Kernel) LeakTest(ctx context.Context, lan string, uplinks []string, near []netip.Addr) (LeakReport, error) {
	var r LeakReport
	s, err := k.Observe()
	if err != nil {
		return r, err
	}
	if len(uplinks) == 0 {
		return r, errors.New("no uplink is known: there is no wire to watch")
	}
	var wires []*wire
	defer func() {
		for _, w := range wires {
			w.close()
		}
	}()
	for _, name := range uplinks {
		w, err := openWire(k.nl, name)
		if err != nil {
			return r, err
		}
		wires, r.Wires = append(wires, w), append(r.Wires, name)
	}
	c, err := k.newLeakClient(lan, s.Facts.Links[lan])
	if err != nil {
		return r, err
	}
	defer c.close()
	sign := newLeakSign()
	probes := leakProbes(c, s.Facts.Links[lan], near)
	r.Probes = make([]LeakProbe, len(probes))
	seen := make([]int, len(wires))
	look := func() {
		for i, w := range wires {
			seen[i] += w.drain(func(frame []byte) { r.judge(w.name, frame, sign, probes) })
		}
	}
	for range leakRounds {
		for i, p := range probes {
			r.Probes[i].Name = p.name
			if err := c.inside(func() error { return p.send(sign, i) }); err == nil {
				r.Probes[i].Sent++
			}
		}
		k.control(wires, s.Facts)
		if err := wait(ctx, leakPause); err != nil {
			return r, err
		}
		look()
	}
	if err := wait(ctx, leakLast); err != nil {
		return r, err
	}
	look()
	if c.received() == 0 {
		return r, errors.New("none of the client's packets reached the router: the test proves nothing")
	}
	for i, w := range wires {
		if n := w.lost(); n > 0 {
			return r, fmt.Errorf("the capture on %s lost %d frames: the test proves nothing", w.name, n)
		}
		if l := s.Facts.Links[w.name]; seen[i] == 0 && l.Up {
			return r, fmt.Errorf("the capture on %s saw no frame, not even one that was sent to be seen: the test proves nothing", w.name)
		}
	}
	return r, nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// leakSign marks the test's packets: a text in what has a payload, and a port
// in what has none yet.
type leakSign struct {
	token []byte // 16 letters, a label of a name
	port  uint16 // the source port of TCP
}

func newLeakSign() leakSign {
	b := make([]byte, 10)
	_, _ = rand.Read(b)
	return leakSign{[]byte(hex.EncodeToString(b[:8])), 20000 + binary.BigEndian.Uint16(b[8:])%30000}
}

// judge looks for the sign in a frame that left.
func (r *LeakReport) judge(wire string, frame []byte, sign leakSign, probes []leakProbe) {
	which := -1
	if _, after, found := bytes.Cut(frame, sign.token); found && len(after) >= 2 {
		if n, err := strconv.ParseUint(string(after[:2]), 16, 8); err == nil {
			which = int(n)
		}
	} else {
		which = sign.tcp(frame, probes)
	}
	if which < 0 || which >= len(probes) {
		return
	}
	r.Probes[which].Leaked++
	if len(r.Leaks) < mostLeaks {
		r.Leaks = append(r.Leaks, fmt.Sprintf("%s left by %s, %d bytes", probes[which].name, wire, len(frame)))
	}
}

// tcp finds a connection attempt of the test: its sequence number cannot be
// chosen, and the address translation may change its source port, but nothing
// else goes to that address and port.
func (s leakSign) tcp(frame []byte, probes []leakProbe) int {
	dst, sport, dport, ok := tcpOf(frame)
	if !ok {
		return -1
	}
	return slices.IndexFunc(probes, func(p leakProbe) bool {
		return p.proto == unix.IPPROTO_TCP && p.to.Addr() == dst && p.to.Port() == dport && sport == s.port+uint16(p.at)
	})
}

// tcpOf reads addresses and ports of an Ethernet frame, or of a bare packet as
// PPP devices show it.
func tcpOf(frame []byte) (dst netip.Addr, sport, dport uint16, ok bool) {
	for _, skip := range []int{14, 18, 0} { // Ethernet, with a VLAN tag, none
		if len(frame) < skip+40 {
			continue
		}
		p := frame[skip:]
		switch {
		case p[0]>>4 == 4 && p[9] == unix.IPPROTO_TCP:
			n := int(p[0]&15) * 4
			if len(p) < n+4 {
				continue
			}
			return netip.AddrFrom4([4]byte(p[16:20])), binary.BigEndian.Uint16(p[n:]), binary.BigEndian.Uint16(p[n+2:]), true
		case p[0]>>4 == 6 && p[6] == unix.IPPROTO_TCP && len(p) >= 44:
			return netip.AddrFrom16([16]byte(p[24:40])), binary.BigEndian.Uint16(p[40:]), binary.BigEndian.Uint16(p[42:]), true
		}
	}
	return dst, 0, 0, false
}

// control sends the one frame that shows that the capture works: the uplink's
// own address, announced as every host does.
func (k *Kernel) control(wires []*wire, f rules.Facts) {
	for _, w := range wires {
		l, err := k.nl.LinkByName(w.name)
		if err != nil || len(l.Attrs().HardwareAddr) != 6 {
			continue
		}
		for _, p := range f.Links[w.name].Prefixes {
			if !p.Addr().Is4() {
				continue
			}
			mac, ip := l.Attrs().HardwareAddr, p.Addr().AsSlice()
			frame := slices.Concat([]byte{255, 255, 255, 255, 255, 255}, mac, []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1},
				mac, ip, make([]byte, 6), ip)
			frame = append(frame, make([]byte, 60-len(frame))...)
			_ = unix.Sendto(w.fd, frame, 0, &unix.SockaddrLinklayer{Protocol: network16(leakControl), Ifindex: l.Attrs().Index})
			break
		}
	}
}
