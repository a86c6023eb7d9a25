package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// The flash budget: see the package's story.
const (
	saveInterval = 6 * time.Hour
	settle       = 3 * time.Second  // a change of the configuration seldom comes alone
	touchAfter   = 30 * time.Minute // see stamp
	mostSaved    = 64 << 10         // bytes of one checkpoint
	mostPerDay   = 1_000_000        // bytes of all
	reserve      = 2 * mostSaved    // of these, for a clean end
)

// What of the history a checkpoint holds at most; less, if it were too large.
const (
	savedDropouts = 50
	savedDevices  = 128
	savedEvents   = 100
)

// Save asks for a checkpoint, because the configuration has changed.
func (s *Store) Save() {
	s.mu.Lock()
	s.wanted = s.changed
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// saveDue is when to write a checkpoint; zero: nothing to do.
func (s *Store) saveDue() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due time.Time
	switch {
	case s.wanted:
		due = s.lastSaved.Add(settle)
	case s.changed:
		due = s.lastSaved.Add(saveInterval)
	default:
		return due
	}
	if due.Before(s.notSaved) {
		due = s.notSaved
	}
	return due
}

// budget counts what was written to flash on one day. It is in the file, so
// that restarts and reboots do not begin a day anew.
type budget struct {
	day, bytes int64
}

func (b *budget) left(now time.Time) int64 {
	if day := now.Unix() / 86400; day != b.day {
		*b = budget{day: day}
	}
	return mostPerDay - b.bytes
}

func (b *budget) read(v []byte) {
	day, n := binary.Varint(v)
	bytes, m := binary.Varint(v[max(n, 0):])
	if n > 0 && m > 0 {
		*b = budget{day, bytes}
	}
}

func (b *budget) write() []byte { return binary.AppendVarint(binary.AppendVarint(nil, b.day), b.bytes) }

// save writes the checkpoint. s.writing is held.
func (s *Store) save(now time.Time, atEnd bool) {
	left := s.spent.left(now)
	if !atEnd {
		left -= reserve
	}
	if left < mostSaved {
		s.mu.Lock()
		s.notSaved = now.Add(time.Hour)
		s.mu.Unlock()
		return
	}
	if s.flush(now); s.handle() == nil {
		return // the old checkpoint is better than one of nothing
	}
	s.mu.Lock()
	s.changed, s.wanted = false, false
	s.mu.Unlock()
	// Counted in full and before, so that the checkpoint itself knows of it, and
	// a write that fails half way counts too.
	s.spent.bytes += mostSaved
	b, err := s.snapshot()
	if err == nil {
		if err = os.MkdirAll(filepath.Dir(s.o.Checkpoint), 0o755); err == nil {
			err = replace(s.disk, s.o.Checkpoint, b)
		}
	}
	_ = guarded(func() error { // a budget that is lost costs a few checkpoints more
		return s.handle().Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(inMeta)).Put([]byte(keySpent), s.spent.write()) })
	})
	s.touched = s.Good() // the file bears a later one
	s.mu.Lock()
	s.lastSaved = now
	if err != nil {
		s.changed = true
		s.notSaved = now.Add(time.Hour)
	}
	s.mu.Unlock()
	if err != nil {
		s.say(fmt.Sprintf("writing the checkpoint %s failed, a reboot would lose what is newer: %v", s.o.Checkpoint, err))
	}
}

// stamp gives the checkpoint's file the last good time, without writing it:
// a hundred bytes of flash, or one block, against the six hours that a router
// would be behind after a power cut. OpenWrt's sysfixtime, too, sets the clock
// to the latest time of a file in /etc. s.writing is held.
func (s *Store) stamp() {
	good := s.Good()
	if good.Sub(s.touched) < touchAfter {
		return
	}
	s.touched = good
	_ = os.Chtimes(s.o.Checkpoint, good, good) // there may be none yet
}

// snapshot makes the bytes of a checkpoint.
func (s *Store) snapshot() ([]byte, error) {
	for events, devices := savedEvents, savedDevices; ; events, devices = events/2, devices/2 {
		b, err := s.snapshotOf(events, devices)
		if err != nil || len(b) <= mostSaved {
			return b, err
		}
		if events == 0 && devices == 0 {
			return nil, fmt.Errorf("%d bytes are more than flash is to take", len(b))
		}
	}
}

// snapshotOf copies the newest of everything into a database of its own, which
// has no free pages, beside the live file.
func (s *Store) snapshotOf(events, devices int) ([]byte, error) {
	path := s.o.Live + ".checkpoint"
	defer func() { _ = os.Remove(path) }()
	_ = os.Remove(path)
	var out bytes.Buffer
	err := guarded(func() error {
		to, err := openFile(path)
		if err != nil {
			return err
		}
		defer func() { _ = to.Close() }()
		err = s.handle().View(func(live *bbolt.Tx) error {
			return to.Update(func(tx *bbolt.Tx) error { return s.copyNewest(live, tx, events, devices) })
		})
		if err != nil {
			return err
		}
		return to.View(func(tx *bbolt.Tx) error {
			_, err := tx.WriteTo(&out)
			return err
		})
	})
	return withTrailer(out.Bytes()), err
}

func (s *Store) copyNewest(live, tx *bbolt.Tx, events, devices int) error {
	if err := migrate(tx); err != nil {
		return err
	}
	meta := tx.Bucket([]byte(inMeta))
	if err := meta.Put([]byte(keySpent), s.spent.write()); err != nil {
		return err
	}
	if v := live.Bucket([]byte(inMeta)).Get([]byte(keyGood)); v != nil {
		if err := meta.Put([]byte(keyGood), v); err != nil {
			return err
		}
	}
	last := func(bucket string, n int) error {
		to, c := tx.Bucket([]byte(bucket)), live.Bucket([]byte(bucket)).Cursor()
		for k, v := c.Last(); k != nil && n > 0; k, v = c.Prev() {
			if err := to.Put(k, v); err != nil {
				return err
			}
			n--
		}
		return nil
	}
	for bucket, n := range map[string]int{inEndpoints: mostHosts, inExits: mostExits, inDropouts: savedDropouts, inEvents: events} {
		if err := last(bucket, n); err != nil {
			return err
		}
	}
	newest := s.Devices()
	newest = newest[:min(len(newest), devices)]
	for _, d := range newest {
		if err := tx.Bucket([]byte(inDevices)).Put([]byte(d.MAC), encode(d)); err != nil {
			return err
		}
	}
	return live.Bucket([]byte(inTraffic)).ForEach(func(k, v []byte) error {
		finest := Hour
		if events < savedEvents { // it was too large with them
			finest = Day
		}
		if mac, device := strings.CutPrefix(string(k), string(OfDevice)+"/"); device {
			finest = Day
			if !slices.ContainsFunc(newest, func(d Device) bool { return d.MAC == mac }) {
				return nil
			}
		}
		x, err := decodeSeries(v)
		if err != nil {
			return err
		}
		return tx.Bucket([]byte(inTraffic)).Put(k, x.encode(finest))
	})
}
