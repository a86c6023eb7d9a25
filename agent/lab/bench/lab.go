package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// in builds a fresh lab for one run.
func (b *bench) in(ctx context.Context, o lab.Options, f func(context.Context, *lab.Lab) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.Lanseal = b.lanseal
	l, err := lab.New(o)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Ready(ctx); err != nil {
		return err
	}
	return f(ctx, l)
}

// protected starts lanseal and waits until every exit is up.
func protected(ctx context.Context, l *lab.Lab, c lab.AgentConfig) (*lab.Agent, error) {
	a, err := l.StartAgent(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := a.WaitState(ctx, "protected"); err != nil {
		return nil, err
	}
	return a, poll(ctx, 20*time.Millisecond, func() error {
		s, err := a.Status(ctx)
		for _, e := range s.Exits {
			if e.State != "up" {
				err = errors.Join(err, fmt.Errorf("exit %s is %s", e.Name, e.State))
			}
		}
		return err
	})
}

// one is a configuration with a single exit.
func one(l *lab.Lab) lab.AgentConfig {
	return lab.AgentConfig{Tunnels: map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{})}}
}

// poll asks until there is no error, or patience ends.
func poll(ctx context.Context, every time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// sh runs a script on a host.
func sh(ctx context.Context, h *lab.Host, script string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if out, err := h.Command(ctx, "sh", "-c", "set -e\n"+script).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", h.Name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// answer is one answer of a flow, or the error that came in its place.
type answer struct {
	at  time.Time
	src netip.Addr // who the server thought was asking
	err error
}

// flow is one UDP flow of the TV, as a film: always the same source port.
type flow struct {
	conn *net.UDPConn
	mu   sync.Mutex
	got  []answer
	new  chan struct{}
}

// flowEvery is the pace of a flow, and so the resolution of what it measures.
const flowEvery = 2 * time.Millisecond

// watch starts a flow, until the lab ends or the context does.
func watch(ctx context.Context, l *lab.Lab) (*flow, error) {
	f := &flow{new: make(chan struct{}, 1)}
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(lab.Echo4), lab.EchoPort))
	err := l.TV.Do(func() (err error) {
		f.conn, err = net.DialUDP("udp4", nil, to)
		return err
	})
	if err != nil {
		return nil, err
	}
	raw, err := f.conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	// Without it "host unreachable" is no news to a UDP socket (udp(7)).
	_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1) })
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer f.conn.Close()
		tick := time.NewTicker(flowEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if _, err := f.conn.Write(make([]byte, 64)); err != nil {
					f.take(answer{at: time.Now(), err: err}) // an ICMP error about an earlier datagram
				}
			}
		}
	}()
	go func() {
		defer cancel()
		buf := make([]byte, 2048)
		for {
			n, err := f.conn.Read(buf)
			a := answer{at: time.Now(), err: err}
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err == nil && n > int(buf[0]):
				a.src, a.err = netip.ParseAddr(string(buf[1 : 1+buf[0]]))
			}
			f.take(a)
			if err != nil {
				_ = raw.Control(emptyErrors)
			}
		}
	}()
	return f, nil
}

// emptyErrors reads a socket's error queue, whose content Read has told of.
func emptyErrors(fd uintptr) {
	buf, oob := make([]byte, 256), make([]byte, 512)
	for {
		if _, _, _, _, err := unix.Recvmsg(int(fd), buf, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT); err != nil {
			return
		}
	}
}

// refusal says whether an error is what a router's refusal becomes: a TCP reset,
// or an ICMP error.
func refusal(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ECONNRESET) ||
		errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EACCES)
}

func (f *flow) take(a answer) {
	f.mu.Lock()
	f.got = append(f.got, a)
	f.mu.Unlock()
	select {
	case f.new <- struct{}{}:
	default:
	}
}

// first waits for the first answer since a moment that fits.
func (f *flow) first(ctx context.Context, since time.Time, what string, fits func(answer) bool) (time.Time, error) {
	for {
		f.mu.Lock()
		for _, a := range f.got {
			if !a.at.Before(since) && fits(a) {
				f.mu.Unlock()
				return a.at, nil
			}
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-f.new:
		}
	}
}

// through fits answers to packets that a VPN server sent on.
func through(v *lab.VPN) func(answer) bool {
	return func(a answer) bool { return a.err == nil && v.Public(a.src) }
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
