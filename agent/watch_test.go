package main

import (
	"slices"
	"testing"
	"time"
)

// A watch that fails again and again is started less and less often, and never
// given up; once it has lived for a minute, the next failure is a first one.
func TestFailingWatchRests(t *testing.T) {
	var r rest
	var got []time.Duration
	for range 12 {
		got = append(got, r.after(time.Second))
	}
	ms := time.Millisecond
	want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms, 25600 * ms, 30000 * ms, 30000 * ms, 30000 * ms}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := []time.Duration{r.after(time.Minute), r.after(0)}; !slices.Equal(got, want[:2]) {
		t.Errorf("after a minute of life %v, want %v", got, want[:2])
	}
}
