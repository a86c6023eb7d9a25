package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong, where, and what would be right.
type Problem struct {
	File    string // path of the UCI file or of a tunnel file
	Line    int    // from 1; 0: the file as a whole
	Section string // "device 'tv'", or "[Peer]" in a tunnel file; may be empty
	Option  string // "via", or "Endpoint" in a tunnel file; may be empty
	Message string
}

// String is the line a user reads:
//
//	/etc/config/lanseal:31: device 'tv': option 'via': no exit named "moscw" (did you mean "moscow"?)
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	tunnelFile := strings.HasPrefix(p.Section, "[")
	if p.Section != "" {
		b.WriteString(p.Section)
		if tunnelFile && p.Option != "" {
			b.WriteString(" ")
		} else {
			b.WriteString(": ")
		}
	}
	switch {
	case p.Option == "":
	case tunnelFile:
		b.WriteString(p.Option + ": ")
	default:
		b.WriteString("option '" + p.Option + "': ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Errors is everything that is wrong, in the order of the lines.
type Errors []Problem

// Error prints one line per problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Problems returns the problems in err, if it is an [Errors], else none.
func Problems(err error) []Problem {
	var es Errors
	if errors.As(err, &es) {
		return es
	}
	return nil
}

// asError sorts by line within each file and turns "no problems" into nil. The
// order of files is the order in which they first appear.
func asError(ps []Problem) error {
	if len(ps) == 0 {
		return nil
	}
	order := map[string]int{}
	for _, p := range ps {
		if _, ok := order[p.File]; !ok {
			order[p.File] = len(order)
		}
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if d := order[a.File] - order[b.File]; d != 0 {
			return d
		}
		return a.Line - b.Line
	})
	return Errors(ps)
}

// didYouMean is ` (did you mean "moscow"?)` for the nearest of the candidates,
// or nothing when none is nearer than three edits. Two edits in a word of two
// letters are another word, so the distance must be less than both lengths.
func didYouMean(given string, candidates []string) string {
	best, at := "", 3
	low := strings.ToLower(given)
	for _, c := range candidates {
		d := distance(low, strings.ToLower(c))
		if d < at && d < len(c) && d < len(given) {
			best, at = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance counts the edits between a and b: insert, delete, replace one byte,
// or swap two neighbours. Words longer than 64 bytes are "far": a message never
// needs them, and the time stays bounded.
func distance(a, b string) int {
	const far = 99
	if len(a) > 64 || len(b) > 64 {
		return far
	}
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// shown quotes a value for a message. It shortens long ones, and does not
// repeat what looks like a key (32 or more characters of base64 or hex in a
// row): people paste private keys into the wrong line.
func shown(s string) string {
	run := 0
	for i := range len(s) {
		c := s[i]
		if isAlnum(c) || c == '+' || c == '/' || c == '=' {
			if run++; run >= 32 {
				return "a value that looks like a key (not repeated here)"
			}
			continue
		}
		run = 0
	}
	if len(s) > 80 {
		return fmt.Sprintf("%q…", s[:80])
	}
	return fmt.Sprintf("%q", s)
}

// about joins a value and what is wrong with it: `"lo" is the loopback device`
// or `"eth/0": a device name has only …`.
func about(value, problem string) string { return joined(shown(value), problem) }

func joined(shownValue, problem string) string {
	verb, _, _ := strings.Cut(problem, " ")
	switch verb {
	case "is", "has", "belongs", "begins", "cannot":
		return shownValue + " " + problem
	}
	return shownValue + ": " + problem
}

// quotedList is `'a', 'b' or 'c'`.
func quotedList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = "'" + v + "'"
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
