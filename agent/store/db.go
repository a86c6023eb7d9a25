package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// The buckets.
const (
	inMeta      = "meta"
	inEndpoints = "endpoints"
	inExits     = "exits"
	inDropouts  = "dropouts"
	inDevices   = "devices"
	inTraffic   = "traffic"
	inEvents    = "events"
)

// The keys of bucket meta.
const (
	keySchema = "schema"
	keyGood   = "good"
	keySpent  = "spent"
)

// migrations lead from each version of the schema to the next; a new file has
// version 0.
func migrations() []func(*bbolt.Tx) error {
	return []func(*bbolt.Tx) error{
		func(tx *bbolt.Tx) error { // to 1
			for _, name := range []string{inEndpoints, inExits, inDropouts, inDevices, inTraffic, inEvents} {
				if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// errNewer says that a later version of lanseal made the file.
var errNewer = errors.New("a newer lanseal made it")

// guarded runs what reads or writes mapped memory: the library panics on what
// it does not expect, and a disk that is full or gone shows as a fault.
func guarded(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if r := recover(); r != nil {
			err = damaged{fmt.Errorf("the database failed: %v", r)}
		}
	}()
	return f()
}

// damaged is an error after which a file must not be used again.
type damaged struct{ error }

// reopen opens the live file; it is called where there is none open.
func (s *Store) reopen() {
	now := s.o.Now()
	if err := os.MkdirAll(filepath.Dir(s.o.Live), 0o755); err != nil {
		s.failed(now, "making the directory of the store failed, history is kept in memory alone: ", err)
		return
	}
	db, err := s.openLive()
	if errors.As(err, new(damaged)) {
		s.say(fmt.Sprintf("the store %s is damaged and set aside: %v", s.o.Live, err))
		if err = setAside(s.disk, s.o.Live); err == nil {
			db, err = s.openLive()
		}
	}
	if err != nil {
		s.failed(now, "opening the store failed, history is kept in memory alone: ", err)
		return
	}
	if !s.loaded {
		if err := guarded(func() error { return db.View(s.load) }); err != nil {
			_ = guarded(db.Close)
			s.abandon(now, err)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		s.markAll()
	}
	s.db, s.loaded = db, true
}

func (s *Store) openLive() (*bbolt.DB, error) {
	b, err := os.ReadFile(s.o.Live)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(b) == 0:
		if s.loaded {
			break // what is in memory is newer
		}
		if err := s.restore(); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		if err := sound(b); err != nil {
			return nil, damaged{err}
		}
	}
	var db *bbolt.DB
	err = guarded(func() (err error) {
		db, err = openFile(s.o.Live)
		return err
	})
	if err == nil {
		if err = guarded(func() error { return db.Update(migrate) }); err != nil {
			_ = guarded(db.Close)
		}
	}
	if errors.Is(err, errNewer) {
		err = damaged{err}
	}
	return db, err
}

// restore makes the live file from the checkpoint, if there is a good one.
func (s *Store) restore() error {
	b, err := os.ReadFile(s.o.Checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		if b, err = withoutTrailer(b); err == nil {
			err = sound(b)
		}
		if err != nil {
			s.say(fmt.Sprintf("the checkpoint %s is damaged and set aside: %v", s.o.Checkpoint, err))
			return setAside(s.disk, s.o.Checkpoint)
		}
		err = replace(s.disk, s.o.Live, b)
	}
	if info, e := os.Stat(s.o.Checkpoint); err == nil && e == nil {
		s.mu.Lock()
		s.restored = info.ModTime()
		s.mu.Unlock()
	}
	return err
}

// openFile opens a database as small routers need it. Nothing is synced: the
// file is in RAM, or what a power cut costs is in the checkpoint. The list of
// free pages is written, although that costs a page: without it the library
// searches the file for them when it opens it, in a goroutine whose panics
// nobody can catch. The file grows by 64 KiB, not by 16 MB, and the mapping
// starts at 32 KiB and doubles, so that only what is used counts as memory.
func openFile(path string) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: time.Second, NoSync: true, NoGrowSync: true, PageSize: pageSize,
		FreelistType: bbolt.FreelistArrayType, NoStatistics: true,
	})
	if err == nil {
		db.AllocSize = 64 << 10
	}
	return db, err
}

// migrate brings a file to the newest version of the schema.
func migrate(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists([]byte(inMeta))
	if err != nil {
		return err
	}
	version, _ := binary.Uvarint(meta.Get([]byte(keySchema)))
	ms := migrations()
	if version > uint64(len(ms)) {
		return errNewer
	}
	for _, m := range ms[version:] {
		if err := m(tx); err != nil {
			return fmt.Errorf("migrating it: %w", err)
		}
	}
	return meta.Put([]byte(keySchema), binary.AppendUvarint(nil, uint64(len(ms))))
}

