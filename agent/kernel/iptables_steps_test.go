package kernel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/rules"
)

// iptPolicies are the ends of the transitions under test, and for each the
// wires on which packets of a client may show, by the end of its address.
type iptPolicy struct {
	name string
	fw   *rules.Firewall // nil: open
	may  map[string]string
}

func iptPolicies() map[string]iptPolicy {
	usual := iptPolicy{"usual", iptFirewall(), map[string]string{"50": "se", "51": "no", "52": "wan", "53": ""}}

	block := iptPolicy{"block", iptFirewall(), map[string]string{"50": "", "51": "", "52": "", "53": ""}}
	block.fw.Default, block.fw.Members = rules.WayBlock, nil

	// Exit no comes first in the file now: each has the other's number. The
	// lab's routes still follow the old numbers, so nothing may show at all.
	renumbered := iptPolicy{"renumbered", iptFirewall(), map[string]string{"50": "", "51": "", "52": "wan", "53": ""}}
	for i, e := range renumbered.fw.Exits {
		renumbered.fw.Exits[i].Mark = 3<<24 - e.Mark
	}
	renumbered.fw.Default = 2 << 24
	for i, m := range renumbered.fw.Members {
		if m.Way == 2<<24 {
			renumbered.fw.Members[i].Way = 1 << 24
		}
	}

	swapped := iptPolicy{"swapped", iptFirewall(), map[string]string{"50": "no", "51": "se", "52": "", "53": "wan"}}
	swapped.fw.Default = 2 << 24
	for i, m := range swapped.fw.Members {
		switch m.Way {
		case 2 << 24:
			swapped.fw.Members[i].Way = 1 << 24
		case rules.Way(rules.MarkDirect):
			swapped.fw.Members[i].Way = rules.WayBlock
		case rules.WayBlock:
			swapped.fw.Members[i].Way = rules.Way(rules.MarkDirect)
		}
	}

	open := iptPolicy{"open", nil, map[string]string{"50": "wan", "51": "wan", "52": "wan", "53": "wan"}}
	all := map[string]iptPolicy{}
	for _, p := range []iptPolicy{usual, block, renumbered, swapped, open} {
		all[p.name] = p
	}
	return all
}

// iptProbe is what was sent, and where it may show.
type iptProbe struct {
	port       int
	when, host string
	policies   []iptPolicy
}

// check sends from every client and says which of them show where neither
// policy lets them: on the WAN now, elsewhere when settled is called.
func (l *iptLab) check(t *testing.T, when string, policies ...iptPolicy) {
	t.Helper()
	for _, host := range []string{"50", "51", "52", "53"} {
		p := iptProbe{l.send(t, host), when, host, policies}
		l.probes = append(l.probes, p)
		l.judge(t, p)
	}
}

func (l *iptLab) judge(t *testing.T, p iptProbe) {
	t.Helper()
	for wire, frames := range l.showed(p.port) {
		if !slices.ContainsFunc(p.policies, func(a iptPolicy) bool { return a.may[p.host] == wire }) {
			t.Errorf("%s: %d frames of .%s showed on the wire of %s", p.when, frames, p.host, wire)
		}
	}
}

// settled judges all probes once more, when every frame has been seen.
func (l *iptLab) settled(t *testing.T) {
	t.Helper()
	time.Sleep(100 * time.Millisecond)
	for _, p := range l.probes {
		l.judge(t, p)
	}
	if len(l.probes) == 0 {
		t.Error("nothing was sent")
	}
	l.probes = nil
}

// TestIPTablesBetweenCalls: whatever the transition, between any two calls a
// packet leaves only where the old or the new policy lets it.
func TestIPTablesBetweenCalls(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		fw := l.iptOpen(t, variant)
		policies := iptPolicies()
		l.check(t, "before", policies["open"])
		old := policies["open"]
		for _, name := range []string{"usual", "block", "usual", "renumbered", "usual", "swapped", "block", "swapped", "usual"} {
			next := policies[name]
			calls, jumps := 0, 0
			fw.call = func(what string) error {
				calls++
				if what == "iptables -I" {
					jumps++
				}
				when := fmt.Sprintf("%s → %s, before call %d (%s)", old.name, next.name, calls, what)
				if old.fw == nil && jumps >= 3 {
					l.check(t, when, next) // FORWARD is closed for both families
				} else {
					l.check(t, when, old, next)
				}
				return nil
			}
			l.apply(t, fw, next.fw)
			fw.call = nil
			l.check(t, "after → "+next.name, next)
			if calls < 20 {
				t.Errorf("only %d calls were looked at", calls)
			}
			old = next
		}
		// What is let through does pass, so that the silence above says something.
		port := l.send(t, "50")
		l.settled(t)
		if n := l.showed(port); n["se"] < 4 || len(n) != 1 {
			t.Errorf("of 4 packets for exit se there were %v", n)
		}
	})
}

