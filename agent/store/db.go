package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
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