// load fills the memory from the file; what was recorded before it could be
// opened wins.
func (s *Store) load(tx *bbolt.Tx) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.good.IsZero() {
		s.good = decodeTime(tx.Bucket([]byte(inMeta)).Get([]byte(keyGood)))
		if !s.good.IsZero() && s.restored.After(s.good) {
			s.good = s.restored.Truncate(time.Second)
		}
	}
	s.spent.read(tx.Bucket([]byte(inMeta)).Get([]byte(keySpent)))
	early := s.dropouts
	s.dropouts = nil
	loads := map[string]func(k, v []byte) error{
		inEndpoints: s.loadEndpoints, inExits: s.loadExit, inDropouts: s.loadDropout, inDevices: s.loadDevice, inTraffic: s.loadTraffic,
	}
	for name, one := range loads {
		if err := tx.Bucket([]byte(name)).ForEach(one); err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
	}
	s.renumberDropouts(early)
	last, _ := tx.Bucket([]byte(inEvents)).Cursor().Last()
	for i := range s.events {
		s.events[i].ID += decodeID(last)
	}
	s.nextEvent += decodeID(last)
	return nil
}

// markAll has everything in memory written to a new file; s.mu is held.
func (s *Store) markAll() {
	for h := range s.endpoints {
		s.mark(ref{inEndpoints, h}, false)
	}
	for name := range s.exits {
		s.mark(ref{inExits, name}, false)
	}
	for mac := range s.devices {
		s.mark(ref{inDevices, mac}, false)
	}
	for _, d := range s.dropouts {
		s.mark(ref{inDropouts, string(encodeID(d.ID))}, false)
	}
	s.mark(ref{inMeta, keyGood}, false)
}

// put is one record to be written; a nil value deletes.
type put struct {
	ref
	value []byte
}

// flush writes what has gathered in one transaction. s.writing is held.
func (s *Store) flush(now time.Time) {
	s.mu.Lock()
	closed := s.db == nil
	s.mu.Unlock()
	if closed {
		if s.reopen(); s.handle() == nil {
			return
		}
	}
	s.mu.Lock()
	taken := s.dirty
	puts := s.collect(taken)
	events, counts := slices.Clone(s.events), s.takeTraffic()
	db := s.db
	s.dirty, s.since, s.urgent = map[ref]bool{}, time.Time{}, time.Time{}
	s.mu.Unlock()
	if len(taken) == 0 {
		return
	}
	err := guarded(func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			for _, p := range puts {
				b := tx.Bucket([]byte(p.bucket))
				if p.value == nil {
					if err := b.Delete([]byte(p.key)); err != nil {
						return err
					}
				} else if err := b.Put([]byte(p.key), p.value); err != nil {
					return err
				}
			}
			if err := writeTraffic(tx, counts, now); err != nil {
				return err
			}
			return writeEvents(tx, events, s.o.Limits.Events)
		})
	})
	if err == nil {
		s.mu.Lock()
		if len(events) > 0 {
			written := events[len(events)-1].ID
			s.events = slices.DeleteFunc(s.events, func(e Event) bool { return e.ID <= written })
		}
		s.mu.Unlock()
		s.say("")
		s.stamp()
		return
	}
	s.mu.Lock()
	for r, urgent := range taken {
		s.dirty[r] = s.dirty[r] || urgent
	}
	s.giveBackTraffic(counts)
	s.mu.Unlock()
	if errors.As(err, new(damaged)) {
		s.abandon(now, err)
		return
	}
	s.failed(now, "writing the store failed, history is kept in memory meanwhile: ", err)
}

func (s *Store) handle() *bbolt.DB {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db
}

// abandon sets a file aside that failed while it was in use. It is not closed:
// the library may hold locks that it will never give back.
func (s *Store) abandon(now time.Time, err error) {
	s.mu.Lock()
	s.db = nil
	s.mu.Unlock()
	if e := setAside(s.disk, s.o.Live); e != nil {
		err = errors.Join(err, e)
	}
	s.failed(now, "the store is damaged and set aside: ", err)
}

func (s *Store) failed(now time.Time, what string, err error) {
	s.mu.Lock()
	if s.retry.Before(now.Add(again)) {
		s.retry = now.Add(again)
	}
	if s.since.IsZero() {
		s.since = now
	}
	s.mu.Unlock()
	s.say(what + err.Error())
}

// collect encodes the records that have changed; s.mu is held. Traffic and
// events are written by their own.
func (s *Store) collect(dirty map[ref]bool) []put {
	var out []put
	for r := range dirty {
		switch r.bucket {
		case inMeta:
			out = append(out, put{r, encodeTime(s.good)})
		case inEndpoints:
			out = append(out, put{r, encodeAddrs(s.endpoints[r.key])})
		case inExits:
			var v []byte
			if x := s.exits[r.key]; x != nil {
				v = encode(x)
			}
			out = append(out, put{r, v})
		case inDropouts:
			var v []byte
			if d := s.dropout(decodeID([]byte(r.key))); d != nil {
				v = encode(d)
			}
			out = append(out, put{r, v})
		case inDevices:
			var v []byte
			if d := s.devices[r.key]; d != nil {
				v = encode(d)
			}
			out = append(out, put{r, v})
		}
	}
	return out
}

// encode is for types that always can be.
func encode(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}

func encodeTime(t time.Time) []byte { return binary.AppendVarint(nil, t.Unix()) }

func decodeTime(b []byte) time.Time {
	n, used := binary.Varint(b)
	if used <= 0 {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

func encodeID(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

func decodeID(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
