package clock

import (
	"context"
	"testing"
	"time"
)

func TestForward(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name      string
		now, good time.Time
		to        time.Time
	}{
		{"ten hours behind", at.Add(-10 * time.Hour), at, at.Add(time.Second)},
		{"born in 1970", time.Unix(7, 0), at, at.Add(time.Second)},
		{"in time", at, at, time.Time{}},
		{"ahead: never back", at.Add(time.Hour), at, time.Time{}},
		{"nothing is known", time.Unix(7, 0), time.Time{}, time.Time{}},
		{"a time that nobody believes", at, Latest().Add(time.Second), time.Time{}},
		{"the latest that is believed", at, Latest(), Latest().Add(time.Second)},
	} {
		if to, move := Forward(c.now, c.good); !to.Equal(c.to) || move == c.to.IsZero() {
			t.Errorf("%s: to %v, %v", c.name, to, move)
		}
	}
}

// The watch waits without an error while nobody sets the clock, and ends with
// its context.
func TestWatchEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Watch(ctx, make(chan struct{})) }()
	select {
	case err := <-ended:
		t.Fatalf("it ended by itself: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Whatever this machine says, it can be asked without being root.
func TestSynchronised(t *testing.T) {
	t.Logf("synchronised: %v", System{}.Synchronised())
}
