package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/agent/openwrt"
	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/rules"
	"github.com/lanseal/lanseal/webui"
)

// Times of the guest's task.
const (
	guestQuiet   = 300 * time.Millisecond // netifd makes many changes in a row: wait for the end
	guestLimit   = 90 * time.Second       // the services of one turn, on slow machines
	guestRetry   = 2 * time.Second
	guestLongest = time.Minute
	knownLimit   = 5 * time.Second // one look at a configuration file

	// hardwareGrace is when flows are flushed once more: the kernel takes up
	// to two seconds to take a forgotten flow out of the switch.
	hardwareGrace = 2 * time.Second
)

// guestTask keeps OpenWrt's own services in step, beside the loop, which never
// waits for ubus or uci.
type guestTask struct {
	system *openwrt.Guest
	wish   atomic.Pointer[openwrt.Wish]
	wake   chan struct{}
}

// findGuest is nil where the machine is not OpenWrt.
func findGuest(g globals) *guestTask {
	system, ok := openwrt.Find("/", g.state, g.persist)
	if !ok {
		return nil
	}
	return &guestTask{system: system, wake: make(chan struct{}, 1)}
}

// want says what is wanted from now on.
func (t *guestTask) want(w openwrt.Wish) {
	if old := t.wish.Load(); old == nil || !reflect.DeepEqual(*old, w) {
		t.wish.Store(&w)
		t.look()
	}
}

// look has the task look again, soon.
func (t *guestTask) look() {
	select {
	case t.wake <- struct{}{}:
	default: // it is going to
	}
}

// run works until its context ends. What it changed stays: the record says
// what that was.
func (t *guestTask) run(ctx context.Context, report func(openwrt.Report)) {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	pause := guestRetry
	for {
		select {
		case <-ctx.Done():
			return
		case <-retry.C:
		case <-t.wake:
			select {
			case <-ctx.Done():
				return
			case <-time.After(guestQuiet):
			}
		}
		if t.wish.Load() == nil {
			continue
		}
		turn, cancel := context.WithTimeout(ctx, guestLimit)
		r := t.system.Turn(turn, func() openwrt.Wish { return *t.wish.Load() })
		cancel()
		report(r)
		retry.Stop()
		pause = min(2*pause, guestLongest)
		if r.Error == "" {
			pause = guestRetry
			continue
		}
		retry.Reset(pause)
	}
}

// guestState is what the loop knows of the guest's work.
type guestState struct {
	task    *guestTask // nil where the machine is not OpenWrt
	lan     []string   // the networks that devices belongs to
	wan     []string
	devices openwrt.Devices
	report  openwrt.Report
	notes   []string  // already told
	again   time.Time // when flows are flushed once more; zero: not
	reports chan openwrt.Report
}

// start begins the guest's work.
func (a *agent) startGuest(ctx context.Context) {
	if a.guest.task == nil {
		return
	}
	go a.guest.task.run(ctx, func(r openwrt.Report) {
		select {
		case a.guest.reports <- r:
		case <-ctx.Done():
		}
	})
}

// networks are the kernel devices of logical networks: what netifd said last.
// At the start that is what the configuration says and what was sealed before;
// of other names than before the task reports in a moment.
func (a *agent) networks(lan, wan []string) openwrt.Devices {
	s := &a.guest
	if s.task == nil {
		return openwrt.Devices{}
	}
	if s.lan == nil || !slices.Equal(s.lan, lan) || !slices.Equal(s.wan, wan) {
		if len(s.devices.LAN) == 0 { // nothing is protected yet: the one look that the loop waits for
			sealed, _ := readGuard(guardPath(a.g))
			s.devices = knownDevices(s.task.system, lan, wan, sealed.LAN)
		}
		s.lan, s.wan = slices.Clone(lan), slices.Clone(wan)
		w := openwrt.Wish{LAN: lan, WAN: wan}
		if old := s.task.wish.Load(); old != nil {
			w = *old
			w.LAN, w.WAN = lan, wan
		}
		s.task.want(w)
	}
	return s.devices
}

