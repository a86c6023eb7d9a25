package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// row is one fault or attack of the walk.
type row struct {
	id    string // the line of the leak catalogue
	key   string // by which --only picks it
	fault string
	user  string // what the user sees, unless the row finds out better

	two   bool          // needs the second exit
	times int           // repeated so often; the table shows the median
	hold  time.Duration // how long it is left alone, beyond the usual
	dead  []lab.Kind    // what is refused meanwhile, and rightly
	bound int           // frames that may leak, for both locks removed alone

	lay    func(context.Context, *demo) error
	during func(context.Context, *demo) error // what must be true meanwhile
	repair func(context.Context, *demo) error // of a fault that cuts the line
	after  func(context.Context, *demo) error // what must be true at the end, and tidying up
}

const (
	usualHold     = 450 * time.Millisecond
	rowLimit      = 60 * time.Second
	recoverWithin = 40 * time.Second // a userspace WireGuard asks again only after 5 s, then 15 s
	flowWithin    = 20 * time.Second
	drainWithin   = 5 * time.Second
	healWithin    = 250 * time.Millisecond // both locks
	lessAfter     = 100 * time.Second      // a slow machine sees each thing once
	maxFailures   = 4                      // then the rest tells nothing new
)

// What the user sees of a short outage, unless there was none.
const (
	pauses = "a pause"
	blinks = "a blink"
)

// errSkip is why a row cannot be shown here.
type errSkip string

func (e errSkip) Error() string { return string(e) }

// walk plays the rows one after another.
func (d *demo) walk(ctx context.Context, rows []row) error {
	d.s.head(3, "Dropouts and attacks, while the TV and the laptop go on sending")
	d.s.tableHead()
	failed := 0
	for _, r := range rows {
		if r.two && !d.second {
			if err := d.addSecond(ctx); err != nil {
				return err
			}
		}
		res := d.playRow(ctx, r)
		if err := errors.Join(ctx.Err(), d.s.broken()); err != nil {
			return err
		}
		d.results = append(d.results, res)
		d.s.finished(res)
		if !res.good() && res.skipped == "" {
			failed++
		}
		if failed >= maxFailures {
			return fmt.Errorf("stopped after %d rows that failed", failed)
		}
		if err := d.mend(ctx); err != nil {
			return err
		}
	}
	d.s.printf("   * counted from the repair: the fault itself cuts the line · sealed: from the fault to the last leaked packet")
	return nil
}

// playRow is one row: lay, wait, recover, count.
func (d *demo) playRow(ctx context.Context, r row) (res result) {
	ctx, cancel := context.WithTimeout(ctx, rowLimit)
	defer cancel()
	res = result{id: r.id, fault: r.fault, user: r.user, repaired: r.repair != nil}
	d.user = ""
	d.mark()
	hush := d.follow(res)
	times := max(1, r.times)
	if time.Since(d.began) > lessAfter {
		times = 1
	}
	var backs []time.Duration
	for range times {
		back, gap, err := d.once(ctx, r)
		if err != nil {
			res.err = err
			break
		}
		backs, res.gap = append(backs, back), res.gap || gap
	}
	hush()
	if len(backs) > 0 {
		slices.Sort(backs)
		res.back = backs[len(backs)-1] // the slowest
		d.backs[r.key] = append(d.backs[r.key], backs...)
	}
	if skip := errSkip(""); errors.As(res.err, &skip) {
		res.skipped, res.err = string(skip), nil
		return res
	}
	if d.user != "" {
		res.user = d.user
	} else if !res.gap && r.repair == nil && (r.user == pauses || r.user == blinks) {
		res.user = "nothing"
	}
	if times > 1 && len(backs) > 1 {
		res.fault += fmt.Sprintf(" ×%d", len(backs))
	}
	d.count(&res, r)
	return res
}

// once lays the fault a first or a further time.
func (d *demo) once(ctx context.Context, r row) (back time.Duration, gap bool, err error) {
	if err := d.l.WarmNeighbours(); err != nil {
		return 0, false, err
	}
	d.watch.reset()
	d.faulted = time.Now()
	undo := true
	defer func() {
		if err != nil && undo && ctx.Err() == nil { // for the rows that follow
			for _, f := range []func(context.Context, *demo) error{r.repair, r.after} {
				if f != nil {
					_ = f(ctx, d)
				}
			}
		}
	}()
	if err := r.lay(ctx, d); err != nil {
		return 0, false, fmt.Errorf("laying the fault: %w", err)
	}
	if err := pause(ctx, usualHold+r.hold); err != nil {
		return 0, false, err
	}
	if r.during != nil {
		if err := r.during(ctx, d); err != nil {
			return 0, false, fmt.Errorf("meanwhile: %w", err)
		}
	}
	undo = false
	from := d.faulted
	if r.repair != nil {
		from = time.Now()
		if err := r.repair(ctx, d); err != nil {
			return 0, false, fmt.Errorf("repairing: %w", err)
		}
	}
	if err := d.flow(ctx, recoverWithin, r.dead...); err != nil {
		return 0, false, fmt.Errorf("not back after %v: %w", time.Since(from).Round(time.Second), err)
	}
	gap, end := d.watch.outage(ctx, r.dead)
	if gap {
		back = max(0, end.Sub(from))
	}
	if r.after == nil {
		return back, gap, nil
	}
	if err := r.after(ctx, d); err != nil {
		return back, gap, fmt.Errorf("afterwards: %w", err)
	}
	return back, gap, d.flow(ctx, recoverWithin)
}

