package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/agent/openwrt"
	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/agent/store"
	"github.com/lanseal/lanseal/rules"
	"github.com/lanseal/lanseal/webui"
)

// Times of the loop.
const (
	quietAfterEvent = 20 * time.Millisecond  // events come in bursts: wait for the end of one,
	longestBurst    = 200 * time.Millisecond // but no longer than this
	fullCheck       = 30 * time.Second       // in case an event was lost
	turnLimit       = 30 * time.Second       // the programs of one turn, on slow machines
	firstRetry      = 200 * time.Millisecond
	longestRetry    = 5 * time.Second
	stormWindow     = 10 * time.Second
	stormLimit      = 20 // repairs in a window before they are spaced out
	stormPause      = 200 * time.Millisecond
	stormNotes      = 5 // repairs in a window that are told one by one
)

// agent is the loop's: every field is touched by its goroutine alone, except
// those that say otherwise.
type agent struct {
	g     globals
	began time.Time
	log   *slog.Logger
	k     *kernel.Kernel
	store *store.Store
	clock clockDoor
	locks lockSwitch // which locks to leave out: a switch of the lab's build
	web   *web

	cfg    *config.Config // in force; nil while there is none
	st     state.State
	exits  map[string]*exitTask
	fresh  []*exitTask // not yet begun
	orphan []*exitTask // no longer wanted: their devices go once the plan has let go of them
	swept  bool        // those that an agent before this one left are gone
	names  *endpointNames

	want      rules.Plan
	planned   bool // want has been applied without an error at least once
	lockState locks
	sealError string
	healed    uint64
	repairs   []time.Time // within stormWindow
	stormTold time.Time
	blocked   kernel.Blocked // of firewalls that were replaced
	counted   kernel.Blocked // with the one in force, at countedAt
	countedAt time.Time
	tallied   tally
	uplink    uplink
	timeKnown bool // the clock is synchronised
	timeTold  bool // an NTP client said so
	deaf      bool // the devices' counters could not be read at the last beat

	guest       guestState
	userDevices []string // the LAN's, as the configuration names them

	kernelEvents chan kernel.Event
	reports      chan state.Event
	calls        chan func()
	reload       chan struct{}
	clockSteps   chan struct{}

	dirty         bool // a turn is wanted
	checkFirewall bool // and it has to look at the firewall too
	culprits      []string
	burst         time.Time // when the oldest event not yet looked at came
	turned        time.Time // when the last turn began
	turnTimer     *time.Timer
	beatTimer     *time.Timer
	due           time.Time // of the next beat; zero: not set
	retry         time.Duration
}

// locks says which of the two hold, as the last turn left them.
type locks = webui.Locks

func newAgent(g globals, k *kernel.Kernel, s *store.Store, log *slog.Logger) *agent {
	a := &agent{
		g: g, began: time.Now(), k: k, log: log, store: s, clock: openClock(), locks: testSwitch(), names: newEndpointNames(s),
		exits:        map[string]*exitTask{},
		kernelEvents: make(chan kernel.Event, 256),
		reports:      make(chan state.Event, 64),
		calls:        make(chan func()),
		reload:       make(chan struct{}, 1),
		clockSteps:   make(chan struct{}),
		turnTimer:    time.NewTimer(time.Hour),
		guest:        guestState{task: findGuest(g), reports: make(chan openwrt.Report)},
		beatTimer:    time.NewTimer(time.Hour),
	}
	a.web = newWeb(a)
	return a
}

// run is the loop. It ends with its context and leaves the data plane as it
// is: protection is a property of the kernel's state.
func (a *agent) run(ctx context.Context) error {
	go a.watch(ctx)
	a.startGuest(ctx)
	a.load(ctx)
	go a.watchClock(ctx)
	a.turn(ctx)
	full := time.NewTicker(fullCheck)
	defer full.Stop()
	for {
		a.pace()
		select {
		case <-ctx.Done():
			a.observe()
			a.endTally(ctx)
			a.log.Info("stopping; the locks stay", "state", a.st.Whole)
			return nil
		case e := <-a.kernelEvents:
			a.noticed(e)
		case e := <-a.reports:
			a.step(ctx, e)
		case r := <-a.guest.reports:
			a.guestSaid(ctx, r)
		case f := <-a.calls:
			f()
		case <-a.reload:
			a.load(ctx)
			a.lookAround()
		case <-a.clockSteps:
			a.stepped("the clock was set")
		case <-a.beatTimer.C:
			a.beat(ctx)
		case <-full.C:
			a.lookAround()
			a.dirty, a.checkFirewall = true, true
			a.schedule(0)
		case <-a.turnTimer.C:
			if a.dirty {
				a.turn(ctx)
			}
		}
	}
}

// noticed waits for the end of a burst of events, within limits.
func (a *agent) noticed(e kernel.Event) {
	now := time.Now()
	if a.burst.IsZero() {
		a.burst = now
	}
	a.dirty = true
	if e.Kind == kernel.EventLink || e.Kind == kernel.EventAddr {
		a.lookAround()
	}
	if e.Kind == kernel.EventLink || e.Kind == kernel.EventLost {
		a.k.Doubt() // a device that goes, or gets another name, may have taken a chain of the third net along
	}
	if e.Kind == kernel.EventFirewall || e.Kind == kernel.EventLost || e.Kind == kernel.EventLink && a.underNet(e.Device) {
		a.checkFirewall = true
	}
	who := e.What
	if e.By != "" {
		who += " by " + e.By
	}
	if len(a.culprits) < 4 && !slices.Contains(a.culprits, who) {
		a.culprits = append(a.culprits, who)
	}
	if now.Sub(a.turned) > longestBurst {
		a.schedule(0) // the first event after a quiet time: others' next call may already need the answer
		return
	}
	a.schedule(min(quietAfterEvent, longestBurst-now.Sub(a.burst)))
}

