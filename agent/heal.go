package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/agent/tunnel"
	"github.com/lanseal/lanseal/rules"
)

// failed closes what the plan was to close, by the seal if need be, and tries
// again, less and less often, without end.
func (a *agent) failed(ctx context.Context, err error) {
	a.retry = min(max(2*a.retry, firstRetry), longestRetry)
	if a.sealError != err.Error() {
		a.sealError = err.Error()
		a.note("error", "", "applying the plan failed: "+err.Error())
	}
	var closing kernel.ClosingError
	if a.st.Policy.Enabled && a.st.Policy.KillSwitch && (errors.As(err, &closing) || a.k.Last() == nil) {
		a.seal(ctx)
	}
	a.lockState.Firewall = a.k.Last() != nil && a.st.Policy.KillSwitch
	a.dirty, a.checkFirewall = true, true
	a.schedule(a.retry)
}

// seal brings the plan in force in which no device of the LAN has a way; where
// even that fails, the boot seal.
func (a *agent) seal(ctx context.Context) {
	s, err := a.k.Observe()
	if err == nil {
		s.Have.Firewall = nil // unknown: load it
		err = a.k.Apply(ctx, s, rules.Steps(s.Have, rules.Compile(rules.SealedPolicy(a.st.Policy), s.Facts)))
	}
	var closing kernel.ClosingError
	if err != nil && (errors.As(err, &closing) || a.k.Last() == nil) {
		err = a.k.Seal(ctx, rules.Sealed(a.st.Policy))
	}
	if err != nil {
		a.log.Error("laying the seal failed", "error", err)
	}
}

// sealStrictly holds a machine whose LAN is not known, until it is.
func (a *agent) sealStrictly(ctx context.Context) {
	if a.lockState.Firewall && !a.checkFirewall {
		return
	}
	a.checkFirewall = false
	if err := a.k.SealStrictly(ctx); err != nil {
		a.lockState = locks{}
		a.note("error", "", "laying the strict seal failed: "+err.Error())
		a.dirty, a.checkFirewall = true, true
		a.schedule(longestRetry)
		return
	}
	a.lockState = locks{Firewall: true}
}

// closeFirst puts back what the routing lock holds with before the firewall is
// looked at: that takes a program or two, and both locks may be gone.
func (a *agent) closeFirst(ctx context.Context, s *kernel.State, want rules.Plan) ([]rules.Step, error) {
	if !a.checkFirewall {
		return nil, nil
	}
	have := s.Have
	have.Firewall = want.Firewall
	closing := slices.DeleteFunc(rules.Steps(have, want), func(step rules.Step) bool {
		return !(step.Kind == rules.StepAddRule && step.Rule.Unreachable || step.Kind == rules.StepSetRoute && step.Route.Unreachable)
	})
	if len(closing) == 0 {
		return nil, nil
	}
	if err := a.k.Apply(ctx, *s, closing); err != nil {
		return nil, err
	}
	after, err := a.k.Observe()
	*s = after
	return closing, err
}

// mended counts and tells what somebody else had changed.
func (a *agent) mended(steps []rules.Step, diffs, culprits []string) {
	a.healed++
	a.repairs = append(a.repairs, time.Now())
	text := "healed: " + steps[0].String()
	if len(diffs) > 0 {
		text = "healed: " + diffs[0]
	}
	if n := max(len(steps), len(diffs)); n > 1 {
		text += fmt.Sprintf(" and %d more", n-1)
	}
	if len(culprits) > 0 {
		text += "; somebody " + culprits[0]
	}
	// A storm is told by its number now and then: it must not fill the history.
	if n := len(a.repairs); n > stormNotes {
		if time.Since(a.stormTold) < stormWindow {
			return
		}
		a.stormTold = time.Now()
		text = fmt.Sprintf("%d repairs in %s, and going on; the last: %s", n, stormWindow, text)
	}
	a.note("healed", "", text)
}

// storm spaces repairs out once there are too many, and never stops them.
func (a *agent) storm() time.Duration {
	now := time.Now()
	a.repairs = slices.DeleteFunc(a.repairs, func(t time.Time) bool { return now.Sub(t) > stormWindow })
	if len(a.repairs) < stormLimit {
		return 0
	}
	if wait := a.repairs[len(a.repairs)-1].Add(stormPause).Sub(now); wait > 0 {
		return wait
	}
	return 0
}

// collectBlocked saves the counters that replacing the firewall would reset.
func (a *agent) collectBlocked(ctx context.Context, steps []rules.Step) {
	if !slices.ContainsFunc(steps, func(s rules.Step) bool { return s.Kind == rules.StepFirewall }) || a.k.Last() == nil {
		return
	}
	if b, err := a.k.Blocked(ctx); err == nil {
		a.blocked = addBlocked(a.blocked, b)
		a.passed(b)
	}
}

func addBlocked(a, b kernel.Blocked) kernel.Blocked {
	sum := kernel.Blocked{Packets: a.Packets + b.Packets, Bytes: a.Bytes + b.Bytes}
	sum.ByMAC, sum.Sent, sum.Received = added(a.ByMAC, b.ByMAC), added(a.Sent, b.Sent), added(a.Received, b.Received)
	return sum
}

// mostCounted bounds what is remembered of devices that come and go under new
// addresses.
const mostCounted = 8192

func added(a, b map[string]uint64) map[string]uint64 {
	sum := map[string]uint64{}
	for _, m := range []map[string]uint64{b, a} { // what counts now comes first
		for who, n := range m {
			if _, known := sum[who]; known || len(sum) < mostCounted {
				sum[who] += n
			}
		}
	}
	return sum
}

// bury removes the devices of exits that are no longer wanted, after the plan
// that let go of them is in force.
func (a *agent) bury() {
	for _, t := range a.orphan {
		t.end()
		if err := t.driver.Down(); err != nil {
			a.note("error", t.exit.Name, "removing "+t.exit.Device+": "+err.Error())
		}
	}
	a.orphan = nil
	if a.cfg != nil && !a.swept {
		a.swept = true
		a.sweep()
	}
}

// sweep removes, once, what agents before this one made for tunnels that are
// not wanted any more.
func (a *agent) sweep() {
	var wanted []string
	for _, t := range a.exits {
		wanted = append(wanted, t.exit.Device)
	}
	orphans, err := tunnel.Orphans(wanted)
	for _, d := range orphans {
		if e := d.Down(); e != nil {
			err = e
			continue
		}
		a.note("config", "", fmt.Sprintf("removed %v, which no tunnel in the configuration uses", d))
	}
	if err != nil {
		a.note("error", "", "removing devices that nobody uses: "+err.Error())
	}
}

// underNet says whether a device is one of the third net's: before 6.16 the
// kernel lets go of a device that vanishes, without an event of the firewall.
func (a *agent) underNet(device string) bool {
	return a.want.Firewall != nil && slices.Contains(a.want.Firewall.Net, device)
}
