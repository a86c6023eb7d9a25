package threats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// Bounds of a run's phases; all of them end with an event, these only bound
// the wait for it.
const (
	startWithin   = 30 * time.Second // on a busy machine; TestBootTime has the promise
	flowWithin    = 20 * time.Second
	recoverWithin = 40 * time.Second // a userspace WireGuard asks again after 5 s, and 15 s later gives up a session
	drainWithin   = 5 * time.Second
)

// Run plays one scenario in a fresh lab, which must be ready.
func Run(ctx context.Context, l *lab.Lab, s Scenario, m Mode) Result {
	e := &Env{Lab: l, Mode: m}
	r := Result{Gaps: map[lab.Kind]time.Duration{}}
	r.Err = e.play(ctx, s, &r)
	e.dump(r.Err)
	for _, t := range e.traffic() {
		t.Stop()
	}
	e.count(ctx, s, &r)
	return r
}

// dump asks an agent that kept somebody waiting what it is doing: the stacks
// of its goroutines are in its log then. It is the agent's end.
func (e *Env) dump(err error) {
	if !errors.Is(err, context.DeadlineExceeded) || e.Agent == nil || e.Agent.Process() == nil || e.Frozen {
		return
	}
	if p := e.Agent.Process(); p.Signal(syscall.SIGQUIT) == nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainWithin)
		defer cancel()
		_ = p.Wait(ctx)
	}
}

// play goes through the phases.
func (e *Env) play(ctx context.Context, s Scenario, r *Result) error {
	if err := e.start(ctx, s); err != nil {
		return err
	}
	if e.TV == nil {
		kinds := s.Kinds
		if kinds == nil {
			kinds = lab.AllKinds()
		}
		e.TV = e.Lab.Traffic(e.Lab.TV, kinds...)
	}
	if err := e.flow(ctx, s, flowWithin); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	if e.Since == nil { // Boot may have begun to count earlier
		e.mark()
	}
	if err := e.send(ctx, 1); err != nil {
		return err
	}
	if n, lines, err := e.leaks(ctx); err != nil || n > 0 {
		return errors.Join(err, fmt.Errorf("%d frames leaked before the fault: %s", n, lines))
	}
	if err := e.Lab.WarmNeighbours(); err != nil {
		return err
	}
	if e.Mode.Mutated {
		if err := e.mutate(ctx, s); err != nil {
			return fmt.Errorf("mutating: %w", err)
		}
	}
	e.Faulted = time.Now()
	if s.Fault != nil {
		if err := s.Fault(ctx, e); err != nil {
			return fmt.Errorf("laying the fault: %w", err)
		}
	}
	if err := e.send(ctx, 2); err != nil {
		return err
	}
	if e.Mode.Mutated {
		if s.LeaksAfter {
			if err := errors.Join(s.Undo(ctx, e), e.send(ctx, 2)); err != nil {
				return err
			}
		}
		if noticed, err := e.betrayed(ctx, s); noticed || err != nil {
			return err // there is nothing more to ask of a frozen agent
		}
	}
	if s.During != nil {
		if err := s.During(ctx, e); err != nil {
			return broken(fmt.Errorf("while the fault lasts: %w", err))
		}
	}
	return e.recover(ctx, s, r)
}

// mutate takes the protection away. Where a naive way is in its place, nothing
// leaks until the fault, and leaks are counted anew from here. Elsewhere they
// count from before: a fault may well close what the mutation opened, as a
// second boot seal does.
func (e *Env) mutate(ctx context.Context, s Scenario) error {
	if err := errors.Join(s.Mutate(ctx, e), e.send(ctx, 1)); err != nil || !e.Naive {
		return err
	}
	e.mark()
	if err := e.send(ctx, 1); err != nil {
		return err
	}
	if n, lines, err := e.leaks(ctx); err != nil || n > 0 {
		return errors.Join(err, fmt.Errorf("the naive way leaked %d frames before the fault: %s", n, lines))
	}
	return nil
}

// betrayed looks for the leak that a mutation must make. Where nothing else can
// show it, it is given some time: somebody may have to be asked for a neighbour.
func (e *Env) betrayed(ctx context.Context, s Scenario) (bool, error) {
	const rounds = 40
	for i := 0; ; i++ {
		n, _, err := e.leaks(ctx)
		if err != nil || n > s.Bound || i == rounds || s.During != nil || s.Check != nil {
			return n > s.Bound, err
		}
		if err := e.send(ctx, 1); err != nil {
			return false, err
		}
	}
}

// recover takes the fault back and waits for the service.
func (e *Env) recover(ctx context.Context, s Scenario, r *Result) error {
	from := e.Faulted
	if s.Undo != nil && !e.Mode.Mutated {
		from = time.Now()
		if err := s.Undo(ctx, e); err != nil {
			return fmt.Errorf("taking the fault back: %w", err)
		}
	}
	if err := e.flow(ctx, s, recoverWithin); err != nil {
		return fmt.Errorf("after the fault: %w", err)
	}
	r.RecoverTime = time.Since(from)
	if err := e.send(ctx, 1); err != nil {
		return err
	}
	if s.Check != nil && (e.Mode.flows() || e.Mode.Mutated) {
		if err := s.Check(ctx, e); err != nil {
			return broken(fmt.Errorf("check: %w", err))
		}
	}
	return nil
}

