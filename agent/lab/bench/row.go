package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// row is one line of the report.
type row struct {
	group  string    // "a"
	name   string    // "lanseal"
	what   string    // "silence of server A to traffic through B"
	unit   string    // "ms"
	values []float64 // samples
	base   string    // the name of the row of the same group and unit that it is compared with
	note   string
	log    bool // values of the group span orders of magnitude
}

// quantile is the nearest rank, so that it is a value that was measured.
func (r row) quantile(q float64) float64 {
	if len(r.values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(r.values))
	return v[max(0, int(math.Ceil(q*float64(len(v))))-1)]
}

func (r row) median() float64 { return r.quantile(0.5) }
func (r row) p95() float64    { return r.quantile(0.95) }

// figure prints a number with about three digits that mean something.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case v == 0:
		return "0"
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.01:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// ratio compares a row's median with its base's.
func ratio(rows []row, r row) string {
	for _, b := range rows {
		if r.base != "" && b.group == r.group && b.name == r.base && b.unit == r.unit && b.median() != 0 {
			return "× " + figure(r.median()/b.median())
		}
	}
	return ""
}

// titles are the measurements' names, by their letter.
func titles() map[string]string {
	t := map[string]string{}
	for _, m := range measurements() {
		t[m.letter] = m.title
	}
	return t
}

// table is the report for people: Markdown, in columns that also read well on a
// terminal.
func table(rows []row) string {
	var b strings.Builder
	for _, g := range groups(rows) {
		fmt.Fprintf(&b, "\n### %s. %s\n\n", g, titles()[g])
		cells := [][]string{{"what", "who", "median", "p95", "unit", "ratio", "runs", "note"}, {"---", "---", "--:", "--:", "---", "--:", "--:", "---"}}
		for _, r := range rows {
			if r.group == g {
				cells = append(cells, []string{r.what, r.name, figure(r.median()), figure(r.p95()), r.unit, ratio(rows, r), fmt.Sprint(len(r.values)), r.note})
			}
		}
		width := make([]int, len(cells[0]))
		for _, line := range cells {
			for i, c := range line {
				width[i] = max(width[i], len([]rune(c)))
			}
		}
		for _, line := range cells {
			for i, c := range line {
				b.WriteString("| " + c + strings.Repeat(" ", width[i]-len([]rune(c))+1))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

// groups are the letters in their order.
func groups(rows []row) (gs []string) {
	for _, r := range rows {
		if !slices.Contains(gs, r.group) {
			gs = append(gs, r.group)
		}
	}
	return gs
}

// tsv is the report for programs, with every sample.
func tsv(rows []row) string {
	var b strings.Builder
	b.WriteString("group\twhat\twho\tunit\tmedian\tp95\truns\tsamples\n")
	for _, r := range rows {
		samples := make([]string, len(r.values))
		for i, v := range r.values {
			samples[i] = fmt.Sprintf("%.6g", v)
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\t%.6g\t%.6g\t%d\t%s\n", r.group, r.what, r.name, r.unit, r.median(), r.p95(), len(r.values), strings.Join(samples, " "))
	}
	return b.String()
}
