package store

import (
	"fmt"
	"os"
	"testing"
)

// Whatever a file holds, it is looked at without panic and to an end; a series
// that is read at all is written as it was read.
func FuzzRead(f *testing.F) {
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
	var x series
	x.add(c.now, Counter{Rx: 7, Tx: 1 << 40, Blocked: 3})
	f.Add(x.encode(Minute))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = sound(b)
		if in, err := withoutTrailer(b); err == nil && len(in) >= len(b) {
			t.Error("the trailer is still there")
		}
		x, err := decodeSeries(b)
		if err != nil {
			return
		}
		again, err := decodeSeries(x.encode(Minute))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(x) {
			t.Errorf("%+v is read back as %+v: %v", x, again, err)
		}
	})
}
