package lab

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

type runner = func(ctx context.Context, h *Host, m *meter, every time.Duration)

// ticks calls f at a steady rate until the context ends.
func ticks(ctx context.Context, every time.Duration, f func()) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f()
		}
	}
}

// flow sends numbered messages on one datagram socket and reads the answers.
func flow(ctx context.Context, h *Host, m *meter, every time.Duration, proto int, to netip.AddrPort,
	pack func(seq uint64) []byte, unpack func([]byte) (uint64, netip.Addr, bool)) {
	s, err := h.socket(unix.SOCK_DGRAM, proto, to, time.Time{})
	if err != nil {
		ticks(ctx, every, func() { m.fail(m.sent(), err) })
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			n, err := s.Read(buf)
			if errors.Is(err, os.ErrClosed) {
				return
			}
			if err != nil && !errors.Is(err, io.EOF) {
				s.drainErrors()
				m.fail(0, err)
				continue
			}
			if seq, src, ok := unpack(buf[:n]); ok {
				m.answer(seq, src)
			}
		}
	}()
	ticks(ctx, every, func() {
		seq := m.sent()
		if _, err := s.Write(pack(seq)); err != nil {
			// The error may be an earlier probe's, reported on this socket.
			s.drainErrors()
			m.fail(seq, err)
		}
	})
	s.Close()
	<-done
}

func datagrams(to netip.AddrPort, size int) runner {
	return func(ctx context.Context, h *Host, m *meter, every time.Duration) {
		flow(ctx, h, m, every, 0, to, func(seq uint64) []byte {
			b := make([]byte, size)
			binary.BigEndian.PutUint64(b, seq)
			return b
		}, unpackEcho)
	}
}

// unpackEcho reads an answer of echoUDP.
func unpackEcho(b []byte) (uint64, netip.Addr, bool) {
	if len(b) < 1 || len(b) < 1+int(b[0])+8 {
		return 0, netip.Addr{}, false
	}
	src, err := netip.ParseAddr(string(b[1 : 1+b[0]]))
	return binary.BigEndian.Uint64(b[1+b[0]:]), src, err == nil
}

// pings are ICMP echoes; the kernel fills in identifier and checksum.
func pings(to netip.Addr) runner {
	request, reply, proto := byte(8), byte(0), unix.IPPROTO_ICMP
	if to.Is6() {
		request, reply, proto = 128, 129, unix.IPPROTO_ICMPV6
	}
	return func(ctx context.Context, h *Host, m *meter, every time.Duration) {
		flow(ctx, h, m, every, proto, netip.AddrPortFrom(to, 0), func(seq uint64) []byte {
			b := make([]byte, 56)
			b[0] = request
			binary.BigEndian.PutUint16(b[6:], uint16(seq))
			binary.BigEndian.PutUint64(b[8:], seq)
			return b
		}, func(b []byte) (uint64, netip.Addr, bool) {
			if len(b) < 16 || b[0] != reply {
				return 0, netip.Addr{}, false
			}
			return binary.BigEndian.Uint64(b[8:]), netip.Addr{}, true // the kernel that answers does not say
		})
	}
}

// stream holds one TCP connection as long as it lives, as an application does:
// it gives up on a connection that is silent for three seconds.
func stream(to netip.AddrPort) runner {
	const stall = 3 * time.Second
	session := func(ctx context.Context, s *sock, m *meter, every time.Duration) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			defer cancel()
			r := bufio.NewReader(s)
			for {
				_ = s.SetReadDeadline(time.Now().Add(stall))
				line, err := r.ReadString('\n')
				if err != nil {
					m.fail(0, err)
					return
				}
				if seq, src, ok := parseLine(line); ok {
					m.answer(seq, src)
				}
			}
		}()
		ticks(ctx, every, func() {
			seq := m.sent()
			_ = s.SetWriteDeadline(time.Now().Add(stall))
			if _, err := fmt.Fprintf(s, "%d\n", seq); err != nil {
				m.fail(seq, err)
				cancel()
			}
		})
	}
	return func(ctx context.Context, h *Host, m *meter, every time.Duration) {
		first := true
		ticks(ctx, every, func() {
			seq := m.sent()
			s, err := h.socket(unix.SOCK_STREAM, 0, to, time.Now().Add(probeTimeout))
			if err != nil {
				m.fail(seq, err)
				return
			}
			if !first {
				m.reconnected()
			}
			first = false
			stop := context.AfterFunc(ctx, func() { s.Close() })
			defer stop()
			defer s.Close()
			_, _ = fmt.Fprintf(s, "%d\n", seq)
			session(ctx, s, m, every)
		})
	}
}

