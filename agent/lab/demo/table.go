package demo

import (
	"strings"
	"time"
)

// result is what a row has shown.
type result struct {
	id, fault, user string

	sent, answered   int
	leaked, betrayed int
	asked            int           // questions that reached the ISP's resolver
	seal             time.Duration // from the fault to the last leaked frame
	back             time.Duration // to the end of the outage
	gap              bool          // something was lost
	repaired         bool          // back counts from the repair
	bounded          bool          // its leaks are within the bound that it has
	skipped          string        // why it could not be shown
	err              error
	details          []string
}

func (r result) good() bool {
	return r.err == nil && (r.bounded || r.leaked+r.betrayed+r.asked == 0)
}

// Widths of the table's columns, and of all with the spaces between them.
const (
	idWidth    = 3
	faultWidth = 31
	sentWidth  = 6
	leakWidth  = 6
	sealWidth  = 6
	backWidth  = 8
	userWidth  = 36
	tableWidth = 1 + 2 + idWidth + 1 + faultWidth + 1 + sentWidth + 2 + leakWidth + 2 + sealWidth + 2 + backWidth + 3 + userWidth
)

func (s *screen) tableHead() {
	t := s.columns("", "", "fault or attack", "sent", "leaked", "sealed", "back", "what the user sees")
	s.line(s.paint(dim, t))
	s.line(s.paint(dim, s.text(strings.Repeat("─", tableWidth-userWidth+s.userWidth()))))
}

// userWidth is what a narrow terminal leaves for the last column.
func (s *screen) userWidth() int {
	if s.width == 0 {
		return userWidth
	}
	return max(0, min(userWidth, s.width-1-(tableWidth-userWidth)))
}

func (s *screen) columns(mark, id, fault, sent, leaked, seal, back, user string) string {
	return s.text(" " + pad(mark, 2) + pad(id, idWidth) + " " + pad(clip(fault, faultWidth), faultWidth) + " " +
		padLeft(sent, sentWidth) + "  " + padLeft(leaked, leakWidth) + "  " + padLeft(seal, sealWidth) + "  " +
		padLeft(back, backWidth) + "   " + clip(user, s.userWidth()))
}

// running is a row whose end is not yet known.
func (s *screen) running(r result, since time.Duration) string {
	return s.columns(s.text("·"), r.id, s.text(r.fault), number(r.sent), number(r.leaked), "", took(since.Truncate(100*time.Millisecond)), s.text("…"))
}

// row is a row for good.
func (s *screen) row(r result) string {
	fault, user := s.text(r.fault), s.text(r.user)
	if r.skipped != "" {
		return s.paint(dim, s.columns(s.text("–"), r.id, fault, "", "", "", "skipped", s.text(r.skipped)))
	}
	seal, back := "0 ms", noGap
	if r.leaked > 0 {
		seal = took(r.seal)
	}
	if r.gap {
		back = took(r.back)
		if r.repaired {
			back += "*"
		}
	}
	mark, st := "✓", green
	if !r.good() {
		mark, st = "✗", red
		if r.err != nil {
			back, user = s.text("–"), s.text("FAILED")
		}
	} else if r.leaked > 0 {
		mark, st = "✓", yellow
	}
	// Colours come after the layout: they have no width.
	t := s.columns("\x00", r.id, fault, number(r.sent), number(r.leaked), seal, back, user)
	t = strings.Replace(t, "\x00", s.paint(st, s.text(mark)), 1)
	if user = s.text(clip(user, s.userWidth())); user != "" && (r.leaked > 0 || !r.good()) {
		t = strings.Replace(t, user, s.paint(st, user), 1)
	}
	return t
}

// finished prints a finished row, and under it what went wrong.
func (s *screen) finished(r result) {
	s.line(s.row(r))
	if r.good() {
		return
	}
	for _, d := range r.details {
		for l := range strings.Lines(d) {
			s.line("      " + s.paint(red, s.text(clip(strings.TrimRight(l, "\n"), 104))))
		}
	}
}

// noGap is what is said when no probe was lost.
const noGap = "no gap"
