package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// screen is where the story is told: a terminal that is redrawn in place, or a
// log that only grows.
type screen struct {
	w      io.Writer
	live   bool // lines may be redrawn
	colour bool
	utf8   bool
	width  int // columns of a terminal, 0 elsewhere

	mu    sync.Mutex
	quiet bool   // interrupted: what comes now is noise
	temp  string // the line that is to be drawn over
	fail  error  // of the first write that failed
}

// newScreen looks at what it writes to, and at the environment.
func newScreen(f *os.File, getenv func(string) string) *screen {
	s := &screen{w: f}
	if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
		s.live, s.width = getenv("TERM") != "dumb", int(ws.Col)
		s.colour = s.live && getenv("NO_COLOR") == ""
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			v = strings.ToLower(v)
			s.utf8 = strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
			break
		}
	}
	return s
}

// ascii has one character for one, so that columns stay columns.
var ascii = strings.NewReplacer("→", ">", "–", "-", "·", ",", "×", "x", "…", "~", "─", "-", "✓", "+", "✗", "X", "’", "'", "▲", "^")

// text is s as this screen can show it.
func (s *screen) text(t string) string {
	if s.utf8 {
		return t
	}
	return ascii.Replace(t)
}

type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	green  style = "32"
	red    style = "1;31"
	yellow style = "33"
	cyan   style = "36"
)

func (s *screen) paint(st style, t string) string {
	if !s.colour || st == plain || t == "" {
		return t
	}
	return "\x1b[" + string(st) + "m" + t + "\x1b[0m"
}

// line prints one line for good.
func (s *screen) line(t string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.write(strings.TrimRight(t, " ") + "\n")
}

func (s *screen) printf(format string, args ...any) {
	s.line(s.text(fmt.Sprintf(format, args...)))
}

// draw shows a line that the next one replaces; only a terminal shows it.
func (s *screen) draw(t string) {
	if !s.live {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.width > 1 {
		t = s.text(clip(t, s.width-1))
	}
	if t != s.temp {
		s.erase()
		s.write(s.paint(dim, t))
		s.temp = t
	}
}

func (s *screen) erase() {
	if s.temp != "" {
		s.write("\r\x1b[K")
		s.temp = ""
	}
}

func (s *screen) write(t string) {
	if s.quiet || s.fail != nil {
		return
	}
	_, s.fail = io.WriteString(s.w, t)
}

// hush ends all output.
func (s *screen) hush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.quiet = true
}

// broken says that nobody reads any more.
func (s *screen) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail
}

// head begins a chapter.
func (s *screen) head(n int, title string) {
	s.line("")
	s.line(s.paint(bold, s.text(fmt.Sprintf("%d  %s", n, title))))
}

const factWidth = 26

// fact is a name and what there is to say of it.
func (s *screen) fact(st style, name, format string, args ...any) {
	s.line("   " + s.paint(dim, pad(s.text(name), factWidth)) + s.paint(st, s.text(fmt.Sprintf(format, args...))))
}

// busy tells of something that takes its time, until the returned function is
// called: on a terminal at once, in a log after a second.
func (s *screen) busy(what string) (done func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	began := time.Now()
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		told := s.live
		for {
			select {
			case <-stop:
				s.mu.Lock()
				s.erase()
				s.mu.Unlock()
				return
			case <-tick.C:
				if since := time.Since(began); s.live {
					s.draw(s.text(fmt.Sprintf("   … %s  %.1f s", what, since.Seconds())))
				} else if !told && since > time.Second {
					s.printf("   … %s", what)
					told = true
				}
			}
		}
	}()
	var once sync.Once
	return func() { once.Do(func() { close(stop); <-ended }) }
}

// pad fills up to n columns; every rune here is one column wide.
func pad(t string, n int) string {
	return t + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(t)))
}

func padLeft(t string, n int) string {
	return strings.Repeat(" ", max(0, n-utf8.RuneCountInString(t))) + t
}

func clip(t string, n int) string {
	r := []rune(t)
	if len(r) <= n {
		return t
	}
	if n <= 0 {
		return ""
	}
	return string(r[:n-1]) + "…"
}

// number groups digits by three.
func number(n int) string {
	t := fmt.Sprint(n)
	for i := len(t) - 3; i > 0; i -= 3 {
		t = t[:i] + " " + t[i:]
	}
	return t
}

// took is a duration as people read it.
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < time.Millisecond:
		return "<1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
