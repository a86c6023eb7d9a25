package threats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// checkEvery is after how many steps every fault is taken back and everything
// looked at.
const checkEvery = 100

// Tortured is what a long random walk has seen.
type Tortured struct {
	Seed    uint64
	Steps   int
	Sent    int
	Leaked  int
	Checks  int           // how often everything was looked at
	Slowest time.Duration // the longest way back to service after faults were taken back
	Starts  int           // of the agent
	First   Footprint     // before the first fault or at the first check, the larger
	Last    Footprint
	Healed  int // entries of repairs in the agents' logs
	Story   []string
	Err     error
	Pcap    string // of a walk that failed
}

// Footprint is what an agent takes.
type Footprint struct{ RSS, Threads, Files int } // KiB

// Torture lays faults on one lab for a number of steps, in an order that the
// seed decides, several at once, with traffic flowing. Nothing may leak at any
// time; every hundred steps and at the end all faults are taken back, and then
// the service must return, the kernel must hold the plan, and the agent must
// answer and be as small as it was.
func Torture(ctx context.Context, l *lab.Lab, seed uint64, steps int) (r Tortured) {
	r.Seed = seed
	w := &walk{Env: &Env{Lab: l, Mode: Mode{Firewall: NFT}}, rng: rand.New(rand.NewPCG(seed, 1)), broken: map[string]bool{}}
	s := Scenario{Name: fmt.Sprintf("Torture%d", seed), Agent: Two}
	r.Err = w.torture(ctx, s, steps, &r)
	w.dump(r.Err)
	for _, t := range w.traffic() {
		t.Stop()
	}
	var seen Result
	seen.Gaps = map[lab.Kind]time.Duration{}
	seen.Err = r.Err
	w.count(ctx, s, &seen)
	r.Sent, r.Leaked, r.Err, r.Story = seen.Sent, seen.Leaked, seen.Err, w.story
	if w.Agent != nil {
		text := w.Agent.Log()
		r.Starts, r.Healed = strings.Count(text, "started again")+1, strings.Count(text, `msg="healed: `)
		r.Err = errors.Join(r.Err, crashed(text))
	}
	if r.Err != nil {
		var err error
		if r.Pcap, err = l.WAN.WritePcap(s.Name); err != nil {
			r.Err = errors.Join(r.Err, err)
		}
	}
	return r
}

func (w *walk) torture(ctx context.Context, s Scenario, steps int, r *Tortured) error {
	if err := w.start(ctx, s); err != nil {
		return err
	}
	w.TV = w.Lab.Traffic(w.Lab.TV, lab.UDP4, lab.UDP6, lab.TCP4, lab.TCPNew4, lab.TCPNew6, lab.ICMP4, lab.Fragment4, lab.DNSPublic, lab.DNSISP)
	if err := w.flow(ctx, s, flowWithin); err != nil {
		return err
	}
	if err := w.Lab.WarmNeighbours(); err != nil {
		return err
	}
	w.mark()
	w.Faulted = time.Now()
	var err error
	if r.First, err = footprint(w.Agent.Pid()); err != nil {
		return err
	}
	all := tortureFaults()
	for _, f := range All() {
		if f.Random {
			all = append(all, f)
		}
	}
	for r.Steps < steps {
		before := len(w.story)
		var err error
		if len(w.active) > 0 && (len(w.active) == 4 || w.rng.IntN(3) == 0) {
			err = w.undo(ctx, w.rng.IntN(len(w.active)))
		} else {
			err = w.lay(ctx, all[w.rng.IntN(len(all))])
		}
		if len(w.story) == before {
			continue // it could not be laid now
		}
		r.Steps++
		if err == nil && !w.away() && !w.Agent.Process().Running() {
			err = errors.New("the agent has ended by itself")
		}
		if err == nil && (r.Steps%checkEvery == 0 || r.Steps == steps) {
			err = w.look(ctx, s, r)
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", r.Steps, err)
		}
	}
	return w.grown(ctx, r)
}

// look takes every fault back and looks at everything.
func (w *walk) look(ctx context.Context, s Scenario, r *Tortured) error {
	for len(w.active) > 0 {
		if err := w.undo(ctx, len(w.active)-1); err != nil {
			return err
		}
	}
	from := time.Now()
	if err := w.flow(ctx, s, recoverWithin); err != nil {
		return fmt.Errorf("with every fault taken back: %w", err)
	}
	r.Slowest = max(r.Slowest, time.Since(from))
	r.Checks++
	if n, lines, err := w.leaks(ctx); err != nil || n > 0 {
		return errors.Join(err, fmt.Errorf("%d frames leaked: %s", n, lines))
	}
	if err := errors.Join(w.state(ctx, "protected", "degraded"), w.healed(ctx)); err != nil {
		return err
	}
	var err error
	if r.Last, err = footprint(w.Agent.Pid()); err != nil {
		return err
	}
	if r.Checks == 1 { // what it takes when it has seen something of life
		r.First = Footprint{max(r.First.RSS, r.Last.RSS), max(r.First.Threads, r.Last.Threads), max(r.First.Files, r.Last.Files)}
	}
	clear(w.broken)
	return nil
}

// grown says whether the agent takes more at the end than at the start. It is
// asked again for a while: sockets of probes under way close in seconds.
func (w *walk) grown(ctx context.Context, r *Tortured) error {
	return eventually(ctx, "the agent to be as small as at the start", func() (err error) {
		if r.Last, err = footprint(w.Agent.Pid()); err != nil {
			return err
		}
		if r.Last.RSS > r.First.RSS+r.First.RSS/10 || r.Last.Files > r.First.Files+8 || r.Last.Threads > r.First.Threads+8 {
			return fmt.Errorf("it takes %+v (KiB), at the start it took %+v", r.Last, r.First)
		}
		return nil
	})
}

func footprint(pid int) (f Footprint, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return f, err
	}
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(line)
		switch {
		case len(words) < 2:
		case words[0] == "VmRSS:":
			f.RSS, err = strconv.Atoi(words[1])
		case words[0] == "Threads:":
			f.Threads, err = strconv.Atoi(words[1])
		}
		if err != nil {
			return f, err
		}
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	f.Files = len(files)
	return f, err
}

var crash = regexp.MustCompile(`(?m)^(panic: .*|fatal error: .*|WARNING: DATA RACE)$`)

// crashed finds what no agent may ever write. Running out of memory is one of
// the faults.
func crashed(log string) error {
	for _, m := range crash.FindAllString(log, -1) {
		if !strings.Contains(m, "memory") && !strings.Contains(m, "newosproc") {
			return fmt.Errorf("the agent's log has: %s", m)
		}
	}
	return nil
}
