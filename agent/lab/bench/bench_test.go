package bench

import (
	"context"
	"fmt"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanseal/lanseal/agent/lab"
)

func TestMain(m *testing.M) {
	lab.Main()
	os.Exit(m.Run())
}

func TestQuantiles(t *testing.T) {
	r := row{values: []float64{5, 1, 4, 2, 3}}
	if r.median() != 3 || r.p95() != 5 || r.values[0] != 5 {
		t.Errorf("median %v, p95 %v, values %v", r.median(), r.p95(), r.values)
	}
	var twenty row
	for i := range 20 {
		twenty.values = append(twenty.values, float64(i+1))
	}
	if twenty.median() != 10 || twenty.p95() != 19 {
		t.Errorf("of 1 to 20: median %v, p95 %v", twenty.median(), twenty.p95())
	}
	if !math.IsNaN((row{}).median()) || figure((row{}).median()) != "–" {
		t.Error("a row without samples has a number")
	}
}

func TestTable(t *testing.T) {
	rows := []row{
		{group: "a", name: "lanseal", what: "failover", unit: "ms", values: []float64{500, 600, 700}},
		{group: "a", name: "other", what: "failover", unit: "ms", values: []float64{6000}, base: "lanseal", log: true},
		{group: "b", name: "lanseal", what: "leak", unit: "ms", values: []float64{0, 0}},
	}
	got := table(rows)
	for _, want := range []string{"### a. Failover", "| × 10.0 |", "| 600    | 700  |", "### b. Seal", "| 0      | 0   |"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if got := tsv(rows); strings.Count(got, "\n") != 4 || !strings.Contains(got, "\t500 600 700\n") {
		t.Errorf("for programs:\n%s", got)
	}
}

// A plot shows something of every row, whatever the numbers are.
func TestPlot(t *testing.T) {
	for _, values := range [][]float64{{0, 0}, {1}, {0.001, 70_000}} {
		path := filepath.Join(t.TempDir(), "plot.png")
		if err := writePlot(path, []row{{group: "a", name: "lanseal", unit: "ms", values: values, log: true}, {group: "b", name: "other", unit: "MB", values: values}}); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		im, err := png.Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		bars := 0
		for y := range im.Bounds().Dy() {
			if r, g, _, _ := im.At(labelWidth, y).RGBA(); r != 0xffff || g != 0xffff {
				bars++
			}
		}
		if bars < 20 {
			t.Errorf("%v: %d lines of bars", values, bars)
		}
	}
}

func TestPick(t *testing.T) {
	all, err := pick("")
	if err != nil || len(all) != 8 {
		t.Errorf("%d measurements: %v", len(all), err)
	}
	if some, err := pick("a, h"); err != nil || len(some) != 2 || some[1].letter != "h" {
		t.Errorf("%v %v", some, err)
	}
	if _, err := pick("a,x"); err == nil {
		t.Error("there is a measurement x")
	}
}

// The harness works on the real thing: one quick measurement, once, from the
// command line to the files. No number is asserted.
func TestBenchOnce(t *testing.T) {
	if err := lab.Usable(); err != nil {
		if os.Getenv("LANSEAL_LAB") == "require" {
			t.Fatalf("LANSEAL_LAB=require: %v", err)
		}
		t.Skipf("%v; LANSEAL_LAB=require makes this a failure", err)
	}
	dir := t.TempDir()
	product := filepath.Join(dir, "lanseal")
	if out, err := exec.Command("go", "build", "-o", product, "../..").CombinedOutput(); err != nil {
		t.Fatalf("building the product: %v: %s", err, out)
	}
	picked, err := pick("b")
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	b := &bench{options: options{lanseal: product, runs: 1, out: filepath.Join(dir, "bench")}, w: &said}
	if err := b.measure(picked); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	for _, name := range []string{"results.md", "results.tsv", "results.png"} {
		if st, err := os.Stat(filepath.Join(dir, "bench", name)); err != nil || st.Size() < 100 {
			t.Errorf("%s: %v %v", name, st, err)
		}
	}
	md, _ := os.ReadFile(filepath.Join(dir, "bench", "results.md"))
	for _, what := range []string{"last leaked packet", "first ICMP error", "first refusal of a TCP"} {
		if !strings.Contains(string(md), what) {
			t.Errorf("no %q in the report:\n%s", what, md)
		}
	}
}

// A measurement that fails is said, and does not take the others' results.
func TestFailureLeavesTheRest(t *testing.T) {
	var said strings.Builder
	b := &bench{options: options{runs: 1, out: t.TempDir()}, w: &said}
	err := b.measure([]measurement{
		{"a", "fails", func(context.Context, *bench) ([]row, error) { return nil, fmt.Errorf("no traffic") }},
		{"b", "works", func(context.Context, *bench) ([]row, error) {
			return []row{{name: "lanseal", what: "one", unit: "ms", values: []float64{1}}}, nil
		}},
	})
	if err == nil || !strings.Contains(err.Error(), "a: no traffic") {
		t.Errorf("the failure is told as %v", err)
	}
	if md, _ := os.ReadFile(filepath.Join(b.out, "results.md")); !strings.Contains(string(md), "one") {
		t.Errorf("what worked is lost:\n%s", md)
	}
}
