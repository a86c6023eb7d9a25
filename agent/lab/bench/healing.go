package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
)

// fault is something that others do to the router, and how to see that it is
// mended.
type fault struct {
	name string
	lay  func(*lab.Lab) error
	// holds looks, cheaply, whether what the fault took is there again.
	holds func(*held) error
	// flows: mended means that traffic goes through the exit again.
	flows bool
}

// The routing lock's rule and table of a configuration with one exit.
const (
	sealPriority = 520
	exitTable    = 5201
)

func faults() []fault {
	return []fault{
		{name: "IPv4 rules flushed", lay: func(l *lab.Lab) error { return l.FlushRules(4) }, holds: (*held).rules},
		{name: "IPv6 rules flushed", lay: func(l *lab.Lab) error { return l.FlushRules(6) }, holds: (*held).rules},
		{name: "the exit's table flushed", lay: func(l *lab.Lab) error { return l.FlushTable(exitTable) }, holds: (*held).routes},
		{name: "nft flush ruleset", lay: (*lab.Lab).FlushNft, holds: (*held).firewall},
		{name: "lanseal's table deleted", lay: func(l *lab.Lab) error { return l.Router.NFT("delete table inet lanseal\n") }, holds: (*held).firewall},
		{name: "lanseal's chains flushed", lay: func(l *lab.Lab) error { return l.Router.NFT("flush table inet lanseal\n") }, holds: (*held).firewall},
		{name: "the tunnel's device deleted", lay: func(l *lab.Lab) error { return l.LinkDelete(tunnelDevice) }, flows: true},
		{name: "the tunnel's device down", lay: func(l *lab.Lab) error { return l.LinkDown(tunnelDevice) }, flows: true},
	}
}

func healing(ctx context.Context, b *bench) ([]row, error) {
	var rows []row
	for _, f := range faults() {
		r := row{name: f.name, what: "fault to mended", unit: "ms", log: true}
		if f.flows {
			r.note = "traffic through the exit again"
		}
		for i := range min(b.runs, 10) {
			b.tell("h  %s, run %d", f.name, i+1)
			took, err := f.once(ctx, b)
			if err != nil {
				return rows, fmt.Errorf("%s: %w", f.name, err)
			}
			r.values = append(r.values, ms(took))
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (f fault) once(ctx context.Context, b *bench) (took time.Duration, err error) {
	err = b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) error {
		a, err := protected(ctx, l, one(l))
		if err != nil {
			return err
		}
		w, err := watch(ctx, l)
		if err != nil {
			return err
		}
		if _, err := w.first(ctx, time.Now(), "traffic", through(l.VPN1)); err != nil {
			return err
		}
		h, err := hold(ctx, l)
		if err != nil {
			return err
		}
		defer h.gens.close()
		if err := pause(ctx, 500*time.Millisecond); err != nil { // a quiet router
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		h.laid = time.Now()
		if err := f.lay(l); err != nil {
			return err
		}
		if f.flows {
			// Answers that were on their way are not the mended tunnel's.
			back, err := w.first(ctx, time.Now().Add(flowEvery), "traffic", through(l.VPN1))
			took = back.Sub(h.laid)
			return err
		}
		if err := poll(ctx, time.Millisecond, func() error { return f.holds(h) }); err != nil {
			return err
		}
		took = time.Since(h.laid)
		if !h.loaded.IsZero() {
			took = h.loaded.Sub(h.laid)
		}
		return poll(ctx, 50*time.Millisecond, func() error { // and it is mended to the last line
			out, errs, exit, err := a.Run(ctx, "verify")
			if err == nil && exit != 0 {
				err = errors.New(strings.TrimSpace(out + errs))
			}
			return err
		})
	})
	return took, err
}

// held is what the router held before the fault.
type held struct {
	l        *lab.Lab
	gens     *generations
	laid     time.Time
	loaded   time.Time // the generation with which the firewall came back
	ruleSum  int
	routeSum int
}

func hold(ctx context.Context, l *lab.Lab) (*held, error) {
	h := &held{l: l}
	var err error
	if h.ruleSum, err = h.countRules(); err != nil {
		return nil, err
	}
	if h.routeSum, err = h.countRoutes(); err != nil {
		return nil, err
	}
	if h.ruleSum == 0 || h.routeSum == 0 {
		return nil, errors.New("there is no routing lock")
	}
	h.gens, err = watchRules(ctx, l)
	return h, err
}

// countRules counts the lock's closing rules of both families.
func (h *held) countRules() (n int, err error) {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rules, err := h.l.Router.Netlink().RuleList(family)
		if err != nil {
			return 0, err
		}
		for _, r := range rules {
			if r.Priority >= sealPriority && r.Priority < sealPriority+10 {
				n++
			}
		}
	}
	return n, nil
}

func (h *held) countRoutes() (n int, err error) {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := h.l.Router.Netlink().RouteListFiltered(family, &netlink.Route{Table: exitTable}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return 0, err
		}
		n += len(routes)
	}
	return n, nil
}

func (h *held) rules() error {
	n, err := h.countRules()
	if err == nil && n < h.ruleSum {
		err = fmt.Errorf("%d of %d rules", n, h.ruleSum)
	}
	return err
}

func (h *held) routes() error {
	n, err := h.countRoutes()
	if err == nil && n < h.routeSum {
		err = fmt.Errorf("%d of %d routes", n, h.routeSum)
	}
	return err
}

// firewall waits for the second change of the ruleset: the first is the fault.
func (h *held) firewall() error {
	changes := 0
	for {
		select {
		case at := <-h.gens.at:
			if at.Before(h.laid) {
				continue
			}
			if changes++; changes == 2 {
				h.loaded = at
				return nil
			}
		case <-time.After(2 * time.Second):
			return fmt.Errorf("%d changes of the ruleset", changes)
		}
	}
}