func knownDevices(system *openwrt.Guest, lan, wan, sealed []string) openwrt.Devices {
	ctx, cancel := context.WithTimeout(context.Background(), knownLimit)
	defer cancel()
	return system.Known(ctx, lan, wan, sealed)
}

// guestSaid takes in a report.
func (a *agent) guestSaid(ctx context.Context, r openwrt.Report) {
	s := &a.guest
	for _, n := range r.Notes {
		if !slices.Contains(s.notes, n) {
			a.note("openwrt", "", n)
		}
	}
	s.notes = r.Notes
	if r.Error != "" && r.Error != s.report.Error {
		a.note("error", "", "OpenWrt's services: "+r.Error)
	}
	old := s.report
	s.report = r
	now := openwrt.Devices{LAN: r.LAN, WAN: r.WAN}
	if r.Error != "" { // what is not known now is what it was
		for _, d := range s.devices.LAN {
			if !slices.Contains(now.LAN, d) {
				now.LAN = append(now.LAN, d)
			}
		}
		if len(now.WAN) == 0 {
			now.WAN = s.devices.WAN
		}
	}
	if !slices.Equal(now.LAN, s.devices.LAN) || !slices.Equal(now.WAN, s.devices.WAN) {
		s.devices = now
		a.note("openwrt", "", fmt.Sprintf("the protected networks' devices are %v", now.LAN))
		a.load(ctx)
	}
	if r.Hardware && !old.Hardware {
		s.again = time.Now().Add(hardwareGrace)
	}
	if r.Resolver != old.Resolver {
		a.dirty = true
		a.schedule(0)
	}
}

// tellGuest says what the plan in force asks of OpenWrt's own services.
func (a *agent) tellGuest(f rules.Facts) {
	s := &a.guest
	if s.task == nil {
		return
	}
	if a.cfg == nil || !a.st.Valid { // nothing is in force: what stands stays
		return
	}
	p := a.st.Policy
	w := openwrt.Wish{
		LAN: a.cfg.LANNetworks, WAN: a.cfg.WANNetworks, LANDevices: a.userDevices, WANDevices: p.WAN,
		Known: true, Armed: p.Enabled, Hold: p.Enabled && p.KillSwitch,
		DNS:      p.Enabled && p.KillSwitch && p.DNS != rules.DNSOff,
		Withdraw: len(p.Via) > 0 && p.Via[0] != rules.ViaDirect,
	}
	for _, e := range p.Exits {
		if len(p.Via) > 0 && e.Name == p.Via[0] {
			w.IPv6 = e.Enabled && e.Carries(6) && !p.BlockIPv6
		}
	}
	if e, ok := p.DefaultExit(f); ok {
		w.Upstream.Device = e.Device
		for _, r := range []netip.Addr{e.Resolver4, e.Resolver6} {
			if r.IsValid() {
				w.Upstream.Servers = append(w.Upstream.Servers, r)
			}
		}
	}
	s.task.want(w)
}

// resolverServes says whether the router's resolver asks by the exit that
// devices without a rule have now: then their questions may go to it.
func (a *agent) resolverServes(f rules.Facts) bool {
	e, ok := a.st.Policy.DefaultExit(f)
	return ok && a.guest.report.Resolver == e.Device && a.guest.report.Error == ""
}

// lookAround has the guest look whether the system changed.
func (a *agent) lookAround() {
	if a.guest.task != nil {
		a.guest.task.look()
	}
}

// forgetLate flushes flows again that hardware may have gone on with.
func (a *agent) forgetLate(ctx context.Context) {
	s := &a.guest
	if s.again.IsZero() || time.Now().Before(s.again) || a.want.Firewall == nil {
		return
	}
	s.again = time.Time{}
	now, err := a.k.Observe()
	if err == nil {
		err = a.k.Apply(ctx, now, []rules.Step{{Kind: rules.StepFlush, Firewall: a.want.Firewall}})
	}
	if err != nil {
		a.note("error", "", "forgetting flows in hardware: "+err.Error())
	}
}