// start brings lanseal up in the mode's way.
func (e *Env) start(ctx context.Context, s Scenario) error {
	c := One(e.Lab)
	if s.Agent != nil {
		c = s.Agent(e.Lab)
	}
	if err := e.Mode.prepare(e.Lab, &c); err != nil {
		return err
	}
	c.NoStart = true
	if c.Tunnels == nil { // as the lab has it: a scenario may write it again
		c.Tunnels = map[string]string{"se": e.Lab.VPN1.ClientFile(lab.ClientOptions{}), "no": e.Lab.VPN2.ClientFile(lab.ClientOptions{})}
		c.Via = []string{"se", "no"}
	}
	e.Config = c
	var err error
	if e.Agent, err = e.Lab.StartAgent(c); err != nil {
		return err
	}
	if s.Before != nil {
		if err := s.Before(ctx, e); err != nil {
			return fmt.Errorf("preparing: %w", err)
		}
	}
	if s.Boot != nil {
		return s.Boot(ctx, e)
	}
	if err := e.Agent.Start(); err != nil {
		return err
	}
	if err := e.protected(ctx); err != nil {
		return err
	}
	return e.acquainted(ctx)
}

// acquainted waits until several exits have all answered: before that nobody
// can tell which of them a silence is of.
func (e *Env) acquainted(ctx context.Context) error {
	if len(e.Config.Tunnels) < 2 {
		return nil
	}
	return eventually(ctx, "all exits to answer", func() error {
		s, err := e.Agent.Status(ctx)
		for _, x := range s.Exits {
			if err == nil && (x.State != "up" || x.RTT == 0) {
				err = fmt.Errorf("exit %s is %s, and answered within %v ms", x.Name, x.State, x.RTT)
			}
		}
		return err
	})
}

// protected waits for the state of that name.
func (e *Env) protected(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	return e.Agent.WaitState(ctx, "protected")
}

// prepare makes the lab and the configuration fit the mode.
func (m Mode) prepare(l *lab.Lab, c *lab.AgentConfig) error {
	if m.Without != "" {
		l.Opts.Lanseal = filepath.Join(filepath.Dir(l.Opts.Lanseal), "lanseal-labtest")
		c.Env = append(c.Env, "LANSEAL_LAB_WITHOUT="+m.Without)
	}
	if m.Firewall == "" || m.Firewall == NFT {
		return nil
	}
	c.Main = append(slices.Clone(c.Main), "option firewall 'iptables'")
	dir := filepath.Join(l.Dir, "tools")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	multi := "/usr/sbin/xtables-nft-multi"
	if m.Firewall == IptablesLegacy {
		multi = "/usr/sbin/xtables-legacy-multi"
	}
	for _, tool := range []string{"iptables", "ip6tables"} {
		for _, part := range []string{"", "-save", "-restore"} {
			if err := os.Symlink(multi, filepath.Join(dir, tool+part)); err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
		}
	}
	c.Env = append(c.Env, "PATH="+dir+":"+os.Getenv("PATH"))
	return nil
}

// flow waits until everything that should be answered is.
func (e *Env) flow(ctx context.Context, s Scenario, within time.Duration) error {
	if !e.Mode.flows() && (e.Mode.Without == "firewall" || !e.Faulted.IsZero()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, t := range e.traffic() {
		var alive []lab.Kind
		for _, st := range t.Stats() {
			if st.Kind != lab.DoT && !slices.Contains(s.Dead, st.Kind) {
				alive = append(alive, st.Kind)
			}
		}
		if len(alive) == 0 {
			continue
		}
		if err := t.WaitFlow(ctx, alive...); err != nil {
			return fmt.Errorf("%w\n%s", err, t)
		}
	}
	return nil
}

// send lets traffic go on until every kind has sent n more probes.
func (e *Env) send(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, flowWithin)
	defer cancel()
	for _, t := range e.traffic() {
		if err := t.WaitSent(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// mark is the moment from which on nothing may leak.
func (e *Env) mark() {
	for _, t := range e.traffic() {
		t.Mark()
	}
	e.Since, e.Began = e.Lab.MarkAll(), time.Now()
}

// leaks counts what leaked on all wires since the mark.
func (e *Env) leaks(ctx context.Context) (n int, lines string, err error) {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	var b strings.Builder
	for w, since := range e.Since {
		err = errors.Join(err, w.Drain(ctx), w.Check())
		n += w.Count(lab.Leak, since)
		for i, f := range w.Leaks(since) {
			if i == 8 {
				break
			}
			fmt.Fprintf(&b, "\n  %s %s", w.Name, f)
		}
	}
	return n, b.String(), err
}

// count fills in the result and judges it.
func (e *Env) count(ctx context.Context, s Scenario, r *Result) {
	if e.Since == nil {
		return
	}
	n, lines, err := e.leaks(ctx)
	r.Leaked = n
	r.Err = errors.Join(r.Err, err)
	for w, since := range e.Since {
		for _, f := range w.Leaks(since) {
			r.SealTime = max(r.SealTime, f.Time.Sub(e.Faulted))
		}
	}
	for _, t := range e.traffic() {
		for _, st := range t.Stats() {
			r.Sent += st.Sent
			r.Gaps[st.Kind] = max(r.Gaps[st.Kind], st.LongestGap)
		}
		b, who := t.Betrayed()
		r.Betrayed += b
		if b > 0 && !e.Mode.Mutated && s.Bound == 0 {
			r.Err = errors.Join(r.Err, fmt.Errorf("servers saw the ISP's customer %d times: %v", b, who))
		}
	}
	if n > s.Bound && !e.Mode.Mutated {
		r.Err = errors.Join(r.Err, fmt.Errorf("%d frames leaked, at most %d may: %s", n, s.Bound, lines))
	}
	if s.Within > 0 && r.SealTime > s.Within {
		r.Err = errors.Join(r.Err, broken(fmt.Errorf("the last frame leaked %v after the fault, the limit is %v", r.SealTime, s.Within)))
	}
}
