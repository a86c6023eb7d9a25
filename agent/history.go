package main

import (
	"sync"
	"time"
)

// historySize bounds the history in memory.
const historySize = 1000

// entry is one thing that happened.
type entry struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"` // state, healed, uplink, error
	Exit string    `json:"exit,omitempty"`
	Text string    `json:"text"`
}

// history is the recent past, in memory. It is read by the socket's requests
// and written by the loop.
type history struct {
	mu      sync.Mutex
	entries []entry
}

func (h *history) add(e entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.entries) >= historySize {
		h.entries = append(h.entries[:0], h.entries[len(h.entries)-historySize+1:]...)
	}
	h.entries = append(h.entries, e)
}

// since returns a copy of what is newer.
func (h *history) since(t time.Time) []entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := []entry{}
	for _, e := range h.entries {
		if e.Time.After(t) {
			out = append(out, e)
		}
	}
	return out
}
