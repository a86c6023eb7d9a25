package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// clock is a time that the test moves; it carries no monotonic reading. It is
// ahead of the machine's, whose time the files bear.
type clock struct{ now time.Time }

// newClock begins ten minutes into the next day: ahead of what the machine wrote
// just now, and, at whatever hour the test runs, not about to cross one.
func newClock() *clock {
	return &clock{time.Now().UTC().Truncate(24 * time.Hour).Add(24*time.Hour + 10*time.Minute)}
}
func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }
func (c *clock) options(dir string) Options {
	return Options{Live: filepath.Join(dir, "ram", "state.db"), Checkpoint: filepath.Join(dir, "flash", "state.db"), Now: func() time.Time { return c.now }}
}

// told collects what a store says.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (t *told) say(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, s)
}

func (t *told) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

func addrs(ss ...string) (out []netip.Addr) {
	for _, s := range ss {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

const tv = "aa:bb:cc:dd:ee:01"

// fill records one of everything.
func fill(s *Store, c *clock) {
	s.Put("VPN.example.net", addrs("192.0.2.10", "2001:db8::1"))
	s.SetGood(c.now, true)
	s.Seen(tv, netip.MustParseAddr("192.168.1.50"), "tv", c.now)
	for range 5 {
		s.Look("se", true, 20*time.Millisecond, c.now.Add(-time.Second), c.now)
		s.Count("se", Counter{Rx: uint64(c.now.Unix()), Tx: 10})
		s.Passed(strings.ToUpper(tv), Counter{Rx: 7, Blocked: 3})
		c.pass(time.Second)
	}
	s.BeginDropout("se", "silent", c.now)
	c.pass(3 * time.Second)
	s.EndDropout("se", c.now)
	s.AddEvent(Event{Time: c.now, Kind: "state", Exit: "se", Text: "exit se: up → down"})
	s.AddEvent(Event{Time: c.now, Kind: "healed", Text: "healed: ip rule 520"})
}

// whole is all that a store remembers, as text.
func whole(s *Store) string {
	return fmt.Sprint(s.Get("vpn.example.net"), s.Good().UTC(), s.Devices(), s.Exits(), s.Events(0, time.Time{}), durations(s.Dropouts()),
		passed(s.Traffic(OfExit, "se", Hour)), passed(s.Traffic(OfDevice, tv, Day)), shares(s, "se"))
}

// shares are an exit's availability, as text.
func shares(s *Store, exit string) string {
	text := func(x *float64) string {
		if x == nil {
			return "unknown"
		}
		return fmt.Sprintf("%.3f", *x)
	}
	day, month := s.Availability(exit)
	return text(day) + " " + text(month)
}

// passed leaves out the slots in which nothing did: a series goes on with time.
func passed(all []Sample) []Sample {
	return slices.DeleteFunc(all, func(x Sample) bool { return x.Rx == 0 && x.Tx == 0 && x.Blocked == 0 })
}

func durations(ds []Dropout) (out []string) {
	for _, d := range ds {
		out = append(out, fmt.Sprint(d.ID, d.Exit, d.Start, d.End, d.Duration, d.Reason))
	}
	return out
}

// What was recorded is read back at once, after a restart, and after a reboot
// that leaves the checkpoint alone.
func TestRemembers(t *testing.T) {
	dir, c, said := t.TempDir(), newClock(), &told{}
	o := c.options(dir)
	o.Say = said.say
	s := Open(o)
	fill(s, c)
	before := whole(s)
	for _, want := range []string{"192.0.2.10", tv, "se", "healed: ip rule 520", "silent", "3s"} {
		if !strings.Contains(before, want) {
			t.Errorf("%s is not remembered:\n%s", want, before)
		}
	}
	if x := s.Exits()[0]; x.Up != 4*time.Second || x.Watched != 4*time.Second || x.Handshakes != 5 || x.RTT != 20*time.Millisecond {
		t.Errorf("the exit's account is %+v", x)
	}
	if got := s.Traffic(OfExit, "se", Minute); got[len(got)-1].Rx != 4 {
		t.Errorf("traffic %+v", got)
	}
	if got := s.LastDay(OfDevice, tv); got != (Counter{Rx: 35, Blocked: 15}) {
		t.Errorf("traffic of the device %+v", got)
	}
	s.Close()
	s = Open(o)
	if after := whole(s); after != before {
		t.Errorf("after a restart:\n%s\ninstead of\n%s", after, before)
	}
	s.Count("se", Counter{Rx: uint64(c.now.Unix()) + 100, Tx: 10}) // the device has gone on
	if got := s.Traffic(OfExit, "se", Hour); got[len(got)-1].Rx != 4+104 {
		t.Errorf("traffic while no agent ran: %+v", got)
	}
	s.AddEvent(Event{Time: c.now, Kind: "state", Text: "back"})
	before = whole(s)
	s.Close()
	if err := os.RemoveAll(filepath.Join(dir, "ram")); err != nil {
		t.Fatal(err)
	}
	s = Open(o)
	defer s.Close()
	if after := whole(s); after != before {
		t.Errorf("after a reboot:\n%s\ninstead of\n%s", after, before)
	}
	s.Count("se", Counter{Rx: 70, Tx: 10}) // a new device; its counters began anew
	if got := s.Traffic(OfExit, "se", Hour); got[len(got)-1].Rx != 4+104 {
		t.Errorf("a counter first seen is taken for traffic: %+v", got)
	}
	s.Count("se", Counter{Rx: 50, Tx: 5}) // made again
	if got := s.Traffic(OfExit, "se", Hour); got[len(got)-1].Rx != 4+104+50 {
		t.Errorf("a counter that was reset: %+v", got)
	}
	if said.String() != "" {
		t.Errorf("said: %s", said)
	}
}

func TestEventsSince(t *testing.T) {
	c := newClock()
	o := c.options(t.TempDir())
	o.Limits = Limits{Events: 10, Dropouts: 3, Devices: 4}
	s := Open(o)
	defer s.Close()
	for i := range 25 {
		s.AddEvent(Event{Time: c.now, Kind: "state", Text: fmt.Sprint("event ", i+1)})
		c.pass(time.Second)
		if i%4 == 0 {
			s.Turn(c.now.Add(time.Minute))
		}
		all := s.Events(0, time.Time{})
		if len(all) != min(i+1, 10) || all[len(all)-1].Text != fmt.Sprint("event ", i+1) {
			t.Fatalf("after %d events: %v", i+1, all)
		}
	}
	if got := s.Events(23, time.Time{}); len(got) != 2 || got[0].ID != 24 {
		t.Errorf("after event 23: %v", got)
	}
	if got := s.Events(0, c.now.Add(-3*time.Second)); len(got) != 2 {
		t.Errorf("of the last seconds: %v", got)
	}
	for i := range 10 {
		s.BeginDropout("se", fmt.Sprint(i), c.now)
		s.BeginDropout("se", "again", c.now)
		c.pass(time.Second)
		s.EndDropout("se", c.now)
		s.Seen(fmt.Sprintf("aa:bb:cc:dd:ee:%02d", i), netip.Addr{}, "", c.now)
		s.Passed(fmt.Sprintf("aa:bb:cc:dd:ee:%02d", i), Counter{Rx: 5})
		s.Turn(c.now.Add(time.Minute))
	}
	if ds := s.Dropouts(); len(ds) != 3 || ds[2].Reason != "9" || ds[2].Duration != time.Second {
		t.Errorf("dropouts %+v", ds)
	}
	if ds := s.Devices(); len(ds) != 4 || ds[0].MAC != "aa:bb:cc:dd:ee:09" {
		t.Errorf("devices %+v", ds)
	}
	if s.Passed("aa:bb:cc:dd:ee:99", Counter{Rx: 9}); len(s.Traffic(OfDevice, "aa:bb:cc:dd:ee:99", Day)) != 0 {
		t.Error("traffic of a device that was never seen")
	}
	if len(s.Traffic(OfDevice, "aa:bb:cc:dd:ee:00", Day)) != 0 || len(s.Traffic(OfDevice, "aa:bb:cc:dd:ee:09", Day)) != 1 {
		t.Error("traffic of devices that were forgotten or not")
	}
}

// Minutes, hours and days are kept for as long as they should be, also when
// the clock steps.
func TestTrafficRings(t *testing.T) {
	var x series
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for m := range 40 * 24 * 60 {
		x.add(start.Add(time.Duration(m)*time.Minute), Counter{Rx: 1})
	}
	for sp, want := range map[Span]uint64{Minute: 1, Hour: 60, Day: 1440} {
		got := x.samples(sp)
		if len(got) != sp.slots() || got[0].Rx != want || got[len(got)-1].Rx != want || got[1].At.Sub(got[0].At) != time.Duration(sp.width())*time.Second {
			t.Errorf("span %d: %d samples, %+v … %+v", sp, len(got), got[0], got[len(got)-1])
		}
	}
	back := start.Add(40*24*time.Hour - 30*time.Minute)
	x.add(back, Counter{Rx: 100})
	if got := x.samples(Minute); len(got) != 60 || got[30].Rx != 101 {
		t.Errorf("half an hour back: %+v", got)
	}
	x.add(start.AddDate(-1, 0, 0), Counter{Rx: 7})
	for sp := range spans {
		if got := x.samples(sp); len(got) != 1 || got[0].Rx != 7 {
			t.Errorf("a year back, span %d: %+v", sp, got)
		}
	}
	again, err := decodeSeries(x.encode(Minute))
	if err != nil || fmt.Sprint(again) != fmt.Sprint(x) {
		t.Errorf("read back: %+v, %v", again, err)
	}
}

// After a power cut the last good time is at most half an hour old, although
// the checkpoint is six hours old: its file bears the time.
func TestGoodAfterAPowerCut(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	o := c.options(dir)
	s := Open(o)
	s.SetGood(c.now, true)
	s.Close()
	s = Open(o)
	w := &scale{below: dir}
	s.disk = w
	for range 4 * 60 {
		c.pass(time.Minute)
		s.SetGood(c.now, true)
		s.Turn(c.now)
	}
	if w.writes != 0 {
		t.Errorf("%d files were written", w.writes)
	}
	if err := os.RemoveAll(filepath.Dir(o.Live)); err != nil {
		t.Fatal(err)
	}
	s = Open(o)
	defer s.Close()
	if behind := c.now.Sub(s.Good()); behind < 0 || behind > 32*time.Minute {
		t.Errorf("the last good time is %s behind", behind)
	}
}

// A time that is certain counts as it is, another only if it is later.
func TestGood(t *testing.T) {
	c := newClock()
	s := Open(c.options(t.TempDir()))
	defer s.Close()
	for _, step := range []struct {
		by      time.Duration
		certain bool
		counts  bool
	}{{0, false, true}, {10 * time.Second, false, false}, {time.Hour, false, true}, {-2 * time.Hour, false, false}, {0, true, true}} {
		c.pass(step.by)
		s.SetGood(c.now, step.certain)
		if s.Good().Equal(c.now) != step.counts {
			t.Errorf("%+v: %v at %v", step, s.Good(), c.now)
		}
	}
}

func TestSchema(t *testing.T) {
	c, said := newClock(), &told{}
	o := c.options(t.TempDir())
	o.Say = said.say
	made := func(version uint64, fill func(*bbolt.Tx)) {
		t.Helper()
		_ = os.Remove(o.Live)
		if err := os.MkdirAll(filepath.Dir(o.Live), 0o755); err != nil {
			t.Fatal(err)
		}
		db, err := openFile(o.Live)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte(inMeta))
			if err == nil && version > 0 {
				err = b.Put([]byte(keySchema), binary.AppendUvarint(nil, version))
			}
			fill(tx)
			return err
		})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// Version 0 has a part of the buckets and is brought up, with what is in it.
	made(0, func(tx *bbolt.Tx) {
		b, err := tx.CreateBucket([]byte(inEndpoints))
		if err == nil {
			err = b.Put([]byte("old.example.net"), []byte(`["192.0.2.1"]`))
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	s := Open(o)
	if got := s.Get("old.example.net"); !slices.Equal(got, addrs("192.0.2.1")) || said.String() != "" {
		t.Errorf("after the migration: %v, %s", got, said)
	}
	fill(s, c)
	s.Close()
	if s = Open(o); len(s.Events(0, time.Time{})) != 2 {
		t.Error("the migrated file keeps nothing")
	}
	s.Close()
	// A later version's is set aside.
	made(99, func(*bbolt.Tx) {})
	_ = os.Remove(o.Checkpoint)
	s = Open(o)
	defer s.Close()
	if !strings.Contains(said.String(), "a newer lanseal made it") {
		t.Errorf("said: %s", said)
	}
	if s.AddEvent(Event{Time: c.now, Text: "on"}); len(s.Events(0, time.Time{})) != 1 {
		t.Error("it does not go on")
	}
	if _, err := os.Stat(o.Live + ".damaged"); err != nil {
		t.Error(err)
	}
}

// Nobody who records waits, and nothing races.
func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := Open(Options{Live: dir + "/live/state.db", Checkpoint: dir + "/flash/state.db", Say: func(text string) { t.Error(text) }})
	var recorders sync.WaitGroup
	for n := range 4 {
		recorders.Go(func() {
			for i := range 200 {
				now := time.Now()
				mac := fmt.Sprintf("aa:bb:cc:dd:%02d:%02d", n, i%50)
				s.Seen(mac, netip.Addr{}, "x", now)
				s.Passed(mac, Counter{Rx: uint64(i)})
				s.Look(fmt.Sprint("e", n), true, time.Millisecond, now, now)
				s.AddEvent(Event{Time: now, Text: "x"})
				s.Events(uint64(i), time.Time{})
				s.Traffic(OfDevice, mac, Minute)
				if i%20 == 0 {
					s.Turn(now.Add(time.Hour))
				}
			}
		})
	}
	recorders.Wait()
	s.Close()
	if n := len(s.Exits()); n != 4 {
		t.Errorf("%d exits", n)
	}
	if s = Open(Options{Live: dir + "/live/state.db", Checkpoint: dir + "/flash/state.db"}); len(s.Events(0, time.Time{})) != 800 {
		t.Errorf("%d events", len(s.Events(0, time.Time{})))
	}
	s.Close()
}

// The last day of a device is 24 hours, over restarts too; what it did before
// is not of it.
func TestLastDay(t *testing.T) {
	c := newClock()
	o := c.options(t.TempDir())
	s := Open(o)
	s.Seen(tv, netip.Addr{}, "", c.now)
	for range 30 {
		s.Passed(tv, Counter{Rx: 100, Tx: 10, Blocked: 1})
		s.Close()
		s = Open(o)
		c.pass(time.Hour)
	}
	if got := s.LastDay(OfDevice, tv); got != (Counter{Rx: 2300, Tx: 230, Blocked: 23}) { // this hour has none
		t.Errorf("%+v", got)
	}
	c.pass(25 * time.Hour)
	if got := s.LastDay(OfDevice, tv); got != (Counter{}) {
		t.Errorf("a day later: %+v", got)
	}
	s.Close()
}

// Availability is of the last day and the last month: what was not watched does
// not count, a restart loses nothing, and what is older is over.
func TestAvailability(t *testing.T) {
	c := newClock()
	o := c.options(t.TempDir())
	s := Open(o)
	watch := func(d time.Duration, up bool) {
		for range d / (10 * time.Second) {
			s.Look("se", up, 0, time.Time{}, c.now)
			c.pass(10 * time.Second)
		}
		s.Look("se", up, 0, time.Time{}, c.now)
		s.Close() // and nobody watches
		s = Open(o)
		c.pass(time.Hour)
	}
	check := func(when, want string) {
		t.Helper()
		if got := shares(s, "se"); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	check("at first", "unknown unknown")
	watch(3*time.Hour, true)
	check("up for three hours", "1.000 1.000")
	watch(time.Hour, false)
	check("then down for one", "0.750 0.750")
	c.pass(48 * time.Hour)
	check("two days later", "unknown 0.750")
	watch(4*time.Hour, true)
	check("up again", "1.000 0.875")
	c.pass(-30 * time.Minute)
	check("the clock was set back", "1.000 0.875")
	if err := os.RemoveAll(filepath.Dir(o.Live)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = Open(o)
	check("after a reboot", "1.000 0.875")
	c.pass(29 * 24 * time.Hour)
	check("a month later", "unknown 1.000")
	c.pass(5 * 24 * time.Hour)
	check("and over", "unknown unknown")
	s.Close()
}

// A record of a version that knew no availability is read, and a damaged one
// is not believed.
func TestAvailabilityOfOldRecords(t *testing.T) {
	x := &exitRecord{}
	if err := json.Unmarshal([]byte(`{"name":"se","first":"2026-11-01T00:00:00Z","last":"2026-11-02T00:00:00Z","watched":100,"up":90,"handshakes":3,"rtt":5}`), x); err != nil || !x.Recent.IsZero() {
		t.Errorf("%+v, %v", x, err)
	}
	if text := string(encode(x)); strings.Contains(text, "recent") {
		t.Errorf("nothing is written as %s", text)
	}
	x.Recent.add(time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), watch{3 * time.Second, 2 * time.Second})
	again := &exitRecord{}
	if err := json.Unmarshal(encode(x), again); err != nil || fmt.Sprint(again.Recent) != fmt.Sprint(x.Recent) {
		t.Errorf("%+v became %+v, %v", x.Recent, again.Recent, err)
	}
	for _, bad := range []string{`"AA=="`, `"/////w=="`, `"AQABAg=="`, `7`} {
		if err := json.Unmarshal([]byte(`{"recent":`+bad+`}`), again); err == nil {
			t.Errorf("%s was believed: %+v", bad, again.Recent)
		}
	}
}

// A checkpoint of many exits, busy for a month, fits into what it may take.
func TestManyExits(t *testing.T) {
	c := newClock()
	o := c.options(t.TempDir())
	s := Open(o)
	for i := range 31 * 24 {
		for n := range 40 {
			name := fmt.Sprint("e", n)
			s.Look(name, n%2 == 0, 0, time.Time{}, c.now)
			s.Look(name, n%2 == 0, 0, time.Time{}, c.now.Add(10*time.Second))
			s.Count(name, Counter{Rx: uint64(i) << 24, Tx: uint64(i) << 20})
		}
		if i%24 == 0 {
			s.Turn(c.now)
		}
		c.pass(time.Hour)
	}
	s.Close()
	info, err := os.Stat(o.Checkpoint)
	if err != nil || info.Size() > mostSaved {
		t.Fatalf("the checkpoint: %v, %v", info, err)
	}
	t.Logf("a checkpoint of 40 exits: %d bytes", info.Size())
}
