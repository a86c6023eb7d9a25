package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
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
	b, err := readUnused(s.o.Live)
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

// readUnused reads a file that nobody else has open for writing: what another
// process is in the middle of changing looks damaged, and is not.
func readUnused(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("another process uses it: %w", err)
	}
	return io.ReadAll(f) // closing gives the lock back, for the library to take
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
