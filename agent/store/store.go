package store

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// When what was recorded is written.
const (
	soon      = 5 * time.Second  // events: they explain a crash
	later     = time.Minute      // counters
	again     = 30 * time.Second // after a failure
	mostHosts = 256              // endpoints; exits are at most 120
	mostExits = 256
)

// Limits bound what is kept.
type Limits struct {
	Events, Dropouts, Devices int
}

// Small is for a router with 64 MB of memory, Large for where there is room.
func Small() Limits { return Limits{Events: 1000, Dropouts: 200, Devices: 256} }

// Large is for machines with room.
func Large() Limits { return Limits{Events: 10_000, Dropouts: 1000, Devices: 1024} }

// Options say where the files are and how much is kept.
type Options struct {
	Live       string // path of the database, in RAM where flash is small
	Checkpoint string // path of its copy that survives a reboot
	Limits     Limits
	Say        func(string)     // is told what went wrong, from any goroutine; nil: nobody is
	Now        func() time.Time // nil: time.Now
}

// Store remembers. Its methods may be called from any goroutine, and those
// that record never wait for a file.
type Store struct {
	o    Options
	disk disk
	wake chan struct{}

	writing sync.Mutex // one flush or checkpoint at a time
	spent   budget     // of writing
	loaded  bool       // of writing: the file has been read
	touched time.Time  // of writing: the time that was given to the checkpoint

	mu        sync.Mutex // the rest; never held while a file is touched
	db        *bbolt.DB  // nil: there is none now, and everything stays in memory
	said      string
	dirty     map[ref]bool // what differs from the database, and whether it is urgent
	since     time.Time    // when the oldest of it was recorded; monotonic
	urgent    time.Time    // and the oldest of it that is urgent
	retry     time.Time    // not before, after a failure
	changed   bool         // something differs from the checkpoint
	wanted    bool         // and is worth a checkpoint now
	lastSaved time.Time    // monotonic
	notSaved  time.Time    // no checkpoint before
	endpoints map[string][]netip.Addr
	good      time.Time
	restored  time.Time // of the checkpoint that the live file was made from
	exits     map[string]*exitRecord
	dropouts  []Dropout
	devices   map[string]*Device
	traffic   map[trafficKey]*trafficRecord
	events    []Event // not yet in the database
	nextEvent uint64
	nextDrop  uint64
}

// ref names one record of the database.
type ref struct{ bucket, key string }

// Open opens the live file, or makes it from the checkpoint, or begins anew.
func Open(o Options) *Store { return open(o, osDisk{}) }

func open(o Options, d disk) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	if o.Limits == (Limits{}) {
		o.Limits = Small()
	}
	s := &Store{
		o: o, disk: d, wake: make(chan struct{}, 1),
		dirty: map[ref]bool{}, endpoints: map[string][]netip.Addr{}, exits: map[string]*exitRecord{},
		devices: map[string]*Device{}, traffic: map[trafficKey]*trafficRecord{}, nextEvent: 1, nextDrop: 1,
		lastSaved: o.Now(),
	}
	s.reopen()
	return s
}

// Soon has what was recorded so far written within seconds. It is for what was
// read from counters that are not read again for a minute.
func (s *Store) Soon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.dirty) == 0 || !s.urgent.IsZero() {
		return
	}
	s.urgent = s.o.Now()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run writes what gathers, until the context ends; then it writes what is left
// and the checkpoint.
func (s *Store) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if wait := s.Turn(s.o.Now()); wait > 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			s.Close()
			return
		case <-timer.C:
		case <-s.wake:
		}
	}
}

// Turn writes what is due and says when to call again; 0: when woken.
func (s *Store) Turn(now time.Time) time.Duration {
	s.writing.Lock()
	defer s.writing.Unlock()
	if due := s.flushDue(); !due.IsZero() && !now.Before(due) {
		s.flush(now)
	}
	if due := s.saveDue(); !due.IsZero() && !now.Before(due) {
		s.save(now, false)
	}
	wait := time.Duration(0)
	for _, due := range []time.Time{s.flushDue(), s.saveDue()} {
		if !due.IsZero() && (wait == 0 || due.Sub(now) < wait) {
			wait = max(due.Sub(now), time.Millisecond)
		}
	}
	return wait
}

// Close writes everything, the checkpoint if anything changed, and gives the
// file back. What is recorded after it stays in memory.
func (s *Store) Close() {
	s.writing.Lock()
	defer s.writing.Unlock()
	now := s.o.Now()
	s.mu.Lock()
	save := s.changed
	s.retry = time.Time{}
	s.mu.Unlock()
	s.flush(now)
	if save {
		s.save(now, true)
	}
	s.mu.Lock()
	db := s.db
	s.db = nil
	s.retry = now.Add(1 << 62) // and stays closed
	s.mu.Unlock()
	if db != nil {
		_ = guarded(func() error { _ = db.Sync(); return db.Close() })
	}
}

// flushDue is when to flush; zero: nothing to do.
func (s *Store) flushDue() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.dirty) == 0 && s.db != nil {
		return time.Time{}
	}
	due := s.since.Add(later)
	if !s.urgent.IsZero() && s.urgent.Add(soon).Before(due) {
		due = s.urgent.Add(soon)
	}
	if due.Before(s.retry) {
		due = s.retry
	}
	return due
}

// mark says that a record has changed, which is worth a checkpoint some time;
// s.mu is held.
func (s *Store) mark(r ref, urgent bool) {
	s.changed = true
	s.touch(r, urgent)
}

// touch says that a record has changed in a way that flash need not know of.
func (s *Store) touch(r ref, urgent bool) {
	now := s.o.Now()
	wake := len(s.dirty) == 0
	if wake {
		s.since = now
	}
	if urgent && s.urgent.IsZero() {
		s.urgent, wake = now, true
	}
	s.dirty[r] = s.dirty[r] || urgent
	if wake {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// say tells of a problem once, until something else is to be said.
func (s *Store) say(text string) {
	s.mu.Lock()
	told := s.said == text
	s.said = text
	s.mu.Unlock()
	if !told && text != "" {
		s.o.Say(text)
	}
}