// mergeDevices puts the logical networks' devices into a configuration.
func mergeDevices(cfg *config.Config, d openwrt.Devices) {
	p := &cfg.Policy
	for _, name := range d.LAN {
		if !slices.Contains(p.LAN, name) {
			p.LAN = append(p.LAN, name)
		}
	}
	for _, name := range d.WAN {
		if !slices.Contains(p.WAN, name) {
			p.WAN = append(p.WAN, name)
		}
	}
	p.WAN = slices.DeleteFunc(p.WAN, func(name string) bool { return slices.Contains(p.LAN, name) })
}

// loadConfig reads the configuration for a command. On OpenWrt the networks'
// devices are what netifd says, or, where ask is false or it does not answer,
// what is known without it.
func loadConfig(ctx context.Context, g globals, ask bool) (*config.Config, error) {
	cfg, err := config.Load(g.config, config.Options{})
	if guest := findGuest(g); guest != nil {
		ctx, cancel := context.WithTimeout(ctx, knownLimit)
		defer cancel()
		var d openwrt.Devices
		asked := false
		if ask {
			var askErr error
			d, askErr = guest.system.Now(ctx, cfg.LANNetworks, cfg.WANNetworks)
			asked = askErr == nil && len(d.LAN) > 0
		}
		if !asked {
			sealed, _ := readGuard(guardPath(g))
			d = knownDevices(guest.system, cfg.LANNetworks, cfg.WANNetworks, sealed.LAN)
		}
		mergeDevices(cfg, d)
		if err == nil && ask && cfg.Policy.Enabled {
			err = missingNetworks(cfg, d)
		}
	}
	if err == nil {
		err = needsLAN(cfg)
	}
	return cfg, err
}

// missingNetworks refuses names that are no network of the system's.
func missingNetworks(cfg *config.Config, d openwrt.Devices) error {
	var problems config.Errors
	for _, n := range d.Missing {
		option := "lan_network"
		if slices.Contains(cfg.WANNetworks, n) {
			option = "wan_network"
		}
		problems = append(problems, config.Problem{File: cfg.File.Path(), Section: "lanseal 'main'", Option: option,
			Message: fmt.Sprintf("no network named %q in /etc/config/network", n)})
	}
	if problems == nil {
		return nil
	}
	return problems
}

// restoreGuest puts OpenWrt's own configuration back as it was.
func restoreGuest(ctx context.Context, g globals) error {
	guest := findGuest(g)
	if guest == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, guestLimit)
	defer cancel()
	notes, err := guest.system.Restore(ctx)
	for _, n := range notes {
		fmt.Fprintln(g.stderr, "note:", n)
	}
	if err != nil {
		return fmt.Errorf("restoring OpenWrt's configuration: %w", err)
	}
	return nil
}

// openwrtDoc is the guest's part of the status.
type openwrtDoc = webui.OpenWrt

func (a *agent) describeGuest() *openwrtDoc {
	s := &a.guest
	if s.task == nil {
		return nil
	}
	d := &openwrtDoc{LAN: s.devices.LAN, WAN: s.devices.WAN, Notes: s.notes, Error: s.report.Error,
		Resolver: a.want.Firewall != nil && a.want.Firewall.Redirect}
	for _, list := range []*[]string{&d.LAN, &d.WAN, &d.Notes} {
		if *list == nil {
			*list = []string{}
		}
	}
	return d
}

// printOpenWrt says nothing of the resolver while lanseal is open: it is the
// router's own business then.
func printOpenWrt(w io.Writer, d *openwrtDoc, whole string) {
	fmt.Fprintf(w, "  OpenWrt: LAN %s", strings.Join(d.LAN, ", "))
	switch {
	case whole == string(state.Open):
	case d.Resolver:
		fmt.Fprint(w, "; questions are answered by the router's resolver, through the exit")
	default:
		fmt.Fprint(w, "; questions are answered by the exit's resolver")
	}
	fmt.Fprintln(w)
	for _, n := range d.Notes {
		fmt.Fprintln(w, "  note:", n)
	}
	if d.Error != "" {
		fmt.Fprintln(w, "  OpenWrt's services:", d.Error)
	}
}