func (a *agent) schedule(in time.Duration) {
	a.turnTimer.Reset(max(in, 0))
}

// step feeds the state machine and carries out what it asks for.
func (a *agent) step(ctx context.Context, e state.Event) {
	var fx []state.Effect
	old := a.st
	a.st, fx = state.Step(a.st, e, time.Now())
	a.account(old)
	for _, f := range fx {
		switch f.Kind {
		case state.Replan:
			a.dirty = true
			a.schedule(0)
		case state.Note:
			a.note("state", f.Exit, f.Text)
		case state.Log:
			a.log.Info(f.Text)
		default:
			if t := a.exits[f.Exit]; t != nil {
				t.order(f)
			}
		}
	}
}

// note writes one line to the log and to the history.
func (a *agent) note(kind, exit, text string) {
	a.log.Info(text)
	a.store.AddEvent(store.Event{Time: time.Now(), Kind: kind, Exit: exit, Text: text})
	a.web.poke()
}

// turn looks at the kernel, compiles the plan and brings the kernel to it.
func (a *agent) turn(ctx context.Context) {
	// The end of the agent does not cut a turn in half.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnLimit)
	defer cancel()
	defer a.startFresh()
	a.dirty, a.burst, a.turned = false, time.Time{}, time.Now()
	culprits := a.culprits
	a.culprits = nil
	if wait := a.storm(); wait > 0 {
		a.dirty = true
		a.culprits = culprits
		a.schedule(wait)
		return
	}
	if a.st.Policy.Enabled && len(a.st.Policy.LAN) == 0 {
		a.sealStrictly(ctx)
		return
	}
	s, err := a.k.Observe()
	if err != nil {
		a.failed(ctx, err)
		return
	}
	a.missing(ctx, s.Facts)
	a.remember(ctx, s)
	facts := s.Facts
	facts.Up, facts.Fresh, facts.TimeUnknown = a.st.Up(), a.st.Fresh(), !a.timeKnown
	facts.Resolver = a.resolverServes(facts)
	want := a.locks.apply(rules.Compile(a.st.Policy, facts))
	early, err := a.closeFirst(ctx, &s, want)
	if err != nil {
		a.failed(ctx, err)
		return
	}
	s.ReadSysctls(want.Sysctls)
	have, diffs, err := a.firewallNow(ctx, want)
	if err != nil {
		a.failed(ctx, err)
		return
	}
	s.Have.Firewall = have
	steps := rules.Steps(s.Have, want)
	if want.Firewall == nil && have == nil && len(diffs) == 0 && a.locks == (lockSwitch{}) {
		steps = slices.DeleteFunc(steps, func(s rules.Step) bool { return s.Kind == rules.StepFirewall })
	}
	if !a.planned && want.Firewall != nil && !slices.ContainsFunc(steps, isFlush) {
		// An agent before this one may have ended between a repair and this.
		steps = append(steps, rules.Step{Kind: rules.StepFlush, Firewall: want.Firewall, Gentle: true})
	}
	samePlan := a.planned && a.want.Text() == want.Text() && rules.SameFirewall(a.want.Firewall, want.Firewall)
	a.collectBlocked(ctx, steps)
	if err := a.k.Apply(ctx, s, steps); err != nil {
		a.want, a.planned = want, false
		a.failed(ctx, err)
		return
	}
	a.tallied.loaded(steps)
	hold := a.st.Policy.KillSwitch // without it the rules sort, and hold nothing
	a.lockState = locks{Routing: hold && len(want.Rules) > 0, Firewall: hold && want.Firewall != nil}
	if steps = append(early, steps...); samePlan && len(steps) > 0 {
		a.mended(steps, diffs, culprits)
	} else if len(steps) > 0 {
		a.log.Debug("applied", "steps", len(steps), "state", a.st.Whole)
	}
	a.want, a.planned, a.retry, a.sealError = want, true, 0, ""
	a.bury()
	if a.guest.report.Hardware && !samePlan {
		a.guest.again = time.Now().Add(hardwareGrace)
	}
	a.tellGuest(facts)
}

func isFlush(s rules.Step) bool { return s.Kind == rules.StepFlush }

// firewallNow says which lock the kernel is known to hold. Looking costs a
// program, so it is done when something hints at a change, and at first.
func (a *agent) firewallNow(ctx context.Context, want rules.Plan) (*rules.Firewall, []string, error) {
	last := a.k.Last()
	first := last == nil
	if first {
		last = want.Firewall
	}
	if !first && !a.checkFirewall {
		return last, nil, nil
	}
	diffs, err := a.k.FirewallDiffers(ctx, last)
	if err != nil {
		return nil, nil, err
	}
	a.checkFirewall = false
	if len(diffs) > 0 {
		return nil, diffs, nil
	}
	a.k.Adopt(last) // found as it should be: nothing to load
	return last, nil, nil
}

// missing tells the state machine of devices that have gone.
func (a *agent) missing(ctx context.Context, f rules.Facts) {
	for name, t := range a.exits {
		if l, ok := f.Links[t.exit.Device]; !ok || !l.Up {
			a.step(ctx, state.Vanished{Exit: name})
		}
	}
}

func guardPath(g globals) string { return filepath.Join(g.persist, "guard.nft") }
