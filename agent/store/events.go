package store

import (
	"encoding/json"
	"time"

	"go.etcd.io/bbolt"
)

// Event is one thing that happened. IDs grow by one and are never used again.
type Event struct {
	ID   uint64    `json:"id"`
	Time time.Time `json:"time"`
	Kind string    `json:"kind"` // state, healed, uplink, clock, store, error
	Exit string    `json:"exit,omitempty"`
	Text string    `json:"text"`
}

// AddEvent records an event and gives it its ID.
func (s *Store) AddEvent(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.ID, e.Time = s.nextEvent, e.Time.UTC()
	s.nextEvent++
	s.events = append(s.events, e)
	if len(s.events) > s.o.Limits.Events { // the file has not taken any for long
		s.events = append([]Event(nil), s.events[len(s.events)-s.o.Limits.Events:]...)
	}
	s.mark(ref{inEvents, ""}, true)
}

// Events are those with a larger ID, and later than since, oldest first.
func (s *Store) Events(after uint64, since time.Time) []Event {
	s.mu.Lock()
	db, waiting := s.db, append([]Event(nil), s.events...)
	s.mu.Unlock()
	out := []Event{}
	take := func(e Event) {
		if e.ID > after && e.Time.After(since) && (len(out) == 0 || e.ID > out[len(out)-1].ID) {
			out = append(out, e)
		}
	}
	if db != nil {
		// A failure is the writer's to find and to tell.
		_ = guarded(func() error {
			return db.View(func(tx *bbolt.Tx) error {
				c := tx.Bucket([]byte(inEvents)).Cursor()
				for k, v := c.Seek(encodeID(after + 1)); k != nil; k, v = c.Next() {
					var e Event
					if json.Unmarshal(v, &e) == nil {
						take(e)
					}
				}
				return nil
			})
		})
	}
	for _, e := range waiting {
		take(e)
	}
	if over := len(out) - s.o.Limits.Events; over > 0 {
		out = out[over:]
	}
	return out
}

// writeEvents appends to the ring and takes the oldest out of it.
func writeEvents(tx *bbolt.Tx, events []Event, limit int) error {
	b := tx.Bucket([]byte(inEvents))
	for _, e := range events {
		if err := b.Put(encodeID(e.ID), encode(e)); err != nil {
			return err
		}
	}
	if len(events) == 0 {
		return nil
	}
	newest := events[len(events)-1].ID
	var old [][]byte
	c := b.Cursor()
	for k, _ := c.First(); k != nil && decodeID(k)+uint64(limit) <= newest; k, _ = c.Next() {
		old = append(old, append([]byte(nil), k...))
	}
	for _, k := range old {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
