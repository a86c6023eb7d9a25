package rules_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanseal/lanseal/rules"
)

var update = flag.Bool("update", false, "write the golden stories anew")

// story is one file of testdata/stories: a sentence, then sections headed by
// "-- name --". A policy with facts makes a plan and its nft text; "boot" is a
// policy of which the seal is made; "strict" has no input at all. Each line of
// "flows" is a packet, and after the arrow what becomes of it.
type story struct {
	name, sentence string
	sections       map[string]string
}

func readStory(t testing.TB, path string) story {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := story{name: strings.TrimSuffix(filepath.Base(path), ".txt"), sections: map[string]string{}}
	section := ""
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(name, " --") {
			section = strings.TrimSuffix(name, " --")
			s.sections[section] = ""
			continue
		}
		s.sections[section] += line
	}
	s.sentence = strings.TrimSpace(s.sections[""])
	return s
}

func stories(t testing.TB) []story {
	t.Helper()
	paths, err := filepath.Glob("testdata/stories/*.txt")
	if err != nil || len(paths) < 20 {
		t.Fatalf("only %d stories: %v", len(paths), err)
	}
	var all []story
	for _, p := range paths {
		all = append(all, readStory(t, p))
	}
	return all
}

func (s story) has(section string) bool {
	_, ok := s.sections[section]
	return ok
}

func (s story) decode(t testing.TB, section string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(s.sections[section]))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: section %s: %v", s.name, section, err)
	}
}

func (s story) policy(t testing.TB) (p rules.Policy, f rules.Facts) {
	t.Helper()
	s.decode(t, "policy", &p)
	s.decode(t, "facts", &f)
	return p, f
}

// told is what the code makes of the story's input: section by section, in
// the order of the file.
func (s story) told(t testing.TB) (sections []string, text map[string]string) {
	t.Helper()
	text = map[string]string{}
	add := func(name, content string) {
		sections = append(sections, name)
		text[name] = strings.TrimRight(content, "\n") + "\n"
	}
	var plan rules.Plan
	switch {
	case s.has("strict"):
		add("strict", "")
		add("nft", rules.NFTStrict())
		return sections, text
	case s.has("boot"):
		var p rules.Policy
		s.decode(t, "boot", &p)
		plan = rules.Sealed(p)
		add("boot", s.sections["boot"])
		add("flows", explained(t, plan, s.sections["flows"]))
		add("plan", plan.Text())
		add("nft", rules.GuardFile(p))
	default:
		p, f := s.policy(t)
		plan = rules.Compile(p, f)
		add("policy", s.sections["policy"])
		add("facts", s.sections["facts"])
		add("flows", explained(t, plan, s.sections["flows"]))
		add("plan", plan.Text())
		add("nft", rules.NFT(plan.Firewall))
		if s.has("net") {
			add("net", rules.NFTNet(plan.Firewall))
		}
	}
	return sections, text
}

const arrow = " ⇒ "

// explained writes behind each flow what the plan does with it.
func explained(t testing.TB, p rules.Plan, flows string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(flows) {
		flow, _, _ := strings.Cut(strings.TrimSpace(line), arrow)
		if flow != "" {
			fmt.Fprintf(&b, "%s%s%s\n", flow, arrow, rules.Explain(p, parseFlow(t, flow)))
		}
	}
	return b.String()
}

// parseFlow reads "br-lan [mac] 192.168.1.50 > 198.51.100.10 tcp 443".
func parseFlow(t testing.TB, line string) rules.Flow {
	t.Helper()
	from, to, _ := strings.Cut(line, " > ")
	l, r := strings.Fields(from), strings.Fields(to)
	f := rules.Flow{In: l[0], Src: netip.MustParseAddr(l[len(l)-1]), Dst: netip.MustParseAddr(r[0]), Proto: r[1]}
	if len(l) == 3 {
		f.MAC = l[1]
	}
	if len(r) == 3 {
		port, err := strconv.ParseUint(r[2], 10, 16)
		if err != nil {
			t.Fatalf("flow %q: %v", line, err)
		}
		f.Dport = uint16(port)
	}
	return f
}

func (s story) write(t testing.TB) string {
	t.Helper()
	sections, text := s.told(t)
	var b strings.Builder
	b.WriteString(s.sentence + "\n")
	for _, name := range sections {
		fmt.Fprintf(&b, "\n-- %s --\n%s", name, strings.TrimLeft(text[name], "\n"))
	}
	return b.String()
}

