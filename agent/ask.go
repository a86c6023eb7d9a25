package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/agent/tunnel"
)

// Bounds of the probes.
const (
	mostProbes  = 16              // of one exit under way
	probeListen = 3 * time.Second // for an answer that is late: it tells how long the way is
)

// question is one way to ask for a sign of life.
type question struct {
	target netip.Addr
	dns    bool // a DNS question; else an ICMP echo
}

func (q question) ask(ctx context.Context, device string) (time.Duration, error) {
	if q.dns {
		return tunnel.ProbeDNS(ctx, device, q.target)
	}
	return tunnel.Probe(ctx, device, q.target)
}

// probing asks as it is told, beside the task; several probes may be under way.
func (t *exitTask) probing(ctx context.Context, report func(state.Event)) {
	var asking sync.WaitGroup
	defer asking.Wait()
	free := make(chan struct{}, mostProbes)
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-t.probes:
			select {
			case free <- struct{}{}:
				asking.Go(func() {
					t.probe(ctx, f, report)
					<-free
				})
			default: // they have a verdict on the way already
			}
		}
	}
}

// questions are all there are, or the one that was answered last.
func (t *exitTask) questions(thorough bool) []question {
	if liked := t.liked.Load(); liked != nil && !thorough {
		return []question{*liked}
	}
	var all []question
	for _, target := range t.targets {
		all = append(all, question{target, false}, question{target, true})
	}
	return all
}

// probe asks all at once: any answer is a sign of life. Silence is reported
// when it has lasted, and the answer all the same if it comes then.
func (t *exitTask) probe(ctx context.Context, f state.Effect, report func(state.Event)) {
	ctx, cancel := context.WithTimeout(ctx, max(probeListen, f.Within))
	defer cancel()
	type answer struct {
		of  question
		rtt time.Duration
		err error
	}
	asked := t.questions(f.Thorough)
	answers := make(chan answer, len(asked)) // nobody waits to be read
	for _, q := range asked {
		go func() {
			rtt, err := q.ask(ctx, t.exit.Device)
			answers <- answer{q, rtt, err}
		}()
	}
	patience := time.NewTimer(f.Within)
	defer patience.Stop()
	told := false
	for open := len(asked); open > 0; {
		select {
		case <-patience.C:
			told = true
			report(state.Probed{Exit: t.exit.Name})
		case a := <-answers:
			open--
			if a.err == nil {
				t.liked.Store(&a.of)
				report(state.Probed{Exit: t.exit.Name, RTT: max(a.rtt, time.Microsecond)})
				return
			}
		}
	}
	// All have failed early: a device that is gone, a way that refuses. That is
	// no verdict before its time.
	if !told {
		select {
		case <-patience.C:
			report(state.Probed{Exit: t.exit.Name})
		case <-ctx.Done():
		}
	}
}
