package kernel

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lanseal/lanseal/rules"
)

// walkStory is one golden story of package rules: a name and its plan.
type walkStory struct {
	name   string
	policy rules.Policy
	facts  rules.Facts
	plan   rules.Plan
}

func walkStories(t *testing.T) []walkStory {
	t.Helper()
	paths, _ := filepath.Glob("../../rules/testdata/stories/*.txt")
	var all []walkStory
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		section := func(name string, into any) bool {
			_, rest, ok := strings.Cut(string(b), "\n-- "+name+" --\n")
			if ok {
				if err := json.NewDecoder(strings.NewReader(rest)).Decode(into); err != nil {
					t.Fatalf("%s: %s: %v", path, name, err)
				}
			}
			return ok
		}
		s := walkStory{name: strings.TrimSuffix(filepath.Base(path), ".txt")}
		if section("policy", &s.policy) && section("facts", &s.facts) {
			s.plan = rules.Compile(s.policy, s.facts)
			all = append(all, s)
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d stories in rules/testdata/stories", len(all))
	}
	return all
}

// held is what the kernel holds of lanseal's, as the tools print it.
func (w *walkLab) held() string {
	var b strings.Builder
	b.WriteString(w.try("nft", "-s", "list", "table", "inet", rules.NFTable))
	b.WriteString(w.try("nft", "-s", "list", "table", "inet", rules.NFTableGuard))
	b.WriteString(w.try("nft", "-s", "list", "table", "netdev", rules.NFTable))
	for _, family := range []string{"-4", "-6"} {
		// Rules of one priority exclude each other, so their order, which is
		// that of their coming, does not matter.
		for _, line := range slices.Sorted(strings.Lines(w.run("ip", family, "rule"))) {
			if ownRule.MatchString(line) {
				b.WriteString(line)
			}
		}
		for line := range strings.Lines(w.run("ip", "-N", family, "route", "show", "table", "all")) {
			if ownRoute.MatchString(line) {
				b.WriteString(line)
			}
		}
	}
	return dynamicElements.ReplaceAllString(b.String(), "$1")
}

var (
	ownRule    = regexp.MustCompile(`^5[0-2][0-9]:`)
	ownRoute   = regexp.MustCompile(` table 5(2[0-9][0-9]|3[01][0-9]|32[01]) `)
	localRoute = regexp.MustCompile(` table 255 | fe80::|ff00::/8|proto 2 |expires`) // the kernel's own, which come with addresses
)

