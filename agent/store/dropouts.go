package store

import (
	"encoding/json"
	"slices"
	"time"
)

// Dropout is a time in which an exit, or with an empty name the whole, carried
// nothing. An open one has no end yet.
type Dropout struct {
	ID       uint64        `json:"id"`
	Exit     string        `json:"exit,omitempty"`
	Start    time.Time     `json:"start"`
	End      time.Time     `json:"end,omitzero"`
	Duration time.Duration `json:"duration"` // nanoseconds; measured, also over a step of the clock
	Reason   string        `json:"reason"`

	began time.Time // monotonic; zero after a restart
}

// BeginDropout opens one, unless one of this exit is open.
func (s *Store) BeginDropout(exit, reason string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.openDropout(exit) != nil {
		return
	}
	s.dropouts = append(s.dropouts, Dropout{ID: s.nextDrop, Exit: exit, Start: now.UTC().Round(0), Reason: reason, began: now})
	s.mark(ref{inDropouts, string(encodeID(s.nextDrop))}, true)
	s.nextDrop++
	for len(s.dropouts) > s.o.Limits.Dropouts {
		s.mark(ref{inDropouts, string(encodeID(s.dropouts[0].ID))}, false)
		s.dropouts = slices.Delete(s.dropouts, 0, 1)
	}
}

// EndDropout closes the open one of this exit, if there is one.
func (s *Store) EndDropout(exit string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.openDropout(exit)
	if d == nil {
		return
	}
	d.End = now.UTC().Round(0)
	d.Duration = max(0, d.End.Sub(d.Start))
	if !d.began.IsZero() {
		d.Duration = now.Sub(d.began)
	}
	s.mark(ref{inDropouts, string(encodeID(d.ID))}, true)
}

func (s *Store) openDropout(exit string) *Dropout {
	for i := len(s.dropouts) - 1; i >= 0; i-- {
		if d := &s.dropouts[i]; d.Exit == exit {
			if d.End.IsZero() {
				return d
			}
			return nil
		}
	}
	return nil
}

func (s *Store) dropout(id uint64) *Dropout {
	if i := slices.IndexFunc(s.dropouts, func(d Dropout) bool { return d.ID == id }); i >= 0 {
		return &s.dropouts[i]
	}
	return nil
}

// Dropouts are oldest first.
func (s *Store) Dropouts() []Dropout {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Dropout{}, s.dropouts...)
}

func (s *Store) loadDropout(_, v []byte) error {
	var d Dropout
	if err := json.Unmarshal(v, &d); err != nil {
		return err
	}
	s.dropouts = append(s.dropouts, d)
	s.nextDrop = max(s.nextDrop, d.ID+1)
	return nil
}

// renumberDropouts appends those that were recorded before the file could be
// opened; s.mu is held.
func (s *Store) renumberDropouts(early []Dropout) {
	for r := range s.dirty {
		if r.bucket == inDropouts {
			delete(s.dirty, r)
		}
	}
	for _, d := range early {
		d.ID = s.nextDrop
		s.nextDrop++
		s.dropouts = append(s.dropouts, d)
		s.mark(ref{inDropouts, string(encodeID(d.ID))}, true)
	}
}
