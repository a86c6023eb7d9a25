package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lanseal/lanseal/agent/lab"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) {
	lab.Main()
	os.Exit(m.Run())
}

// Every row fits its columns, and can be picked by name.
func TestRowsFit(t *testing.T) {
	keys := map[string]bool{}
	for _, r := range allRows() {
		if n := utf8.RuneCountInString(r.fault); n > faultWidth || n == 0 {
			t.Errorf("%q has %d columns, there are %d", r.fault, n, faultWidth)
		}
		if n := utf8.RuneCountInString(r.user); n > userWidth {
			t.Errorf("%q has %d columns, there are %d", r.user, n, userWidth)
		}
		if len(r.id) > idWidth || keys[r.key] || r.key == "" || r.lay == nil {
			t.Errorf("row %q: id %q, key %q", r.fault, r.id, r.key)
		}
		keys[r.key] = true
	}
	if tableWidth > 110 {
		t.Errorf("the table has %d columns", tableWidth)
	}
	for _, k := range []string{keyDeleted, keyRules, keyFirewall, keyBoth} {
		if !keys[k] {
			t.Errorf("the summary speaks of %q, which is no row", k)
		}
	}
}

func TestPick(t *testing.T) {
	some, err := pick(allRows(), "t9,boot")
	if err != nil || len(some) != 3 {
		t.Errorf("%d rows, %v", len(some), err)
	}
	if _, err := pick(allRows(), "T2,nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an unknown row: %v", err)
	}
}

