package store

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// Of says whose traffic it is.
type Of string

// Whose traffic is kept: an exit's by its name, a device's by its MAC.
const (
	OfExit   Of = "exit"
	OfDevice Of = "device"
)

// Counter is bytes received and sent, and packets refused: since a kernel's
// counters began, or in some time.
type Counter struct {
	Rx, Tx, Blocked uint64
}

// Sample is what passed in one slot of time, which begins at At.
type Sample struct {
	At      time.Time `json:"at"`
	Rx      uint64    `json:"rx_bytes"`
	Tx      uint64    `json:"tx_bytes"`
	Blocked uint64    `json:"blocked_packets"`
}

// Span is the length of a slot.
type Span int

// The spans, and how many slots of each are kept.
const (
	Minute Span = iota // 60
	Hour               // 48
	Day                // 31
	spans
)

func (s Span) width() int64 { return [spans]int64{60, 3600, 86400}[s] } // seconds
func (s Span) slots() int   { return [spans]int{60, 48, 31}[s] }

type trafficKey struct {
	of   Of
	name string
}

func (k trafficKey) String() string { return string(k.of) + "/" + k.name }

// trafficRecord is the part of one series that is not in the database yet.
type trafficRecord struct {
	last  Counter // as the kernel showed it
	known bool    // there is a last one
	fresh Counter // since the last flush
	gone  bool    // the series is to be deleted
}

// Count records an exit's counters as the kernel shows them. Counters that are
// less than they were began anew, with the device that they belong to.
func (s *Store) Count(exit string, c Counter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := trafficKey{OfExit, exit}
	r := s.trafficOf(k)
	if !r.known {
		r.last, r.known = c, true
		return
	}
	if c == r.last {
		return
	}
	more := Counter{grown(r.last.Rx, c.Rx), grown(r.last.Tx, c.Tx), grown(r.last.Blocked, c.Blocked)}
	r.last = c
	if more == (Counter{}) {
		return
	}
	r.fresh.add(more)
	s.mark(ref{inTraffic, k.String()}, false)
}

// Passed records what passed for a device since the last call. One that was
// never [Store.Seen] is not counted.
func (s *Store) Passed(mac string, more Counter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mac = strings.ToLower(mac)
	if s.devices[mac] == nil || more == (Counter{}) {
		return
	}
	k := trafficKey{OfDevice, mac}
	s.trafficOf(k).fresh.add(more)
	s.mark(ref{inTraffic, k.String()}, false)
}

// trafficOf is the series' record, made if there is none; s.mu is held.
func (s *Store) trafficOf(k trafficKey) *trafficRecord {
	r := s.traffic[k]
	if r == nil {
		r = &trafficRecord{}
		s.traffic[k] = r
	}
	return r
}

func (c *Counter) add(more Counter) {
	c.Rx, c.Tx, c.Blocked = c.Rx+more.Rx, c.Tx+more.Tx, c.Blocked+more.Blocked
}

func grown(old, now uint64) uint64 {
	if now < old {
		return now
	}
	return now - old
}

// forgetTraffic is for an exit or device that is forgotten; s.mu is held.
func (s *Store) forgetTraffic(k trafficKey) {
	s.traffic[k] = &trafficRecord{gone: true}
	s.mark(ref{inTraffic, k.String()}, false)
}

// takeTraffic takes what is to be written; s.mu is held.
func (s *Store) takeTraffic() map[trafficKey]trafficRecord {
	out := map[trafficKey]trafficRecord{}
	for k, r := range s.traffic {
		if r.fresh == (Counter{}) && !r.gone {
			continue
		}
		out[k] = *r
		r.fresh, r.gone = Counter{}, false
		if !r.known {
			delete(s.traffic, k)
		}
	}
	return out
}

// giveBackTraffic puts back what could not be written; s.mu is held.
func (s *Store) giveBackTraffic(counts map[trafficKey]trafficRecord) {
	for k, old := range counts {
		r := s.trafficOf(k)
		r.fresh.add(old.fresh)
		r.gone = r.gone || old.gone
	}
}

func writeTraffic(tx *bbolt.Tx, counts map[trafficKey]trafficRecord, now time.Time) error {
	b := tx.Bucket([]byte(inTraffic))
	for k, r := range counts {
		key := []byte(k.String())
		if r.gone {
			if err := b.Delete(key); err != nil {
				return err
			}
			if r.fresh == (Counter{}) {
				continue
			}
		}
		x, err := decodeSeries(b.Get(key))
		if err != nil {
			return err
		}
		x.last, x.known = r.last, r.known
		x.add(now, r.fresh)
		if err := b.Put(key, x.encode(Minute)); err != nil {
			return err
		}
	}
	return nil
}

