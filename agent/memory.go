package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/agent/store"
)

// frugal spends little memory and few wake-ups, also where no init script sets
// the same by the environment. A collector that is eager costs processor time
// the agent hardly uses.
func frugal() {
	const percent = 50
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1) // the loop is one goroutine
	}
	slacken()
}

// slacken lets the kernel put off the ends of the process's sleeps by 4 ms; no
// time that matters to the agent is as short. Go's runtime looks after itself
// from a thread of its own that sleeps for 20 µs at a time while anything runs
// (runtime.sysmon): most of an idle agent's wake-ups are its. Threads hand
// their slack on to those they begin (proc(5), timerslack_ns). Where it cannot
// be set nothing is lost.
func slacken() {
	const slack = "4000000" // ns
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		_ = os.WriteFile("/proc/"+t.Name()+"/timerslack_ns", []byte(slack), 0)
	}
}

// roomFrom is the memory from which the store keeps its large history.
const roomFrom = 200 << 20 // bytes: more than the routers of 128 MB have

// openStore opens the agent's memory. What is wrong with it is told, and costs
// history alone.
func openStore(g globals, say func(string)) *store.Store {
	limits := store.Small()
	if b, err := os.ReadFile("/proc/meminfo"); err == nil && totalMemory(string(b)) >= roomFrom {
		limits = store.Large()
	}
	return store.Open(store.Options{
		Live: filepath.Join(g.state, "state.db"), Checkpoint: filepath.Join(g.persist, "state.db"), Limits: limits, Say: say,
	})
}

// totalMemory reads MemTotal, which the kernel gives in KiB.
func totalMemory(meminfo string) uint64 {
	for line := range strings.Lines(meminfo) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			n, _ := strconv.ParseUint(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// carries says whether devices reach their exits in this state.
func carries(w state.Whole) bool { return w == state.Protected || w == state.Degraded }

// account records what a step of the state machine changed: when an exit, or
// the whole, stopped carrying traffic, and when it came back.
func (a *agent) account(old state.State) {
	now := time.Now()
	switch {
	case carries(a.st.Whole), a.st.Whole == state.Open:
		a.store.EndDropout("", now)
	case carries(old.Whole):
		a.store.BeginDropout("", a.st.Reason, now)
	}
	was := map[string]state.Phase{}
	for _, x := range old.Exits {
		was[x.Name] = x.Phase
	}
	for _, x := range a.st.Exits {
		switch {
		case x.Phase == state.Up || x.Phase == state.Disabled:
			a.store.EndDropout(x.Name, now)
		case was[x.Name] == state.Up:
			a.store.BeginDropout(x.Name, x.Reason, now)
		}
		delete(was, x.Name)
	}
	for name := range was { // no longer configured
		a.store.EndDropout(name, now)
	}
}

// observe records how the exits are, at every beat. Switched off, lanseal has
// nothing to remember, and writes nothing.
func (a *agent) observe() {
	if !a.st.Policy.Enabled {
		return
	}
	now := time.Now()
	for _, x := range a.st.Exits {
		if x.Phase == state.Disabled {
			continue
		}
		a.store.Look(x.Name, a.st.Shown(x).Phase == state.Up, x.RTT, x.Status.Handshake, now)
		if x.Status.Exists {
			a.store.Count(x.Name, store.Counter{Rx: x.Traffic.Rx, Tx: x.Traffic.Tx})
		}
	}
	a.keepTime()
}

// keepStore writes what the store gathers; its end waits until all is written.
func keepStore(s *store.Store) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}
