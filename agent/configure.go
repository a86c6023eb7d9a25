package main

import (
	"context"
	"slices"
	"time"

	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/rules"
)

// load reads the configuration and brings it in force, if it is valid.
func (a *agent) load(ctx context.Context) {
	cfg, err := config.Load(a.g.config, config.Options{})
	userDevices := slices.Clone(cfg.Policy.LAN)
	mergeDevices(cfg, a.networks(cfg.LANNetworks, cfg.WANNetworks))
	if err == nil {
		err = needsLAN(cfg)
	}
	for _, w := range cfg.Warnings {
		a.log.Warn(w)
	}
	if err != nil {
		for _, p := range config.Problems(err) {
			a.log.Error(p.String())
		}
	}
	if err != nil && cfg.Policy.Enabled { // switched off is switched off, whatever else is wrong
		a.step(ctx, state.Refused{Error: err.Error(), Seal: a.sealPolicy(cfg)})
		return
	}
	a.cfg, a.userDevices = cfg, userDevices
	a.names.ask(cfg.Bootstrap)
	if cfg.Policy.Enabled {
		a.forward() // before anything depends on the time
	}
	a.configure(ctx)
	if err := writeGuard(ctx, a.k, guardPath(a.g), cfg.Policy); err != nil {
		a.note("error", "", "the boot seal could not be written: "+err.Error())
	}
	if cfg.Policy.Enabled {
		a.store.Save()
	}
}

// needsLAN refuses an enabled configuration whose LAN has no kernel device.
func needsLAN(cfg *config.Config) error {
	if !cfg.Policy.Enabled || len(cfg.Policy.LAN) > 0 {
		return nil
	}
	return config.Errors{{File: cfg.File.Path(), Section: "lanseal 'main'", Option: "lan_device",
		Message: "name the LAN's kernel device, for example list lan_device 'br-lan'"}}
}

// sealPolicy is what to hold with while no configuration is valid: the LAN as
// far as it could be understood, else that of the boot seal's file.
func (a *agent) sealPolicy(cfg *config.Config) rules.Policy {
	p := cfg.Policy
	if len(p.LAN) == 0 {
		if old, ok := readGuard(guardPath(a.g)); ok {
			return old
		}
	}
	return p
}

// configure starts, keeps and stops the exits' tasks.
func (a *agent) configure(ctx context.Context) {
	policy := a.cfg.PolicyAt(time.Now())
	old := a.exits
	a.exits = map[string]*exitTask{}
	var types []string
	var fresh []*exitTask
	for i, e := range policy.Exits {
		t := a.cfg.Tunnels[i]
		types = append(types, t.Type)
		if !e.Enabled || !policy.Enabled {
			continue
		}
		if prev := old[e.Name]; prev != nil && prev.same(e, t) {
			a.exits[e.Name] = prev
			delete(old, e.Name)
			continue
		}
		if prev := old[e.Name]; prev != nil { // the same device under a new configuration
			prev.end()
			delete(old, e.Name)
		}
		a.exits[e.Name] = a.newTask(ctx, e, t)
		fresh = append(fresh, a.exits[e.Name])
	}
	for _, t := range old {
		t.stop()
		a.orphan = append(a.orphan, t)
	}
	// Tunnels that are there already are taken as they are before the first
	// plan, so that a restart does not interrupt what works.
	found := map[string]state.Status{}
	for _, t := range fresh {
		if st := t.status(nil); st.Exists {
			found[t.exit.Name] = st
		}
	}
	a.step(ctx, state.Configured{Policy: policy, Types: types, Found: found})
	a.fresh = append(a.fresh, fresh...)
}

// startFresh begins the work of new tasks: after a turn, because a handshake
// before the rules are there is lost, and repeated late.
func (a *agent) startFresh() {
	for _, t := range a.fresh {
		if a.exits[t.exit.Name] == t { // not replaced before it began
			t.start()
			t.begun = true
		}
	}
	a.fresh = nil
}

// newTask makes the task of one exit; its start begins the work.
func (a *agent) newTask(ctx context.Context, e rules.Exit, t config.Tunnel) *exitTask {
	ctx, cancel := context.WithCancel(ctx)
	task := &exitTask{
		exit: e, section: t, driver: newDriver(e, t, a.names),
		targets: e.Resolvers, orders: newOrders(), probes: make(chan state.Effect, 1),
		looks: make(chan struct{}, 1), asks: make(chan struct{}, 1), stop: cancel, done: make(chan struct{}),
	}
	if len(task.targets) == 0 {
		task.targets = rules.PublicResolvers()
	}
	task.start = func() {
		go task.run(ctx, func(ev state.Event) {
			select {
			case a.reports <- ev:
			case <-ctx.Done():
			}
		})
	}
	return task
}

// expire lets exceptions begin and end in time.
func (a *agent) expire(ctx context.Context) {
	if a.cfg == nil || !a.st.Valid {
		return
	}
	now := a.cfg.PolicyAt(time.Now())
	if len(now.Exceptions) != len(a.st.Policy.Exceptions) {
		a.configure(ctx)
	}
}
