package lab

import (
	"context"
	"os"
	"time"
)

// TB is the part of testing.TB that the lab needs; importing testing itself
// would put its flags into every binary that uses the lab.
type TB interface {
	Helper()
	Name() string
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
	Cleanup(func())
	Failed() bool
}

// ForTest builds a ready lab and closes it with the test. At the end a capture
// that lost frames fails the test, and a failed test leaves a pcap and the
// agent's log. Where there is no root the test fails under LANSEAL_LAB=require
// and is skipped, with the reason, elsewhere.
func ForTest(t TB, o Options) *Lab {
	t.Helper()
	if err := Usable(); err != nil {
		if os.Getenv("LANSEAL_LAB") == "require" {
			t.Fatalf("LANSEAL_LAB=require: %v", err)
		}
		t.Skipf("%v; LANSEAL_LAB=require makes this a failure", err)
	}
	l, err := New(o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		for _, w := range []*Wire{l.WAN, l.WAN2} {
			if w == nil {
				continue
			}
			if err := w.Check(); err != nil {
				t.Errorf("%v", err)
			}
			if t.Failed() {
				path, err := w.WritePcap(t.Name())
				t.Logf("the last frames on %s: %s %v", w.Name, path, err)
			}
		}
		if t.Failed() {
			for _, a := range l.Agents() {
				t.Logf("agent's log:\n%s", a.Log())
			}
		}
		l.Close()
	})
	if err := l.Ready(context.Background()); err != nil {
		t.Fatalf("the lab is not ready: %v", err)
	}
	return l
}

// NoLeak fails the test when anything leaked on any wire since the marks that
// MarkAll gave, or when a server saw the ISP's customer; it prints the first
// frames.
func (l *Lab) NoLeak(t TB, since Marks, traffic ...*Traffic) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for w, m := range since {
		if err := w.Drain(ctx); err != nil {
			t.Errorf("%v", err)
		}
		if err := w.Check(); err != nil {
			t.Errorf("%v", err)
		}
		if n := w.Count(Leak, m); n > 0 {
			t.Errorf("%d frames leaked on %s", n, w.Name)
			for i, f := range w.Leaks(m) {
				if i == 10 {
					break
				}
				t.Errorf("  %s", f)
			}
		}
	}
	for _, tr := range traffic {
		if n, lines := tr.Betrayed(); n > 0 {
			t.Errorf("servers saw the ISP's customer %d times: %v", n, lines)
		}
	}
}

// Marks are one mark for every wire.
type Marks map[*Wire]Mark

// MarkAll marks every wire.
func (l *Lab) MarkAll() Marks {
	m := Marks{l.WAN: l.WAN.MarkTime()}
	if l.WAN2 != nil {
		m[l.WAN2] = l.WAN2.MarkTime()
	}
	return m
}
