package tunnel

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// Prober asks through one device whether the far side is alive.
type Prober struct {
	Device string
	// Mark is put on the probes where rules need it to find the exit's table.
	// IPv4 goes where the device leads without a route; IPv6 does not.
	Mark uint32
}

// probeTimeout holds where the caller's context has no end.
const probeTimeout = time.Second

// Probe sends one ICMP echo through the device and waits for the answer.
func Probe(ctx context.Context, device string, target netip.Addr) (time.Duration, error) {
	return Prober{Device: device}.Ping(ctx, target)
}

// ProbeDNS asks a resolver through the device for the root's name servers. Any
// answer counts, a refusal too: it shows that the way is open.
func ProbeDNS(ctx context.Context, device string, resolver netip.Addr) (time.Duration, error) {
	return Prober{Device: device}.DNS(ctx, netip.AddrPortFrom(resolver, 53))
}

// Ping sends one ICMP echo and waits for the answer.
func (p Prober) Ping(ctx context.Context, target netip.Addr) (time.Duration, error) {
	network, request, want := "ip4:1", byte(8), byte(0)
	if target.Is6() && !target.Is4In6() {
		network, request, want = "ip6:58", 128, 129
	}
	msg := make([]byte, 8+24)
	msg[0] = request
	if _, err := rand.Read(msg[4:]); err != nil { // id, sequence and payload know each other again
		return 0, err
	}
	if want == 0 {
		binary.BigEndian.PutUint16(msg[2:], checksum(msg)) // of ICMPv6 the kernel makes it
	}
	return p.roundTrip(ctx, network, target.Unmap().String(), msg, func(answer []byte) bool {
		return len(answer) >= len(msg) && answer[0] == want && answer[1] == 0 && bytes.Equal(answer[4:len(msg)], msg[4:])
	})
}

// DNS asks for the root's name servers.
func (p Prober) DNS(ctx context.Context, resolver netip.AddrPort) (time.Duration, error) {
	id, err := randomID()
	if err != nil {
		return 0, err
	}
	root, err := dnsmessage.NewName(".")
	if err != nil {
		return 0, err
	}
	query, err := newQuery(id, root, dnsmessage.TypeNS)
	if err != nil {
		return 0, err
	}
	return p.roundTrip(ctx, "udp", resolver.String(), query, func(answer []byte) bool {
		_, err := parseAnswer(answer, id, root, dnsmessage.TypeNS)
		return !errors.Is(err, errNotOurs)
	})
}

func (p Prober) roundTrip(ctx context.Context, network, address string, msg []byte, ours func([]byte) bool) (time.Duration, error) {
	if _, ends := ctx.Deadline(); !ends {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, probeTimeout)
		defer cancel()
	}
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return setOption(c, p.bind) }}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return 0, fmt.Errorf("probing through %s: %w", p.Device, err)
	}
	defer func() { _ = conn.Close() }()
	pc, ok := conn.(net.PacketConn) // its ReadFrom takes the IPv4 header off
	if !ok {
		return 0, errors.New("probing: not a packet socket")
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	start := time.Now()
	if _, err := conn.Write(msg); err != nil {
		return 0, fmt.Errorf("probing through %s: %w", p.Device, err)
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := pc.ReadFrom(buf)
		if err != nil {
			return 0, fmt.Errorf("probing through %s: %w", p.Device, err)
		}
		if ours(buf[:n]) {
			return time.Since(start), nil
		}
	}
}

func (p Prober) bind(fd int) error {
	if p.Device == "" {
		return errors.New("no device to probe through")
	}
	if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, p.Device); err != nil {
		return fmt.Errorf("binding to the device: %w", err)
	}
	if p.Mark == 0 {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(p.Mark))
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
