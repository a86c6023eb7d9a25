package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// snapshot is what lanseal changes on a router, as text.
type snapshot map[string]string

// look reads the router.
func (d *demo) look(ctx context.Context) (snapshot, error) {
	s := snapshot{}
	var all error
	for name, script := range map[string]string{
		"nft ruleset": "nft list ruleset",
		"ip rules":    "ip -4 rule; ip -6 rule",
		"main routes": "ip -4 route show table main; ip -6 route show table main | grep -v ^fe80",
		"devices":     "ls /sys/class/net",
		"sysctls":     "for k in conf/all conf/default conf/br-lan; do grep . /proc/sys/net/ipv4/$k/* /proc/sys/net/ipv6/$k/* 2>/dev/null; done; true",
	} {
		out, err := d.sh(ctx, script)
		all = errors.Join(all, err)
		if name == "main routes" {
			lines := strings.Split(out, "\n")
			sort.Strings(lines) // a new cable puts them in another order
			out = strings.Join(lines, "\n")
		}
		s[name] = out
	}
	return s, all
}

// differs names what is not as it was, with the first line that differs.
func (s snapshot) differs(now snapshot) (what []string) {
	for name, was := range s {
		if now[name] == was {
			continue
		}
		a, b := strings.Split(was, "\n"), strings.Split(now[name], "\n")
		i := 0
		for i < len(a) && i < len(b) && a[i] == b[i] {
			i++
		}
		at := func(l []string) string {
			if i < len(l) {
				return strings.TrimSpace(l[i])
			}
			return "nothing"
		}
		what = append(what, fmt.Sprintf("%s: was %q, is %q", name, at(a), at(b)))
	}
	slices.Sort(what)
	return what
}

