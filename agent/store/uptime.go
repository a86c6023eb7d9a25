package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"
)

// How far back the shares of [Store.Availability] look.
const (
	shareHours = 24
	shareDays  = 30
)

// longestWatch is more seconds than any slot has, also where the clock was set
// back again and again.
const longestWatch = 1 << 32

// watch is for how long an exit was looked at, and was up.
type watch struct {
	watched, up time.Duration
}

func (w *watch) add(more watch) { w.watched, w.up = w.watched+more.watched, w.up+more.up }

// uptime is two rings of slots, by the hour and by the day, the newest slot
// last.
type uptime struct {
	newest [2]int64 // number of the newest slot: seconds since 1970 divided by the width
	slots  [2][]watch
}

// uptimeWidth is a slot's length in seconds, and uptimeSlots how many are kept.
func uptimeWidth(ring int) int64 { return [2]int64{3600, 86400}[ring] }
func uptimeSlots(ring int) int   { return [2]int{shareHours, shareDays}[ring] }

func (u *uptime) add(now time.Time, more watch) {
	for i := range u.slots {
		var at *watch
		at, u.slots[i], u.newest[i] = slotAt(u.slots[i], u.newest[i], now.Unix()/uptimeWidth(i), uptimeSlots(i))
		at.add(more)
	}
}

// shares are of each ring; nil where nothing was watched.
func (u *uptime) shares(now time.Time) (day, month *float64) {
	var out [2]*float64
	for i, ring := range u.slots {
		var sum watch
		oldest := now.Unix()/uptimeWidth(i) - int64(uptimeSlots(i)) + 1
		for j, w := range ring {
			if u.newest[i]-int64(len(ring)-1-j) >= oldest {
				sum.add(w)
			}
		}
		if sum.watched > 0 {
			share := float64(sum.up) / float64(sum.watched)
			out[i] = &share
		}
	}
	return out[0], out[1]
}

// IsZero leaves a record without looks as short as it was.
func (u uptime) IsZero() bool { return len(u.slots[0]) == 0 && len(u.slots[1]) == 0 }

// MarshalJSON packs the rings: of every slot the seconds watched, and of them
// those not up, which are few. An exit is 250 bytes of the checkpoint so.
func (u uptime) MarshalJSON() ([]byte, error) {
	var b []byte
	for i, ring := range u.slots {
		b = binary.AppendUvarint(b, uint64(len(ring)))
		b = binary.AppendVarint(b, u.newest[i])
		for _, w := range ring {
			b = binary.AppendUvarint(b, uint64(w.watched.Round(time.Second)/time.Second))
			b = binary.AppendUvarint(b, uint64((w.watched-w.up).Round(time.Second)/time.Second))
		}
	}
	return json.Marshal(b)
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses anything else.
func (u *uptime) UnmarshalJSON(text []byte) error {
	var b []byte
	if err := json.Unmarshal(text, &b); err != nil {
		return err
	}
	bad := errors.New("the times of an exit are damaged")
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[max(n, 0):]
		if n <= 0 {
			return 1 << 63 // more than any field may be
		}
		return v
	}
	*u = uptime{}
	for i := range u.slots {
		n := next()
		newest, used := binary.Varint(b)
		if used <= 0 || n > uint64(uptimeSlots(i)) {
			return bad
		}
		b, u.newest[i] = b[used:], newest
		for range n {
			watched, down := next(), next()
			if watched > longestWatch || down > watched {
				return bad
			}
			u.slots[i] = append(u.slots[i], watch{time.Duration(watched) * time.Second, time.Duration(watched-down) * time.Second})
		}
	}
	return nil
}