// Traffic is a series of samples without gaps, oldest first, that ends now;
// empty where nothing was ever counted.
func (s *Store) Traffic(of Of, name string, per Span) []Sample {
	if of == OfDevice {
		name = strings.ToLower(name)
	}
	k := trafficKey{of, name}
	s.mu.Lock()
	db := s.db
	var fresh Counter
	if r := s.traffic[k]; r != nil {
		fresh = r.fresh
	}
	s.mu.Unlock()
	var x series
	if db != nil {
		_ = guarded(func() error {
			return db.View(func(tx *bbolt.Tx) error {
				if v := tx.Bucket([]byte(inTraffic)).Get([]byte(k.String())); v != nil {
					x, _ = decodeSeries(v)
				}
				return nil
			})
		})
	}
	if fresh == (Counter{}) && x.newest == [spans]int64{} {
		return []Sample{}
	}
	now := s.o.Now()
	x.add(now, fresh)
	return x.samples(per)
}

// LastDay is what passed in the last 24 hours, this one and the 23 before it.
func (s *Store) LastDay(of Of, name string) (sum Counter) {
	hours := s.Traffic(of, name, Hour)
	for _, x := range hours[max(0, len(hours)-24):] {
		sum.add(Counter{x.Rx, x.Tx, x.Blocked})
	}
	return sum
}

// series is three rings of slots, the newest slot last.
type series struct {
	last   Counter
	known  bool
	newest [spans]int64 // number of the newest slot: seconds since 1970 divided by the width
	slots  [spans][]Counter
}

// add counts at a time. Rings move on with it. After a step of the clock back
// into a slot that is kept the counts go there, and after a longer one the
// ring begins anew.
func (x *series) add(now time.Time, c Counter) {
	for sp := range spans {
		var at *Counter
		at, x.slots[sp], x.newest[sp] = slotAt(x.slots[sp], x.newest[sp], now.Unix()/sp.width(), sp.slots())
		at.add(c)
	}
}

// slotAt is one slot of a ring, which moves on with the time and keeps the most
// that it may.
func slotAt[T any](ring []T, newest, slot int64, most int) (*T, []T, int64) {
	if ahead := slot - newest; ahead >= int64(most) || -ahead >= int64(len(ring)) {
		ring, newest = make([]T, 1), slot
	} else if ahead > 0 {
		ring = append(ring, make([]T, ahead)...)
		ring, newest = ring[max(0, len(ring)-most):], slot
	}
	return &ring[len(ring)-1-int(newest-slot)], ring, newest
}

func (x *series) samples(per Span) []Sample {
	out := []Sample{}
	first := x.newest[per] - int64(len(x.slots[per])) + 1
	for i, c := range x.slots[per] {
		out = append(out, Sample{At: time.Unix((first+int64(i))*per.width(), 0).UTC(), Rx: c.Rx, Tx: c.Tx, Blocked: c.Blocked})
	}
	return out
}

// encode writes the rings from the finest wanted on, so that a checkpoint can
// leave out what is of no use after a reboot: minutes, and the counters' last
// values.
func (x *series) encode(finest Span) []byte {
	put := func(b []byte, c Counter) []byte {
		for _, v := range []uint64{c.Rx, c.Tx, c.Blocked} {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	b := []byte{0}
	if x.known && finest == Minute {
		b = put([]byte{1}, x.last)
	}
	for sp := range spans {
		ring := x.slots[sp]
		if sp < finest {
			ring = nil
		}
		b = binary.AppendUvarint(b, uint64(len(ring)))
		b = binary.AppendVarint(b, x.newest[sp])
		for _, c := range ring {
			b = put(b, c)
		}
	}
	return b
}

// decodeSeries reads a record, or makes an empty one of none.
func decodeSeries(b []byte) (x series, err error) {
	if len(b) == 0 {
		return x, nil
	}
	bad := errors.New("a traffic record is damaged")
	next := func() (v uint64) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err = bad
			return 0
		}
		b = b[n:]
		return v
	}
	get := func() Counter { return Counter{next(), next(), next()} }
	x.known = b[0] == 1
	if b = b[1:]; x.known {
		x.last = get()
	}
	for sp := range spans {
		n := next()
		newest, used := binary.Varint(b)
		if used <= 0 || n > uint64(sp.slots()) {
			return series{}, bad
		}
		b = b[used:]
		x.newest[sp] = newest
		for range n {
			x.slots[sp] = append(x.slots[sp], get())
		}
		if len(x.slots[sp]) == 0 {
			x.newest[sp] = 0
		}
	}
	return x, err
}

func (s *Store) loadTraffic(k, v []byte) error {
	x, err := decodeSeries(v)
	if err != nil {
		return err
	}
	of, name, _ := strings.Cut(string(k), "/")
	key := trafficKey{Of(of), name}
	if s.traffic[key] == nil && x.known {
		s.traffic[key] = &trafficRecord{last: x.last, known: true}
	}
	return nil
}
