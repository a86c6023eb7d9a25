package main

import (
	"context"
	"time"

	"github.com/lanseal/lanseal/agent/kernel"
)

// How long a watch of the kernel that failed rests before it is started again:
// twice as long each time, and never for good. Meanwhile the full check finds
// what changes.
const (
	firstRest   = 100 * time.Millisecond
	longestRest = fullCheck
	steadyAfter = time.Minute // it had recovered: the next failure is a first one
)

// rest is how long the next one takes; zero: nothing has failed yet.
type rest time.Duration

// after is asked when a watch has ended that lived for so long.
func (r *rest) after(lived time.Duration) time.Duration {
	now := time.Duration(*r)
	if now == 0 || lived >= steadyAfter {
		now = firstRest
	}
	*r = rest(min(2*now, longestRest))
	return now
}

// watch keeps the kernel's events coming.
func (a *agent) watch(ctx context.Context) {
	var r rest
	for ctx.Err() == nil {
		began := time.Now()
		err := a.k.Watch(ctx, a.kernelEvents)
		if ctx.Err() != nil {
			return
		}
		wait := r.after(time.Since(began))
		a.log.Error("watching the kernel failed, starting again", "error", err, "in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		select {
		case a.kernelEvents <- kernel.Event{Kind: kernel.EventLost, What: "the watch was started again"}:
		case <-ctx.Done():
		}
	}
}