// unseal takes lanseal off the router and looks at what is left.
func (d *demo) unseal(ctx context.Context) error {
	d.s.head(4, "Switched off")
	d.finish(ctx)
	if _, err := d.command(ctx, "unseal --yes", "unseal", "--yes"); err != nil {
		return err
	}
	if err := d.a.Term(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	var left []string
	err := poll(ctx, 50*time.Millisecond, func() error {
		now, err := d.look(ctx)
		if left = d.before.differs(now); err == nil && len(left) > 0 {
			err = errors.New("the router is not as it was")
		}
		return err
	})
	if len(left) > 0 {
		d.s.fact(red, "the router", "is not as it was")
		for _, l := range left {
			d.s.printf("      %s", clip(l, 104))
		}
	}
	if err != nil {
		return err
	}
	d.s.fact(green, "the router", "as it was, byte for byte: nft ruleset, ip rules, routes, sysctls")
	seen, err := d.l.TV.WhoAmI(lab.Echo4)
	if err == nil && !lab.ISPOwned(seen) {
		err = fmt.Errorf("the server sees %s after unsealing", seen)
	}
	if err == nil {
		d.s.fact(plain, "servers see", "%s again", seen)
	}
	return err
}

// finish ends the counting: what comes after is open on purpose.
func (d *demo) finish(ctx context.Context) {
	for _, t := range d.clients {
		t.Stop()
	}
	d.clients = nil
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	if err := errors.Join(d.l.WAN.Drain(ctx), d.l.WAN.Check()); err != nil {
		d.faults = append(d.faults, err.Error())
	}
	between := d.l.WAN.Count(lab.Leak, d.sealed) - d.first.leaked
	for _, r := range d.results {
		between -= r.leaked
	}
	if between > 0 {
		d.faults = append(d.faults, fmt.Sprintf("%d frames leaked between the rows", between))
	}
	d.first.user = fmt.Sprint(d.l.WAN.CountRule(bootstrapRule, d.sealed))
}

// verdict sums up, and returns the exit status.
func (d *demo) verdict() int {
	if len(d.results) == 0 { // it never came so far
		for _, f := range d.faults {
			d.s.line(d.s.paint(red, d.s.text(f)))
		}
		d.s.line(d.s.paint(red, "FAILED: nothing could be shown"))
		return failed
	}
	if d.clients != nil {
		d.finish(context.Background())
	}
	all := append([]result{d.first}, d.results...)
	var sent, answered, leaked, seen, asked, bounded, bad, skipped int
	var sealed time.Duration
	for _, r := range all {
		sent, answered = sent+r.sent, answered+r.answered
		switch {
		case r.bounded:
			bounded, sealed = bounded+r.leaked, max(sealed, r.seal)
		default:
			leaked, seen, asked = leaked+r.leaked, seen+r.betrayed, asked+r.asked
		}
		if r.skipped != "" {
			skipped++
		} else if !r.good() {
			bad++
		}
	}
	rows := len(d.results) - 1 - skipped // the first is browsing
	d.s.head(5, "Summary")
	st := green
	if bad+len(d.faults) > 0 {
		st = red
	}
	d.s.fact(plain, "sent", "%s packets by two clients, %s answered; %s", number(sent), number(answered), plural(rows, "fault or attack"))
	d.s.fact(zero(leaked), "leaked", "%d on the ISP's wire, %d seen by servers, %d asked of the ISP's resolver", leaked, seen, asked)
	if bounded > 0 {
		d.s.fact(yellow, "with both locks removed", "%d packets within %s, then healed (bound: %d in %s)", bounded, took(sealed), bothBound, took(healWithin))
	}
	if d.first.user != "" {
		d.s.fact(plain, "in the clear on purpose", "%s questions for the VPN server's name", d.first.user)
	}
	if d.tunnelled > 0 {
		d.s.fact(plain, "the ISP's resolver", "was asked %d times by a VPN server: the redirect was gone, the tunnel was not", d.tunnelled)
	}
	if err := d.l.WAN.Check(); err == nil {
		d.s.fact(green, "the capture", "lost no frame")
	} else {
		d.s.fact(red, "the capture", "%v", err)
	}
	if m := d.medians(); m != "" {
		d.s.fact(plain, "back after (median)", "%s", m)
	}
	for _, f := range d.faults {
		for i, l := range strings.Split(f, "\n") {
			d.s.fact(red, map[bool]string{true: "failed"}[i == 0], "%s", l)
		}
	}
	if st == red {
		d.evidence()
	}
	d.s.line("")
	if st == red {
		d.s.line(d.s.paint(red, d.s.text(fmt.Sprintf("FAILED: %s, %s, after %s", plural(bad, "row"), plural(len(d.faults), "other finding"), took(time.Since(d.began))))))
		return failed
	}
	but := ""
	if bounded > 0 {
		but = fmt.Sprintf(" but %d packets with both locks removed", bounded)
	}
	d.s.line(d.s.paint("1;32", d.s.text(fmt.Sprintf("HELD: nothing leaked%s, everything came back; %s in all", but, took(time.Since(d.began))))))
	return held
}

func plural(n int, what string) string {
	if n != 1 {
		what = strings.ReplaceAll(what, " or attack", "s and attack") + "s"
	}
	return fmt.Sprint(n, " ", what)
}

func zero(n int) style {
	if n == 0 {
		return green
	}
	return red
}

// medians are the times that people ask for.
func (d *demo) medians() string {
	var parts []string
	for _, k := range []string{keyDeleted, keyRules, keyFirewall, keyBoth} {
		if b := slices.Sorted(slices.Values(d.backs[k])); len(b) > 0 {
			t := noGap
			if m := b[len(b)/2]; m > 0 {
				t = took(m)
			}
			parts = append(parts, k+" "+t)
		}
	}
	return strings.Join(parts, " · ")
}

// evidence saves what the end of the lab would take away, and says what may
// have made times long.
func (d *demo) evidence() {
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ := strings.Cut(string(b), " ")
		d.s.fact(plain, "this machine", "load %s on %s", load, plural(runtime.NumCPU(), "processor"))
	}
	path, err := d.l.WAN.WritePcap("demo")
	if err == nil {
		d.s.fact(plain, "the last packets", "%s", path)
	}
	if d.a == nil {
		return
	}
	f, err := os.CreateTemp("", "lanseal-demo-*.log")
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := f.WriteString(d.a.Log() + "\n"); err == nil {
		d.s.fact(plain, "lanseal's log", "%s", f.Name())
	}
}
