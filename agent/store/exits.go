package store

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Exit is what was counted of an exit since it was first seen.
type Exit struct {
	Name       string        `json:"name"`
	First      time.Time     `json:"first"`
	Last       time.Time     `json:"last"`
	Watched    time.Duration `json:"watched"` // while lanseal ran and the exit was enabled
	Up         time.Duration `json:"up"`      // of it
	Handshakes uint64        `json:"handshakes"`
	Handshake  time.Time     `json:"handshake,omitzero"` // the last that was counted
	RTT        time.Duration `json:"rtt"`                // smoothed as TCP does it: RFC 6298
}

type exitRecord struct {
	Exit
	Recent uptime    `json:"recent,omitzero"` // records of earlier versions have none
	at     time.Time // of the last look; monotonic
}

// longestLook is the most that counts between two looks: who was stopped or
// asleep has not watched.
const longestLook = 10 * time.Second

// Look records how an exit is now; it is called every second or so. A
// handshake is counted when its time differs from the last one's.
func (s *Store) Look(name string, up bool, rtt time.Duration, handshake, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.exits[name]
	if x == nil {
		s.makeRoomForExit()
		x = &exitRecord{Exit: Exit{Name: name, First: now.UTC().Round(time.Second)}}
		s.exits[name] = x
	}
	if !x.at.IsZero() {
		if d := now.Sub(x.at); d > 0 && d <= longestLook {
			more := watch{watched: d}
			if up {
				more.up = d
			}
			x.Watched += more.watched
			x.Up += more.up
			x.Recent.add(now, more)
		}
	}
	if !handshake.IsZero() && !handshake.Equal(x.Handshake) {
		x.Handshakes++
		x.Handshake = handshake.Round(0)
	}
	switch {
	case rtt <= 0:
	case x.RTT == 0:
		x.RTT = rtt
	default:
		x.RTT += (rtt - x.RTT) / 8
	}
	x.at, x.Last = now, now.UTC().Round(time.Second)
	if up {
		s.mark(ref{inExits, name}, false)
	} else {
		s.touch(ref{inExits, name}, false)
	}
}

// Availability is the share of the watched time in which an exit was up, from 0
// to 1: of the last 24 hours, and of the last 30 days. Where nothing was watched
// there is none.
func (s *Store) Availability(name string) (day, month *float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.exits[name]
	if x == nil {
		return nil, nil
	}
	return x.Recent.shares(s.o.Now())
}

// makeRoomForExit forgets the exit not seen for longest.
func (s *Store) makeRoomForExit() {
	if len(s.exits) < mostExits {
		return
	}
	oldest := ""
	for name, x := range s.exits {
		if oldest == "" || x.Last.Before(s.exits[oldest].Last) {
			oldest = name
		}
	}
	delete(s.exits, oldest)
	s.mark(ref{inExits, oldest}, false)
	s.forgetTraffic(trafficKey{OfExit, oldest})
}

// Exits are all that are remembered, by name.
func (s *Store) Exits() []Exit {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Exit{}
	for _, x := range s.exits {
		out = append(out, x.Exit)
	}
	slices.SortFunc(out, func(a, b Exit) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s *Store) loadExit(k, v []byte) error {
	x := &exitRecord{}
	if err := json.Unmarshal(v, x); err != nil {
		return err
	}
	if _, newer := s.exits[string(k)]; !newer {
		s.exits[string(k)] = x
	}
	return nil
}
