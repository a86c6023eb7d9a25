package threats

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// Faults come in any order. LANSEAL_SEEDS=100 tries more of them,
// LANSEAL_SEED=7 plays one again.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	seeds := number(t, "LANSEAL_SEEDS", 10)
	first, last := uint64(1), seeds
	if os.Getenv("LANSEAL_SEED") != "" {
		first = number(t, "LANSEAL_SEED", 0)
		last = first
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := lab.ForTest(t, lab.Options{Lanseal: product})
			ctx, cancel := context.WithTimeout(context.Background(), runLimit)
			defer cancel()
			r, story := RandomFaults(ctx, l, seed)
			t.Logf("%d sent, %d leaked, back after %v: %s", r.Sent, r.Leaked, r.RecoverTime.Round(time.Millisecond), story)
			if r.Err != nil {
				t.Errorf("LANSEAL_SEED=%d: %v", seed, r.Err)
			}
		})
	}
}

func number(t *testing.T, name string, usual uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return usual
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
