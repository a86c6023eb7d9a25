package store

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// scale weighs what is written below a directory.
type scale struct {
	osDisk
	below  string
	bytes  int
	writes int
}

func (w *scale) Write(path string, content []byte) error {
	if strings.HasPrefix(path, w.below) {
		w.bytes += len(content)
		w.writes++
	}
	return w.osDisk.Write(path, content)
}

// day lives through a day of a busy house, five minutes at a time.
func day(s *Store, c *clock, devices int, rx *uint64) {
	for m := 0; m < 24*60; m += 5 {
		c.pass(5 * time.Minute)
		*rx += 5_000_000
		s.SetGood(c.now, true)
		s.Look("se", true, 20*time.Millisecond, c.now, c.now)
		s.Count("se", Counter{Rx: *rx, Tx: *rx / 10})
		for i := m / 5 % 4; i < devices; i += 4 {
			mac := fmt.Sprintf("aa:bb:cc:dd:%02x:%02x", i/256, i%256)
			s.Seen(mac, netip.AddrFrom4([4]byte{192, 168, byte(i / 256), byte(i)}), fmt.Sprint("a thing with a name ", i), c.now)
			s.Passed(mac, Counter{Rx: 20_000_000, Tx: 3_000_000, Blocked: 20})
		}
		if m%40 == 0 {
			s.AddEvent(Event{Time: c.now, Kind: "state", Exit: "se", Text: "exit se: up → down: sent without an answer for 3s, which is long for an exit"})
			s.BeginDropout("se", "sent without an answer", c.now)
			s.EndDropout("se", c.now.Add(time.Second))
		}
		s.Turn(c.now)
	}
}

// A day of a busy house writes at most 1 MB to flash, in checkpoints of at most
// 64 KiB, however often the configuration is changed; a day in which nothing
// changes writes nothing.
func TestFlashBudget(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	o := c.options(dir)
	s := open(o, &scale{})
	w := &scale{below: filepath.Dir(o.Checkpoint)}
	s.disk = w
	rx := uint64(0)
	day(s, c, 250, &rx)
	if w.writes != 4 || w.bytes > 4*mostSaved {
		t.Errorf("a busy day: %d checkpoints, %d bytes", w.writes, w.bytes)
	}
	t.Logf("a busy day with 250 devices: %d checkpoints, %d bytes", w.writes, w.bytes)
	info, err := os.Stat(o.Checkpoint)
	if err != nil || info.Size() > mostSaved {
		t.Errorf("the checkpoint: %v, %v", info.Size(), err)
	}
	t.Logf("a checkpoint: %d bytes", info.Size())

	*w = scale{below: w.below}
	for range 6 { // the configuration is changed every minute, by somebody's script
		for range 4 * 60 {
			c.pass(time.Minute)
			s.Save()
			s.AddEvent(Event{Time: c.now, Text: "x"})
			s.Turn(c.now)
		}
	}
	s.Close()
	if w.bytes > 2*mostPerDay || w.writes < 10 { // the 24 hours touch two days
		t.Errorf("a change every minute: %d checkpoints, %d bytes", w.writes, w.bytes)
	}
	t.Logf("a change every minute: %d checkpoints, %d bytes", w.writes, w.bytes)

	s = open(o, w)
	s.Put("x.example", addrs("192.0.2.1"))
	s.Close()
	*w = scale{below: w.below}
	s = open(o, w)
	for range 24 * 60 {
		c.pass(time.Minute)
		s.Save() // read again, and found as it was
		s.Look("se", false, 0, time.Time{}, c.now)
		s.Count("se", Counter{})
		s.Turn(c.now)
	}
	s.Close()
	if w.writes != 0 {
		t.Errorf("an idle day: %d checkpoints, %d bytes", w.writes, w.bytes)
	}
}

// The budget of a day outlives reboots.
func TestFlashBudgetIsRemembered(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	o := c.options(dir)
	w := &scale{below: filepath.Dir(o.Checkpoint)}
	for i := range 30 {
		s := open(o, w)
		for j := range 90 {
			s.AddEvent(Event{Time: c.now, Text: strings.Repeat("long ", 100) + fmt.Sprint(i, j)})
		}
		s.Close()
		if err := os.RemoveAll(filepath.Dir(o.Live)); err != nil {
			t.Fatal(err)
		}
	}
	if w.bytes > mostPerDay || w.writes < 10 {
		t.Errorf("%d reboots in a day write %d bytes", w.writes, w.bytes)
	}
}

// The live file does not grow for ever.
func TestLiveFileIsBounded(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	o := c.options(dir)
	o.Limits = Limits{Events: 100, Dropouts: 20, Devices: 16}
	s := Open(o)
	rx, sizes := uint64(0), []int64{}
	for range 8 {
		day(s, c, 24, &rx) // more than are remembered
		info, err := os.Stat(o.Live)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
	}
	s.Close()
	if last := sizes[len(sizes)-1]; last > sizes[4] || last > 512<<10 {
		t.Errorf("the file grows: %v", sizes)
	}
	t.Logf("the live file after each day: %v", sizes)
}
