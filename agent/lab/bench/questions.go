package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// questions compares a question that lanseal takes to the tunnel's resolver
// with the same one put to that resolver, and with one in the clear.
func questions(ctx context.Context, b *bench) ([]row, error) {
	n := 20 * min(b.runs, 10)
	const straight = "bare WireGuard, to the tunnel's resolver"
	clear := row{name: "no tunnel, to a public resolver", what: "a question by UDP", unit: "ms", note: "in the clear"}
	direct := row{name: straight, what: clear.what, unit: "ms"}
	hijacked := row{name: "lanseal, to a public resolver, hijacked", what: clear.what, unit: "ms", base: straight}
	own := row{name: "lanseal, to the router, hijacked", what: clear.what, unit: "ms", base: straight}
	err := b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) error {
		if err := ask(ctx, l, &clear, lab.Resolver4, n); err != nil {
			return err
		}
		_, err := l.StartPlainClient(l.VPN1, deviceA)
		err = errors.Join(err, sh(ctx, l.Router, "ip rule add iif br-lan lookup 100 prio 400\nip route add default dev "+deviceA+" table 100"), l.VPN1.WaitHandshake(ctx, time.Time{}))
		if err != nil {
			return err
		}
		return ask(ctx, l, &direct, l.VPN1.Resolver4(), n)
	})
	if err != nil {
		return nil, err
	}
	err = b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) error {
		if _, err := protected(ctx, l, one(l)); err != nil {
			return err
		}
		return errors.Join(ask(ctx, l, &hijacked, lab.Resolver4, n), ask(ctx, l, &own, lab.RouterLAN4, n))
	})
	return []row{clear, direct, hijacked, own}, err
}

func ask(ctx context.Context, l *lab.Lab, r *row, resolver string, n int) error {
	for i := range n {
		began := time.Now()
		if _, err := l.TV.Resolve(resolver, fmt.Sprintf("q%d.bench.test", i), "A"); err != nil {
			return fmt.Errorf("asking %s: %w", resolver, err)
		}
		r.values = append(r.values, ms(time.Since(began)))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
