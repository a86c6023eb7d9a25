package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

const tunnelDevice = "ls-se"

// seal deletes the device of the only exit, whose server has died as well, and
// looks for the last packet that leaked and the first refusal that a client is
// told of.
func seal(ctx context.Context, b *bench) ([]row, error) {
	leaked := row{name: "lanseal", what: "deletion to the last leaked packet", unit: "ms", note: "0: none leaked"}
	icmp := row{name: "lanseal", what: "deletion to the first ICMP error of a UDP flow", unit: "ms", note: fmt.Sprintf("the flow sends every %v", flowEvery)}
	rst := row{name: "lanseal", what: "deletion to the first refusal of a TCP connection", unit: "ms", note: fmt.Sprintf("a new one every %v", connectEvery)}
	for i := range min(b.runs, 10) {
		err := b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) error {
			if _, err := protected(ctx, l, one(l)); err != nil {
				return err
			}
			f, err := watch(ctx, l)
			if err != nil {
				return err
			}
			if _, err := f.first(ctx, time.Now(), "traffic", through(l.VPN1)); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			l.VPN1.Kill()
			first := connections(ctx, l)
			mark := l.WAN.MarkTime()
			gone := time.Now()
			if err := l.LinkDelete(tunnelDevice); err != nil {
				return err
			}
			refused, err := f.first(ctx, gone, "an ICMP error", func(a answer) bool { return refusal(a.err) })
			if err != nil {
				return err
			}
			var reset time.Time
			select {
			case reset = <-first:
			case <-ctx.Done():
				return errors.New("no connection was ever refused")
			}
			if err := errors.Join(pause(ctx, time.Second), l.WAN.Drain(ctx), l.WAN.Check()); err != nil {
				return err
			}
			last := 0.0
			for _, frame := range l.WAN.Leaks(mark) {
				last = max(last, ms(frame.Time.Sub(gone)))
			}
			leaked.values = append(leaked.values, last)
			icmp.values = append(icmp.values, ms(refused.Sub(gone)))
			rst.values = append(rst.values, ms(reset.Sub(gone)))
			b.tell("b  run %d, %.1f ms to the first refusal", i+1, ms(refused.Sub(gone)))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return []row{leaked, icmp, rst}, nil
}

// connectEvery is the pace of new connections, and the resolution of what they
// measure.
const connectEvery = 5 * time.Millisecond

// connections makes new connections, each in its own time, and tells when
// one was refused.
func connections(ctx context.Context, l *lab.Lab) <-chan time.Time {
	refused := make(chan time.Time, 1)
	to := netip.AddrPortFrom(netip.MustParseAddr(lab.Echo4), lab.EchoPort)
	go func() {
		tick := time.NewTicker(connectEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			go func() {
				c, err := l.TV.Dial(to, time.Second)
				if err == nil {
					c.Close()
				}
				if refusal(err) {
					select {
					case refused <- time.Now():
					default: // the first is told already
					}
				}
			}()
		}
	}()
	return refused
}