// Every story is told by the code as its file tells it.
func TestStories(t *testing.T) {
	for _, s := range stories(t) {
		t.Run(s.name, func(t *testing.T) {
			path := "testdata/stories/" + s.name + ".txt"
			got := s.write(t)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := firstDifference(string(want), got); diff != "" {
				t.Errorf("%s is not what the code makes of it (go test ./rules -update writes it anew):\n%s", path, diff)
			}
			if len(s.sentence) < 20 || !strings.HasSuffix(s.sentence, ".") {
				t.Errorf("a story begins with a sentence, not %q", s.sentence)
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "(end)", "(end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\n  file: %s\n  code: %s", i+1, a, b)
		}
	}
	return ""
}

// cannot ends a test that this machine cannot run: a failure where the lab is
// required, so that nothing passes by skipping.
func cannot(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("LANSEAL_LAB") == "require" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// nftAlone runs the real nft in an empty network namespace of its own.
func nftAlone(stdin string, args ...string) error {
	cmd := exec.Command("nft", args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

var hookedTo = regexp.MustCompile(`devices = \{[^}]*\}`)

// The real nft accepts every story's text, in a check and in earnest.
func TestStoriesLoad(t *testing.T) {
	if err := nftAlone("add table inet probe\n", "-f", "-"); err != nil {
		cannot(t, "nft in a network namespace of its own: %v", err)
	}
	if err := nftAlone("table inet x { chain y { no such statement } }\n", "-c", "-f", "-"); err == nil {
		t.Fatal("nft accepts anything here, so its word means nothing")
	}
	for _, s := range stories(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			_, text := s.told(t)
			if err := nftAlone(text["nft"], "-c", "-f", "-"); err != nil {
				t.Errorf("nft -c: %v", err)
			}
			// Twice over: each text also replaces what it made itself.
			if err := nftAlone(text["nft"]+text["nft"], "-f", "-"); err != nil {
				t.Errorf("nft -f: %v", err)
			}
			// The uplinks are not there, and older kernels ask for them.
			net := hookedTo.ReplaceAllString(text["net"], `devices = { "lo" }`)
			if err := nftAlone(net+net, "-f", "-"); err != nil {
				t.Errorf("nft -f, the third net: %v", err)
			}
		})
	}
}

// The boot seal's file says what it was made from, so that the same seal can be
// laid from the file alone.
func TestGuardFileReadsBack(t *testing.T) {
	n := 0
	for _, s := range stories(t) {
		if !s.has("boot") {
			continue
		}
		n++
		var p rules.Policy
		s.decode(t, "boot", &p)
		file := rules.GuardFile(p)
		back, ok := rules.ParseGuard(file)
		if !ok {
			t.Errorf("%s: its own file is not understood", s.name)
		}
		// The file does not name the exits, through which nothing goes then.
		p.Exits = nil
		if diff := firstDifference(rules.GuardFile(p), rules.GuardFile(back)); diff != "" {
			t.Errorf("%s: the seal laid from the file differs: %s", s.name, diff)
		}
		if plan, again := rules.Sealed(p).Text(), rules.Sealed(back).Text(); plan != again {
			t.Errorf("%s: its routing lock differs: %s", s.name, firstDifference(plan, again))
		}
	}
	if n == 0 {
		t.Error("no story of the boot seal")
	}
	for _, bad := range []string{"", "table inet x {}\n", "# lanseal guard: wan=eth0 dns=tunnel\n"} {
		if _, ok := rules.ParseGuard(bad); ok {
			t.Errorf("%q is taken for a boot seal's file", bad)
		}
	}
}

// A plan for 250 devices with rules of their own is made and printed in a
// moment, and the firewall that packets meet does not grow with them: they are
// elements of one map.
func TestManyDevices(t *testing.T) {
	p, f := newDice(1).protected(), newDice(1).facts()
	p.Devices = nil
	few := strings.Count(rules.NFT(rules.Compile(p, f).Firewall), "\n")
	for i := range 250 {
		p.Devices = append(p.Devices, rules.Device{
			Name: fmt.Sprint("d", i), MACs: []string{fmt.Sprintf("02:00:00:00:00:%02x", i)},
			IPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 168, 1, byte(i)})}, Via: []string{exitNames[i%len(exitNames)], rules.ViaBlock},
		})
	}
	start := time.Now()
	plan := rules.Compile(p, f)
	text := rules.NFT(plan.Firewall)
	steps := rules.Steps(rules.Plan{}, plan)
	if took := time.Since(start); took > 250*time.Millisecond {
		t.Errorf("the plan for 250 devices took %v", took)
	}
	loads := slices.DeleteFunc(slices.Clone(steps), func(s rules.Step) bool { return s.Kind != rules.StepFirewall })
	if len(loads) != 1 {
		t.Errorf("%d loads of the firewall instead of one", len(loads))
	}
	if more := strings.Count(text, "\n") - few; more > 2*250+10 {
		t.Errorf("250 devices add %d lines", more)
	}
	if err := nftAlone(text, "-f", "-"); err != nil && os.Getenv("LANSEAL_LAB") == "require" {
		t.Errorf("nft: %v", err)
	}
}