// parseLine reads an answer of echoTCP.
func parseLine(line string) (uint64, netip.Addr, bool) {
	a, n, ok := strings.Cut(strings.TrimSpace(line), " ")
	src, err := netip.ParseAddr(a)
	seq, err2 := strconv.ParseUint(n, 10, 64)
	return seq, src, ok && err == nil && err2 == nil
}

// once is one question on a socket of its own.
type once func(h *Host, seq uint64, deadline time.Time) (netip.Addr, error)

// each asks afresh at every tick, without waiting for the answer before.
func each(ask once) runner {
	return func(ctx context.Context, h *Host, m *meter, every time.Duration) {
		ticks(ctx, every, func() {
			seq := m.sent()
			go func() {
				src, err := ask(h, seq, time.Now().Add(probeTimeout))
				if err != nil {
					m.fail(seq, err)
					return
				}
				m.answer(seq, src)
			}()
		})
	}
}

func onceTCP(to netip.AddrPort) once {
	return func(h *Host, seq uint64, deadline time.Time) (netip.Addr, error) {
		s, err := h.socket(unix.SOCK_STREAM, 0, to, deadline)
		if err != nil {
			return netip.Addr{}, err
		}
		defer s.Close()
		_ = s.SetDeadline(deadline)
		if _, err := fmt.Fprintf(s, "%d\n", seq); err != nil {
			return netip.Addr{}, err
		}
		line, err := bufio.NewReader(s).ReadString('\n')
		if err != nil {
			return netip.Addr{}, err
		}
		_, src, ok := parseLine(line)
		if !ok {
			return src, fmt.Errorf("a strange answer: %q", line)
		}
		return src, nil
	}
}

// exchange sends one datagram and returns its answer.
func (h *Host) exchange(to netip.AddrPort, msg []byte, deadline time.Time) ([]byte, error) {
	s, err := h.socket(unix.SOCK_DGRAM, 0, to, deadline)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	_ = s.SetDeadline(deadline)
	if _, err := s.Write(msg); err != nil {
		return nil, err
	}
	buf := make([]byte, 1<<12)
	n, err := s.Read(buf)
	return buf[:max(n, 0)], err
}

func onceUDP(to netip.AddrPort) once {
	return func(h *Host, seq uint64, deadline time.Time) (netip.Addr, error) {
		b, err := h.exchange(to, binary.BigEndian.AppendUint64(nil, seq), deadline)
		if err != nil {
			return netip.Addr{}, err
		}
		_, src, ok := unpackEcho(b)
		if !ok {
			return src, errors.New("a strange answer")
		}
		return src, nil
	}
}

func onceSTUN(to netip.AddrPort) once {
	return func(h *Host, seq uint64, deadline time.Time) (netip.Addr, error) {
		a, err := h.stun(to, seq, deadline)
		return a.Addr(), err
	}
}

// onceDNS asks for a name that nobody has cached; the answer is the address
// that the resolver saw.
func onceDNS(to netip.AddrPort, tcp bool) once {
	return func(h *Host, seq uint64, deadline time.Time) (netip.Addr, error) {
		name := fmt.Sprintf("n%d.%s.whoami.test", seq, h.Name)
		rcode, addrs, err := h.ask(to, tcp, uint16(seq), name, dnsmessage.TypeA, deadline)
		if err != nil {
			return netip.Addr{}, err
		}
		if rcode != dnsmessage.RCodeSuccess {
			return netip.Addr{}, fmt.Errorf("answer %v", rcode)
		}
		if len(addrs) == 0 { // the resolver was asked over IPv6: no A record
			return netip.Addr{}, nil
		}
		return addrs[0], nil
	}
}
