package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
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
	rst := row{name: "lanseal", what: "deletion to the first TCP reset of a new connection", unit: "ms"}
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
			mark := l.WAN.MarkTime()
			gone := time.Now()
			if err := l.LinkDelete(tunnelDevice); err != nil {
				return err
			}
			reset, err := firstReset(ctx, l)
			if err != nil {
				return err
			}
			refused, err := f.first(ctx, gone, "an ICMP error", func(a answer) bool {
				return errors.Is(a.err, syscall.EHOSTUNREACH) || errors.Is(a.err, syscall.ENETUNREACH) || errors.Is(a.err, syscall.EACCES) || errors.Is(a.err, syscall.ECONNREFUSED)
			})
			if err != nil {
				return err
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

// firstReset connects again and again until it is reset.
func firstReset(ctx context.Context, l *lab.Lab) (time.Time, error) {
	to := netip.AddrPortFrom(netip.MustParseAddr(lab.Echo4), lab.EchoPort)
	for {
		c, err := l.TV.Dial(to, 200*time.Millisecond)
		if err == nil {
			c.Close()
		}
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
			return time.Now(), nil
		}
		if ctx.Err() != nil {
			return time.Time{}, errors.Join(errors.New("no connection was ever reset"), err)
		}
	}
}
