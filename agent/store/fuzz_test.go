package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Whatever a file holds, the store opens, works and closes.
func FuzzOpen(f *testing.F) {
	c := newClock()
	o := c.options(f.TempDir())
	s := Open(o)
	fill(s, c)
	s.Close()
	for _, path := range []string{o.Live, o.Checkpoint} {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir, c := t.TempDir(), newClock()
		o := c.options(dir)
		for _, path := range []string{o.Live, o.Checkpoint} {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := Open(o)
		s.AddEvent(Event{Time: time.Now(), Text: "on"})
		if es := s.Events(0, time.Time{}); len(es) == 0 || es[len(es)-1].Text != "on" {
			t.Error("it does not go on")
		}
		s.Close()
	})
}
