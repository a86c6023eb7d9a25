package state

import (
	"fmt"
	"slices"
	"time"

	"github.com/lanseal/lanseal/rules"
)

// SettleTime is how long an exit that failed must have been up again before
// devices go back to it: their streams are not cut for nothing.
const SettleTime = 60 * time.Second

// rank finds the exits that are up again but have not settled, the longest
// first, and says whether that changed.
func (s *State) rank(now time.Time) (changed bool) {
	var fresh []*Exit
	for i := range s.Exits {
		x := &s.Exits[i]
		if x.Phase == Up && !x.Failed.IsZero() && now.Sub(x.Since) < SettleTime {
			fresh = append(fresh, x)
		} else if x.Fresh != 0 {
			x.Fresh, changed = 0, true
		}
	}
	slices.SortStableFunc(fresh, func(a, b *Exit) int { return a.Since.Compare(b.Since) })
	for i, x := range fresh {
		if x.Fresh != i+1 {
			x.Fresh, changed = i+1, true
		}
	}
	return changed
}

// Up is the fact that plans are made from: which exits carry traffic.
func (s State) Up() map[string]bool {
	up := map[string]bool{}
	for _, x := range s.Exits {
		up[x.Name] = x.Phase == Up && !s.Cut.Sealed
	}
	return up
}

// Fresh is the other: which of them have not settled.
func (s State) Fresh() map[string]int {
	fresh := map[string]int{}
	for _, x := range s.Exits {
		if x.Fresh > 0 {
			fresh[x.Name] = x.Fresh
		}
	}
	return fresh
}

// carrier is the place in a list of the exit that carries its devices, as
// rules.Compile chooses it; -1: none.
func (s State) carrier(via []string) int {
	best := -1
	for i, name := range via {
		if name == rules.ViaDirect || name == rules.ViaBlock {
			break
		}
		if s.phase(name) != Up {
			continue
		}
		if best < 0 || s.exit(name).Fresh < s.exit(via[best]).Fresh {
			best = i
		}
	}
	return best
}

func (s State) fallback(wanted, carries string) string {
	if s.phase(wanted) == Up {
		return fmt.Sprintf("%s is up again, %s carries its devices until it has been stable for a minute", wanted, carries)
	}
	return fmt.Sprintf("%s is %s, %s carries its devices", wanted, s.phase(wanted), carries)
}