// foreign is what the kernel holds of everybody else's.
func (w *walkLab) foreign() string {
	var b strings.Builder
	ours := false
	for line := range strings.Lines(w.run("nft", "-s", "list", "ruleset")) {
		if strings.HasPrefix(line, "table ") {
			ours = strings.HasPrefix(line, "table inet lanseal") || strings.HasPrefix(line, "table netdev lanseal ")
		}
		if !ours {
			b.WriteString(line)
		}
	}
	for _, family := range []string{"-4", "-6"} {
		for line := range strings.Lines(w.run("ip", family, "rule")) {
			if !ownRule.MatchString(line) {
				b.WriteString(line)
			}
		}
		for line := range strings.Lines(w.run("ip", "-N", family, "route", "show", "table", "all")) {
			if !ownRoute.MatchString(line) && !localRoute.MatchString(line) {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

// look observes and says what the kernel is to be taken to hold: the firewall
// only if it is exactly the one applied last.
func (w *walkLab) look(want rules.Plan, last *rules.Firewall) State {
	w.t.Helper()
	s, err := w.k.Observe()
	if err != nil {
		w.t.Fatalf("observing: %v", err)
	}
	s.ReadSysctls(want.Sysctls)
	s.Have.Firewall = last
	return s
}

// goTo brings the kernel to a plan step by step; between the steps, probe is
// called with how many have been taken.
func (w *walkLab) goTo(want rules.Plan, last *rules.Firewall, between func(steps int)) {
	w.t.Helper()
	s := w.look(want, last)
	for i, step := range rules.Steps(s.Have, want) {
		if err := w.k.Apply(context.Background(), s, []rules.Step{step}); err != nil {
			w.t.Fatalf("step %d, %s: %v", i, step, err)
		}
		if between != nil {
			between(i + 1)
		}
	}
}

// settled fails unless the kernel is known to hold the plan: nothing to do, and
// no difference in the firewall.
func (w *walkLab) settled(name string, want rules.Plan) {
	w.t.Helper()
	for _, step := range rules.Steps(w.look(want, want.Firewall).Have, want) {
		if step.Kind != rules.StepFirewall || want.Firewall != nil {
			w.t.Errorf("%s: applied, and still to do: %s", name, step)
		}
	}
	diffs, err := w.k.FirewallDiffers(context.Background(), want.Firewall)
	if err != nil || len(diffs) > 0 {
		w.t.Errorf("%s: applied, and the firewall differs: %v %v", name, diffs, err)
	}
}

// From any story to any other: the kernel ends up as if there had been no story
// before, nothing of others' is touched, and after every single step no packet
// of the LAN leaves by a way that neither story allows.
func TestWalkOverStories(t *testing.T) {
	w := newWalkLab(t)
	w.plantForeign()
	foreign, before := w.foreign(), w.sysctls()
	all := walkStories(t)
	direct := map[string]string{}
	for _, s := range all {
		w.goTo(s.plan, nil, nil)
		w.settled(s.name, s.plan)
		direct[s.name] = w.held()
		if s.plan.Firewall != nil && len(direct[s.name]) < 1000 {
			t.Fatalf("%s: the kernel holds next to nothing:\n%s", s.name, direct[s.name])
		}
		w.goTo(rules.Plan{}, s.plan.Firewall, nil)
		if left := w.held(); left != "" {
			t.Fatalf("%s: taken down, and left behind:\n%s", s.name, left)
		}
		if now := w.sysctls(); now != before {
			t.Fatalf("%s: taken down, and sysctls stay changed:\n%s\nbefore:\n%s", s.name, now, before)
		}
	}
	seed := uint64(20261123)
	d := rand.New(rand.NewPCG(seed, 1))
	now := walkStory{name: "nothing"}
	probes := 0
	for _, i := range append(d.Perm(len(all)), d.Perm(len(all))[:8]...) {
		next := all[i]
		allowed := map[string]map[string]bool{}
		for _, p := range walkProbes {
			allowed[p.name] = map[string]bool{}
			for _, plan := range []rules.Plan{now.plan, next.plan} {
				for _, device := range w.ways(plan, p.flow()) {
					allowed[p.name][device] = true
				}
			}
		}
		w.goTo(next.plan, now.plan.Firewall, func(steps int) {
			for _, p := range walkProbes {
				w.send(p, fmt.Sprintf("%s→%s after step %d", now.name, next.name, steps))
				probes++
			}
		})
		for _, got := range w.arrived() {
			if !allowed[got.probe][got.device] {
				t.Errorf("%s: the probe %s arrived at %s (allowed: %v)", got.when, got.probe, got.device, allowed[got.probe])
			}
		}
		w.settled(now.name+"→"+next.name, next.plan)
		if held := w.held(); held != direct[next.name] {
			t.Errorf("%s→%s: the kernel is not as %s alone makes it:\n%s", now.name, next.name, next.name, walkDiff(direct[next.name], held))
		}
		if f := w.foreign(); f != foreign {
			t.Fatalf("%s→%s: what belongs to others has changed:\n%s", now.name, next.name, walkDiff(foreign, f))
		}
		w.control(next)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		now = next
	}
	w.goTo(rules.Plan{}, now.plan.Firewall, nil)
	if left := w.held(); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
	if s := w.sysctls(); s != before {
		t.Errorf("sysctls stay changed:\n%s", walkDiff(before, s))
	}
	t.Logf("%d stories, %d probes between steps", len(all), probes)
}

// From garbage in lanseal's own ranges every story is reached as well.
func TestWalkFromGarbage(t *testing.T) {
	w := newWalkLab(t)
	w.plantForeign()
	foreign := w.foreign()
	all := walkStories(t)
	for _, name := range []string{"usual", "devices", "two_lans", "via_direct", "killswitch_off", "disabled"} {
		s := all[slices.IndexFunc(all, func(s walkStory) bool { return s.name == name })]
		w.goTo(s.plan, nil, nil)
		want := w.held()
		w.plantGarbage()
		if w.held() == want {
			t.Fatal("the garbage changed nothing")
		}
		w.goTo(s.plan, nil, nil)
		w.settled(name, s.plan)
		if held := w.held(); held != want {
			t.Errorf("%s: garbage is left:\n%s", name, walkDiff(want, held))
		}
		if f := w.foreign(); f != foreign {
			t.Errorf("%s: what belongs to others has changed:\n%s", name, walkDiff(foreign, f))
		}
	}
}

// walkDiff shows the lines that only one of two texts has.
func walkDiff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for _, l := range w {
		if !slices.Contains(g, l) {
			fmt.Fprintln(&b, "-", strings.TrimSpace(l))
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) {
			fmt.Fprintln(&b, "+", strings.TrimSpace(l))
		}
	}
	if b.Len() == 0 {
		for i := range w {
			if w[i] != g[i] {
				return fmt.Sprintf("the same lines in another order, from line %d:\n- %s\n+ %s", i+1, w[i], g[i])
			}
		}
	}
	return b.String()
}
