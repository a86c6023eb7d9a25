package apk

import (
	"encoding/binary"
	"fmt"
	"math"
)

// value is a slot of the database: type and number, or type and offset.
type value uint32

const (
	typeInt    value = 0x1 << 28
	typeInt32  value = 0x2 << 28
	typeInt64  value = 0x3 << 28
	typeBlob8  value = 0x8 << 28
	typeBlob16 value = 0x9 << 28
	typeBlob32 value = 0xa << 28
	typeObject value = 0xe << 28

	null value = 0

	maxOffset = 1<<28 - 1
)

// database collects values. The zero value is not ready: newDatabase.
type database struct {
	buf []byte
	// seen is where each run of bytes was last stored, so that equal ones are
	// stored once.
	seen map[string]int
}

func newDatabase() *database {
	return &database{buf: make([]byte, 8), seen: map[string]int{}} // the header; root is set at the end
}

// raw appends bytes at an alignment and returns their offset.
func (d *database) raw(b []byte, align int) int {
	for len(d.buf)%align != 0 {
		d.buf = append(d.buf, 0)
	}
	at := len(d.buf)
	d.buf = append(d.buf, b...)
	return at
}

// stored is raw, or the offset of the same bytes where they lie aligned.
func (d *database) stored(b []byte, align int) value {
	if at, ok := d.seen[string(b)]; ok && at%align == 0 {
		return value(at)
	}
	at := d.raw(b, align)
	d.seen[string(b)] = at
	return value(at)
}

// sized puts the length before the bytes, in as few bytes as it needs.
func sized(b []byte) (typ value, align int, out []byte) {
	switch n := len(b); {
	case n > math.MaxUint16:
		return typeBlob32, 4, append(binary.LittleEndian.AppendUint32(nil, uint32(n)), b...)
	case n > math.MaxUint8:
		return typeBlob16, 2, append(binary.LittleEndian.AppendUint16(nil, uint16(n)), b...)
	default:
		return typeBlob8, 1, append([]byte{byte(n)}, b...)
	}
}

// blob stores bytes; none are null.
func (d *database) blob(b []byte) value {
	if len(b) == 0 {
		return null
	}
	typ, align, out := sized(b)
	return typ | d.stored(out, align)
}

func (d *database) text(s string) value { return d.blob([]byte(s)) }

// room stores zero bytes that are filled in later, so they are never shared. It
// returns the value and the offset of the first byte.
func (d *database) room(n int) (value, int) {
	typ, align, out := sized(make([]byte, n))
	at := d.raw(out, align)
	return typ | value(at), at + len(out) - n
}

func (d *database) number(n uint64) value {
	switch {
	case n > math.MaxUint32:
		return typeInt64 | d.stored(binary.LittleEndian.AppendUint64(nil, n), 4)
	case n > maxOffset:
		return typeInt32 | d.stored(binary.LittleEndian.AppendUint32(nil, uint32(n)), 4)
	}
	return typeInt | value(n)
}

// object stores slots; slot 0 is the count and set here. Lists are stored in the
// same way.
func (d *database) object(slots []value) value {
	for len(slots) > 1 && slots[len(slots)-1] == null {
		slots = slots[:len(slots)-1]
	}
	if len(slots) <= 1 {
		return null
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(slots)))
	for _, s := range slots[1:] {
		out = binary.LittleEndian.AppendUint32(out, uint32(s))
	}
	return typeObject | d.stored(out, 4)
}

// list stores items; null ones are left out, as appending a null does nothing.
func (d *database) list(items []value) value {
	slots := []value{null}
	for _, i := range items {
		if i != null {
			slots = append(slots, i)
		}
	}
	return d.object(slots)
}

// finish sets the root and returns the database.
func (d *database) finish(root value) ([]byte, error) {
	if len(d.buf) > maxOffset {
		return nil, fmt.Errorf("the database has %d bytes; offsets have 28 bits", len(d.buf))
	}
	binary.LittleEndian.PutUint32(d.buf[4:], uint32(root))
	return d.buf, nil
}
