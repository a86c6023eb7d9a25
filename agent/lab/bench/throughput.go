package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

const sinkPort = 5002

// throughput sends as fast as TCP can, from the TV to the internet: without a
// tunnel, where the rules alone cost something, and through one.
func throughput(ctx context.Context, b *bench) ([]row, error) {
	const plain, tunnelled = "a bare masquerading router", "bare WireGuard, one route"
	what := "one TCP stream, forwarded"
	inside := "one TCP stream, through a tunnel"
	cases := []struct {
		name, what, base string
		setUp            func(context.Context, *lab.Lab) error
	}{
		{plain, what, "", func(context.Context, *lab.Lab) error { return nil }},
		{"lanseal, a direct device", what, plain, func(ctx context.Context, l *lab.Lab) error {
			c := one(l)
			c.More = devices(10, 0)
			_, err := protected(ctx, l, c)
			return err
		}},
		{tunnelled, inside, "", func(ctx context.Context, l *lab.Lab) error {
			_, err := l.StartPlainClient(l.VPN1, deviceA)
			return errors.Join(err, sh(ctx, l.Router, "ip rule add iif br-lan lookup 100 prio 400\nip route add default dev "+deviceA+" table 100"), l.VPN1.WaitHandshake(ctx, time.Time{}))
		}},
		{"lanseal, through an exit", inside, tunnelled, func(ctx context.Context, l *lab.Lab) error {
			_, err := protected(ctx, l, one(l))
			return err
		}},
	}
	var rows []row
	for _, c := range cases {
		r := row{name: c.name, what: c.what, unit: "Gbit/s", base: c.base}
		for i := range min(b.runs, 5) {
			b.tell("d  %s, run %d", c.name, i+1)
			err := b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) error {
				if err := c.setUp(ctx, l); err != nil {
					return err
				}
				l.WAN.Detach()
				v, err := stream(l)
				r.values = append(r.values, v)
				return err
			})
			if err != nil {
				return rows, fmt.Errorf("%s: %w", c.name, err)
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// stream is the rate at which a server takes what the TV sends, after the
// connection has found its pace.
func stream(l *lab.Lab) (gbit float64, err error) {
	const warmUp, length = 300 * time.Millisecond, time.Second
	to := netip.AddrPortFrom(netip.MustParseAddr(lab.Echo4), sinkPort)
	var got atomic.Int64
	if err := l.Internet.ListenTCP(to, func(c net.Conn) {
		buf := make([]byte, 1<<18)
		for {
			n, err := c.Read(buf)
			got.Add(int64(n))
			if err != nil {
				return
			}
		}
	}); err != nil {
		return 0, err
	}
	c, err := l.TV.Dial(to, patience)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(warmUp + length))
	var from atomic.Int64
	began := time.Now()
	time.AfterFunc(warmUp, func() { from.Store(got.Load()) })
	buf := make([]byte, 1<<18)
	for err == nil {
		_, err = c.Write(buf)
	}
	took := time.Since(began) - warmUp
	bytes := got.Load() - from.Load()
	if took < length/2 || bytes == 0 {
		return 0, errors.Join(io.ErrUnexpectedEOF, err)
	}
	return float64(bytes) * 8 / float64(took.Nanoseconds()), nil
}
