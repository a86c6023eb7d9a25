package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/rules"
	"github.com/lanseal/lanseal/webui"
)

// The documents of "status --json" are the web UI's.
type (
	statusDoc = webui.Status
	exitDoc   = webui.Exit
)

// status is called on the loop. A plan that is due is applied first, so that
// what is said is true of the kernel.
func (a *agent) status(ctx context.Context) statusDoc {
	if a.dirty {
		a.turn(ctx)
	}
	a.count(ctx, 0)
	return a.describe()
}

// count reads the firewall's counters, unless that was done lately: it costs a
// program.
func (a *agent) count(ctx context.Context, longAgo time.Duration) (read bool) {
	if time.Since(a.countedAt) < longAgo {
		return false
	}
	a.countedAt, a.counted = time.Now(), a.blocked
	if a.k.Last() == nil {
		return false
	}
	now, err := a.k.Blocked(ctx)
	if err != nil {
		return false
	}
	a.counted = addBlocked(a.blocked, now)
	a.passed(now)
	return true
}

// describe says what is known, without looking.
func (a *agent) describe() statusDoc {
	d := statusDoc{
		State: string(a.st.Whole), Since: sinceNow(a.st.Since, time.Now()), Reason: a.st.Reason,
		KillSwitch: a.st.Policy.KillSwitch, Firewall: a.k.FirewallName(), Locks: a.lockState,
		Exits: []exitDoc{}, Blocked: webui.Counter{Packets: a.counted.Packets, Bytes: a.counted.Bytes}, Healed: a.healed,
		Config:  webui.Validity{Valid: a.st.ConfigError == "", Errors: nonEmptyLines(a.st.ConfigError)},
		OpenWrt: a.describeGuest(), Error: a.sealError, TimeKnown: a.timeKnown,
		Started: sinceNow(a.began, time.Now()), Version: version,
	}
	use := a.vantage()
	for i, x := range a.st.Exits {
		e := describeExit(a.st.Shown(x), a.st.Policy.Exits[i], a.want.Firewall)
		e.UpDay, e.UpMonth = a.store.Availability(x.Name)
		if e.Name == use.exit {
			e.InUse, e.SeenAs = true, a.web.outlook.from(use)
		}
		d.Exits = append(d.Exits, e)
	}
	return d
}

// sinceNow is a moment in the time of day as it is now: the clock may have
// been set since.
func sinceNow(then, now time.Time) time.Time { return now.Add(-now.Sub(then)).UTC() }

func describeExit(x state.Exit, e rules.Exit, fw *rules.Firewall) exitDoc {
	d := exitDoc{
		Name: x.Name, State: string(x.Phase), Reason: x.Reason, Type: x.Type, Device: x.Device,
		Endpoint: x.Status.Endpoint, RTT: float64(x.RTT.Microseconds()) / 1000,
		Loss: x.Loss, Fresh: x.Fresh,
		Rx: x.Traffic.Rx, Tx: x.Traffic.Tx, IPv6: e.Carries(6), Resolvers: []string{},
	}
	if x.Phase != state.Disabled {
		t := sinceNow(x.Since, time.Now())
		d.Since = &t
	}
	if !x.Status.Handshake.IsZero() {
		t := sinceNow(x.Status.Handshake, time.Now())
		d.Handshake = &t
	}
	if fw != nil {
		for _, f := range fw.Exits {
			if f.Name != x.Name {
				continue
			}
			d.IPv6 = f.V6
			if f.Resolver4.IsValid() {
				d.Resolvers = append(d.Resolvers, f.Resolver4.String())
			}
			if f.Resolver6.IsValid() {
				d.Resolvers = append(d.Resolvers, f.Resolver6.String())
			}
		}
	}
	return d
}

func nonEmptyLines(s string) []string {
	var out []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

func noFlags(*flag.FlagSet) {}

// statusExit is the exit status that scripts read.
func statusExit(w state.Whole) int {
	switch w {
	case state.Protected, state.Degraded:
		return 0
	case state.Open:
		return 4
	}
	return 3
}

func cmdStatus(ctx context.Context, g globals, args []string) (int, error) {
	var asJSON bool
	if err := none(flags(args, func(fs *flag.FlagSet) { fs.BoolVar(&asJSON, "json", false, "") })); err != nil {
		return 2, err
	}
	var d statusDoc
	if err := call(ctx, g.socket, "GET", "/api/v1/status", nil, &d); err != nil {
		return 1, exitError{1, err}
	}
	if asJSON {
		enc := json.NewEncoder(g.stdout)
		enc.SetIndent("", "  ")
		return statusExit(state.Whole(d.State)), enc.Encode(d)
	}
	printStatus(g.stdout, d, time.Now())
	return statusExit(state.Whole(d.State)), nil
}

func printStatus(w io.Writer, d statusDoc, now time.Time) {
	fmt.Fprintf(w, "%s for %s: %s\n", d.State, now.Sub(d.Since).Round(time.Second), d.Reason)
	if !d.KillSwitch && d.State != string(state.Open) {
		fmt.Fprintln(w, "the kill switch is off: without a working exit, devices fall back to the WAN")
	}
	for _, e := range d.Exits {
		fmt.Fprintf(w, "  exit %-12s %-10s %s", e.Name, e.State, e.Reason)
		if e.Endpoint != "" {
			fmt.Fprintf(w, ", server %s", e.Endpoint)
		}
		fmt.Fprintf(w, ", %s in, %s out\n", bytesText(e.Rx), bytesText(e.Tx))
	}
	yes := map[bool]string{true: "holds", false: "absent"}
	fmt.Fprintf(w, "  routing lock %s, firewall lock (%s) %s; %d packets blocked, %d repairs\n",
		yes[d.Locks.Routing], d.Firewall, yes[d.Locks.Firewall], d.Blocked.Packets, d.Healed)
	for _, e := range d.Config.Errors {
		fmt.Fprintln(w, "  configuration:", e)
	}
	if d.OpenWrt != nil {
		printOpenWrt(w, d.OpenWrt, d.State)
	}
	if d.Error != "" {
		fmt.Fprintln(w, "  error:", d.Error)
	}
}

func bytesText(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, units := float64(n)/unit, "KMGTPE"
	i := 0
	for v >= unit && i < len(units)-1 {
		v, i = v/unit, i+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}
