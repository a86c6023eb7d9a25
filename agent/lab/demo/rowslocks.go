package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
)

// Keys of rows that the summary speaks of.
const (
	keyDeleted  = "device deleted"
	keyRules    = "rules flushed"
	keyFirewall = "firewall flushed"
	keyBoth     = "both locks"
)

// bothBound is T7's: what two clients send in 250 ms, and its answers.
const bothBound = 150

// locksRows remove what holds the LAN. Repairs are counted over ten seconds by
// the agent, which spaces them out when there are too many: not too often.
func locksRows() []row {
	restore := func(_ context.Context, d *demo) error { return d.l.RestoreNAT() }
	return []row{
		{
			id: "T7", key: keyBoth, fault: "both locks removed at once", user: blinks, bound: bothBound,
			lay: bothLocks,
			after: func(ctx context.Context, d *demo) error {
				if n := d.l.WAN.Count(lab.Leak, d.wire); n > 0 {
					d.say("%d packets in %s, then sealed", n, took(d.lastLeak()))
				}
				return errors.Join(d.l.RestoreNAT(), d.verify(ctx))
			},
		},
		{
			id: "T5", key: keyFirewall, fault: "nft flush ruleset", user: blinks, times: 3,
			lay:   func(_ context.Context, d *demo) error { return d.l.FlushNft() },
			after: restore,
		},
		{
			id: "T6", key: keyRules, fault: "ip rule flush, both families", user: blinks, times: 3,
			lay: func(ctx context.Context, d *demo) error {
				_, err := d.sh(ctx, "ip -4 rule flush; ip -6 rule flush\n"+mainRules)
				return err
			},
		},
		{
			id: "T6", key: "tables flushed", fault: "policy routing tables flushed", user: blinks,
			lay: func(_ context.Context, d *demo) error {
				return errors.Join(d.l.FlushTable(5200), d.l.FlushTable(5201))
			},
		},
	}
}

// mainRules is what netifd puts back after a flush.
const mainRules = `ip -4 rule add pref 32766 lookup main 2>/dev/null
ip -4 rule add pref 32767 lookup default 2>/dev/null
ip -6 rule add pref 32766 lookup main 2>/dev/null
true
`

// bothLocks takes the firewall away by its tool, and in the same moment the
// rules by netlink, which is quicker than any tool and than any healing.
func bothLocks(_ context.Context, d *demo) error {
	nl := d.l.Router.Netlink()
	var own []netlink.Rule
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rs, err := nl.RuleList(family)
		if err != nil {
			return err
		}
		for _, r := range rs {
			if r.Priority >= 500 && r.Priority < 530 {
				r.Family = family
				own = append(own, r)
			}
		}
	}
	if len(own) == 0 {
		return errors.New("there is no routing lock to remove")
	}
	if err := d.l.FlushNft(); err != nil {
		return err
	}
	d.faulted = time.Now()
	for _, r := range own {
		if err := nl.RuleDel(&r); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("deleting rule %d: %w", r.Priority, err)
		}
	}
	return nil
}

// lastLeak is when the last frame of this row leaked, from the fault.
func (d *demo) lastLeak() (last time.Duration) {
	for _, f := range d.l.WAN.Leaks(d.wire) {
		last = max(last, f.Time.Sub(d.faulted))
	}
	return last
}

// verify waits until the kernel holds the plan, as "lanseal verify" sees it.
func (d *demo) verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flowWithin)
	defer cancel()
	return poll(ctx, 20*time.Millisecond, func() error {
		out, errs, exit, err := d.a.Run(ctx, "verify")
		if err == nil && exit != 0 {
			err = errors.New(out + errs)
		}
		return err
	})
}