// What every kind of row looks like, on a terminal of today and on a plain one.
func TestTable(t *testing.T) {
	ms := time.Millisecond
	rows := []result{
		{id: "T2", fault: "tunnel device deleted ×3", user: "a pause", sent: 1234, gap: true, back: 95 * ms},
		{id: "T9", fault: "0/1 + 128/1 by DHCP option 121", user: "nothing", sent: 332},
		{id: "T8", fault: "WAN unplugged, plugged in again", user: "no internet without a cable", sent: 277, gap: true, back: 1234 * ms, repaired: true},
		{id: "T7", fault: "both locks removed at once", user: "14 packets in 47 ms, then sealed", sent: 395, leaked: 14, seal: 47 * ms, bounded: true, gap: true, back: 179 * ms},
		{id: "T4", fault: "userspace WireGuard killed -9", user: "a pause", skipped: "WireGuard is in the kernel here"},
		{id: "T6", fault: "policy routing tables flushed", user: "a blink", sent: 224, leaked: 3, seal: 12 * ms, details: []string{"leaked: UDP 203.0.113.2:4000 → 198.51.100.10:7"}},
		{id: "T3", fault: "server silent, second exit", user: "", sent: 9000, err: errors.New("x"), details: []string{"not back after 40s: no answer for udp4\nand more"}},
		{id: "D1", fault: "DNS, TCP 53, DoT at the ISP's", user: "", sent: 90, asked: 2, details: []string{"the ISP's resolver was asked 2 times"}},
		{id: "T1", fault: strings.Repeat("far too long ", 9), user: strings.Repeat("words ", 20), sent: 99999},
	}
	var b strings.Builder
	for _, s := range []*screen{{w: &b, utf8: true}, {w: &b}, {w: &b, utf8: true, colour: true}, {w: &b, utf8: true, live: true, width: 80}} {
		s.tableHead()
		for _, r := range rows {
			s.finished(r)
		}
		fmt.Fprintln(&b)
	}
	golden(t, "table.golden", b.String())
	plain := strings.Split(b.String(), "\n\n")
	for l := range strings.Lines(plain[1]) {
		if l = strings.TrimSuffix(l, "\n"); len(l) > 110 || strings.ContainsFunc(l, func(r rune) bool { return r > 126 || r < 32 }) {
			t.Errorf("not a plain line of at most 110 columns: %q", l)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 ms", 300 * time.Microsecond: "<1 ms", 47 * time.Millisecond: "47 ms", 6049 * time.Millisecond: "6.0 s"} {
		if got := took(d); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
	for n, want := range map[int]string{7: "7", 999: "999", 1000: "1 000", 1234567: "1 234 567"} {
		if got := number(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	was := snapshot{"ip rules": "0: local\n1: main", "nft ruleset": ""}
	if d := was.differs(snapshot{"ip rules": "0: local\n1: main", "nft ruleset": ""}); d != nil {
		t.Errorf("the same differs: %q", d)
	}
	if d := was.differs(snapshot{"ip rules": "0: local\n510: x", "nft ruleset": ""}); len(d) != 1 || !strings.Contains(d[0], "510: x") {
		t.Errorf("another: %q", d)
	}
}

// needsLab builds the product, or skips where there can be no lab.
func needsLab(t *testing.T) (binary string) {
	t.Helper()
	if err := (&Options{}).needs(); err != nil {
		if os.Getenv("LANSEAL_LAB") == "require" {
			t.Fatalf("LANSEAL_LAB=require: %v", err)
		}
		t.Skipf("%v; LANSEAL_LAB=require makes this a failure", err)
	}
	binary = filepath.Join(t.TempDir(), "lanseal")
	if out, err := exec.Command("go", "build", "-o", binary, "../..").CombinedOutput(); err != nil {
		t.Fatalf("building the product: %v: %s", err, out)
	}
	return binary
}

// show runs the demo and checks that it leaves nothing behind.
func show(t *testing.T, o Options) (status int, output string) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir()) // for what a failure saves
	f, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	status = o.show(newScreen(f, os.Getenv))
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	mine := fmt.Sprintf("lanseal-%d-", os.Getpid())
	for _, pattern := range []string{"/run/netns/" + mine + "*", "/run/lanseal-lab/" + mine + "*"} {
		if left, _ := filepath.Glob(pattern); left != nil {
			t.Errorf("left behind: %v", left)
		}
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, l := range lines {
		cmd, _ := os.ReadFile(l)
		stat, _ := os.ReadFile(filepath.Join(filepath.Dir(l), "stat"))
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest) // state, parent, …; what has ended has no command line
		child := len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) && len(cmd) > 0
		if child || strings.Contains(string(cmd), mine) {
			t.Errorf("a process is left: %q", cmd)
		}
	}
	return status, string(b)
}

// The demo shows what it promises, and its status says that nothing leaked.
func TestDemo(t *testing.T) {
	status, out := show(t, Options{Lanseal: needsLab(t), Only: "device deleted,both locks,tunnelvision"})
	if status != held {
		t.Fatalf("status %d:\n%s", status, out)
	}
	for _, want := range []string{"203.0.113.2", "192.0.2.10", "2001:db8:a::10", "device deleted ×3", "0/1 + 128/1", "both locks", "as it was", "HELD"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output says nothing of %q:\n%s", want, out)
		}
	}
	if strings.ContainsRune(out, '\x1b') {
		t.Error("colours in a file")
	}
}

// A lanseal that only says that it protects does not pass.
func TestDemoSeesALiar(t *testing.T) {
	binary := needsLab(t)
	liar := binary + "-liar"
	script := `#!/bin/sh
case "$*" in
*" run") exec sleep 600 ;;
*" guard") echo sealed ;;
*" status --json") echo '{"state":"protected","reason":"trust me"}' ;;
*) exec ` + binary + ` "$@" ;;
esac
`
	if err := os.WriteFile(liar, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	status, out := show(t, Options{Lanseal: liar, Only: "tunnelvision"})
	if status != failed || !strings.Contains(out, "FAILED") || strings.Contains(out, "HELD") {
		t.Errorf("status %d:\n%s", status, out)
	}
}

// Both locks removed while nobody can heal them: the bound does not hide it.
func TestDemoSeesABrokenSeal(t *testing.T) {
	for _, r := range locksRows() {
		if r.key != keyBoth {
			continue
		}
		r.lay = func(ctx context.Context, d *demo) error { return errors.Join(d.a.Stop(), bothLocks(ctx, d)) }
		r.repair = func(_ context.Context, d *demo) error { return d.a.Cont() }
		status, out := show(t, Options{Lanseal: needsLab(t), Only: "tunnelvision", extra: []row{r}})
		if status != failed || !strings.Contains(out, "FAILED: 1 row,") || !strings.Contains(out, "leaked: ") {
			t.Errorf("status %d:\n%s", status, out)
		}
	}
}