// flow waits until a new probe of every kind has been answered.
func (d *demo) flow(ctx context.Context, within time.Duration, dead ...lab.Kind) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, t := range d.clients {
		var kinds []lab.Kind
		for _, st := range t.Stats() {
			if st.Kind != lab.DoT && !slices.Contains(dead, st.Kind) {
				kinds = append(kinds, st.Kind)
			}
		}
		if err := t.WaitFlow(ctx, kinds...); err != nil {
			return err
		}
	}
	return nil
}

// mark begins a period of counting.
func (d *demo) mark() {
	d.wire = d.l.WAN.MarkTime()
	for _, t := range d.clients {
		t.Mark()
	}
	d.marked = time.Now()
}

// count ends the period and judges it.
func (d *demo) count(res *result, r row) {
	ctx, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	res.err = errors.Join(res.err, d.l.WAN.Drain(ctx), d.l.WAN.Check())
	res.leaked = d.l.WAN.Count(lab.Leak, d.wire)
	for _, f := range d.l.WAN.Leaks(d.wire) {
		res.seal = max(res.seal, f.Time.Sub(d.faulted))
		if len(res.details) < 6 {
			res.details = append(res.details, "leaked: "+f.String())
		}
	}
	for _, t := range d.clients {
		for _, st := range t.Stats() {
			res.sent += st.Sent
			res.answered += st.Answered + st.Late
		}
		n, lines := t.Betrayed()
		res.betrayed += n
		res.details = append(res.details, lines...)
	}
	var tunnelled int
	res.asked, tunnelled = d.asked()
	d.tunnelled += tunnelled
	if res.asked > 0 {
		res.details = append(res.details, fmt.Sprintf("the ISP's resolver was asked %d times", res.asked))
	}
	if r.bound > 0 && res.err == nil {
		res.bounded = res.leaked <= r.bound && res.seal <= healWithin
		if !res.bounded {
			res.details = append(res.details, fmt.Sprintf("at most %d frames within %v may leak here", r.bound, healWithin))
		}
	}
	if res.err != nil {
		res.details = append([]string{res.err.Error()}, res.details...)
	}
}

// asked counts the questions that reached the ISP's resolvers: those of the
// ISP's customer, and those of a VPN server, which tell nobody who asks.
func (d *demo) asked() (customer, tunnelled int) {
	for _, q := range d.l.ISPDNS().Questions(d.marked) {
		if from := q.From.Addr().Unmap(); d.l.VPN1.Public(from) || d.l.VPN2.Public(from) {
			tunnelled++
		} else {
			customer++
		}
	}
	return customer, tunnelled
}

// follow shows the row while it runs.
func (d *demo) follow(res result) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			res.sent, res.leaked = 0, d.l.WAN.Count(lab.Leak, d.wire)
			for _, t := range d.clients {
				for _, st := range t.Stats() {
					res.sent += st.Sent
				}
			}
			d.s.draw(d.s.running(res, time.Since(d.marked)))
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(end); <-ended }
}

// mend makes sure that one row's failure is not the next one's.
func (d *demo) mend(ctx context.Context) error {
	if !d.a.Process().Running() {
		if err := d.a.Start(); err != nil {
			return err
		}
	}
	if err := d.flow(ctx, flowWithin); err != nil {
		return fmt.Errorf("the row before has left something broken: %w", err)
	}
	return nil
}

// say is what the user sees, when a row has found out.
func (d *demo) say(format string, args ...any) { d.user = fmt.Sprintf(format, args...) }

// state waits for the agent's word.
func (d *demo) state(ctx context.Context, want ...string) error {
	ctx, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	return d.a.WaitState(ctx, want...)
}

// sh runs a script on the router.
func (d *demo) sh(ctx context.Context, script string) (string, error) {
	out, err := d.l.Router.Command(ctx, "sh", "-c", "PATH=$PATH:/usr/sbin:/sbin\n"+script).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