// TestIPTablesCrash: whichever call fails, and whether the agent goes on or is
// gone, what is there holds, and the next agent repairs it.
func TestIPTablesCrash(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		l.shell(t, variant, iptForeign)
		policies := iptPolicies()
		old, next := policies["usual"], policies["swapped"]
		failed := errors.New("no more")
		fw := l.iptOpen(t, variant)
		l.apply(t, fw, old.fw)
		before := l.foreign(t, variant)
		for _, crash := range []bool{true, false} {
			for n, done := 1, false; !done; n++ {
				if !crash && n%4 != 1 {
					continue // a sample: most calls fail alike
				}
				calls := 0
				fw.call = func(string) error {
					if calls++; calls == n || crash && calls > n {
						return failed
					}
					return nil
				}
				var err error
				l.router.do(func() { err = fw.Apply(context.Background(), next.fw) })
				done = calls < n
				when := fmt.Sprintf("call %d fails, crash %v", n, crash)
				switch {
				case done && err != nil:
					t.Fatalf("%s: %v", when, err)
				case err != nil && !errors.Is(err, failed):
					t.Errorf("%s: another error: %v", when, err)
				}
				l.check(t, when, old, next)
				// A failure that is noticed leaves one whole lock behind.
				if err != nil && !crash && strings.Contains(err.Error(), "putting") {
					l.check(t, when+", taken back", old)
					if text := l.saved(t, variant); len(generationsIn(text)) != 1 {
						t.Errorf("%s: generations %v are there", when, generationsIn(text))
					}
				}
				again := l.iptOpen(t, variant)
				again.call = func(string) error { l.check(t, when+", repairing", old, next); return nil }
				if n%7 != 0 { // looking costs time
					again.call = nil
				}
				l.apply(t, again, next.fw)
				again.call = nil
				if found := l.differs(t, again, next.fw); len(found) > 0 {
					t.Errorf("%s: not repaired: %q", when, found)
				}
				if got := l.foreign(t, variant); got != before {
					t.Errorf("%s: others' rules changed: %s", when, got)
				}
				l.check(t, when+", repaired", next)
				fw, old, next = again, next, old
				if t.Failed() {
					t.FailNow()
				}
			}
		}
		l.settled(t)
	})
}

// generationsIn finds the generations in the text of iptables-save.
func generationsIn(text string) map[string]bool {
	gs := map[string]bool{}
	for _, m := range named.FindAllStringSubmatch(text, -1) {
		gs[m[2]] = true
	}
	return gs
}

// TestIPTablesHalf: without a whole lock from before, the half that is there
// stays, because it is closed.
func TestIPTablesHalf(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		policies := iptPolicies()
		for _, last := range []int{2, 5, 12, 19} {
			fw := l.iptOpen(t, variant)
			jumps := 0
			fw.call = func(what string) error {
				if what != "iptables -I" {
					return nil
				}
				if jumps++; jumps > last {
					return errors.New("no more")
				}
				return nil
			}
			l.router.do(func() {
				if err := fw.Apply(context.Background(), policies["usual"].fw); err == nil {
					t.Error("no error")
				}
			})
			l.check(t, fmt.Sprintf("after %d jumps", last), policies["usual"])
			fw.call = nil
			l.apply(t, fw, nil)
			if got := l.saved(t, variant); strings.Contains(strings.ToLower(got), "lanseal-") {
				t.Errorf("after %d jumps: remains: %s", last, got)
			}
		}
		// The boot seal is such a generation too, and is replaced.
		sealed := rules.Sealed(rules.Policy{Enabled: true, LAN: []string{"lan0", "guest0"}, Exits: []rules.Exit{{Name: "se", Number: 1, Enabled: true, Device: "ls-se"}}})
		l.shell(t, variant, "iptables-restore --noflush <<'EOF'\n"+rules.IPTablesGuard(sealed.Firewall, 4)+
			"EOF\nip6tables-restore --noflush <<'EOF'\n"+rules.IPTablesGuard(sealed.Firewall, 6)+"EOF\n")
		l.check(t, "boot seal", policies["block"])
		fw := l.iptOpen(t, variant)
		fw.call = func(string) error { l.check(t, "from the boot seal", policies["block"], policies["usual"]); return nil }
		l.apply(t, fw, policies["usual"].fw)
		fw.call = nil
		if found := l.differs(t, fw, policies["usual"].fw); len(found) > 0 {
			t.Errorf("after the boot seal: %q", found)
		}
		l.settled(t)
	})
}
