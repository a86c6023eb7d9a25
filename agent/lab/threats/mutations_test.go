package threats

import (
	"errors"
	"testing"
)

// Silence proves nothing: with its protection taken away every scenario must
// see a leak, or its own check must fail.
func TestMutations(t *testing.T) {
	t.Parallel()
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			if s.Mutate == nil {
				t.Fatal("no mutation")
			}
			r := play(t, s, Mode{Firewall: NFT, Mutated: true})
			t.Logf("%d leaked, %d betrayed, %v", r.Leaked, r.Betrayed, r.Err)
			var b brokenError
			switch {
			case r.Err != nil && !errors.As(r.Err, &b):
				t.Errorf("the run went wrong: %v", r.Err)
			case !r.Noticed(s):
				t.Error("without protection nothing was noticed")
			}
		})
	}
}
