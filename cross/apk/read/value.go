package read

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// value is one slot, with the database that its offset points into.
type value struct {
	db   []byte
	bits uint32
}

func (v value) kind() uint32 { return v.bits >> 28 }
func (v value) low() uint32  { return v.bits & 0x0fffffff }
func (v value) null() bool   { return v.bits == 0 }

// root checks the database's header and returns its root.
func root(db []byte) (value, error) {
	if len(db) < 8 {
		return value{}, errors.New("a database without a header")
	}
	if db[0] != 0 {
		return value{}, fmt.Errorf("a database of version %d", db[0])
	}
	return value{db, binary.LittleEndian.Uint32(db[4:])}, nil
}

// at returns n bytes at the value's offset plus skip, which has to be aligned:
// apk reads with the processor's own loads, and some processors of routers trap.
func (v value) at(skip, n, align uint64) ([]byte, error) {
	from := uint64(v.low())
	if from%align != 0 {
		return nil, fmt.Errorf("offset %d is not aligned to %d", from, align)
	}
	from += skip
	if from+n > uint64(len(v.db)) {
		return nil, fmt.Errorf("offset %d and %d bytes lie outside of %d", from, n, len(v.db))
	}
	return v.db[from : from+n], nil
}

// number is an unsigned integer; null is an error, as the caller asked for one.
func (v value) number() (uint64, error) {
	switch v.kind() {
	case 1:
		return uint64(v.low()), nil
	case 2:
		b, err := v.at(0, 4, 4)
		if err != nil {
			return 0, err
		}
		return uint64(binary.LittleEndian.Uint32(b)), nil
	case 3:
		b, err := v.at(0, 8, 4)
		if err != nil {
			return 0, err
		}
		return binary.LittleEndian.Uint64(b), nil
	}
	return 0, fmt.Errorf("%#x is no number", v.bits)
}

// bytes are a blob; null is an empty one.
func (v value) bytes() ([]byte, error) {
	var width uint64
	switch {
	case v.null():
		return nil, nil
	case v.kind() >= 8 && v.kind() <= 10:
		width = 1 << (v.kind() - 8)
	default:
		return nil, fmt.Errorf("%#x is no string", v.bits)
	}
	head, err := v.at(0, width, width)
	if err != nil {
		return nil, err
	}
	var n uint64
	for i, b := range head {
		n |= uint64(b) << (8 * i)
	}
	return v.at(width, n, width)
}

// slots are what an object or a list holds; slots[0] is no slot but left null,
// so that numbers are those of the format. Missing ones read as null through
// slot.
func (v value) slots() ([]value, error) {
	if v.null() {
		return nil, nil
	}
	if v.kind() != 13 && v.kind() != 14 {
		return nil, fmt.Errorf("%#x is no object", v.bits)
	}
	head, err := v.at(0, 4, 4)
	if err != nil {
		return nil, err
	}
	n := uint64(binary.LittleEndian.Uint32(head))
	if n == 0 {
		return nil, errors.New("an object that does not count itself")
	}
	all, err := v.at(0, 4*n, 4)
	if err != nil {
		return nil, err
	}
	out := make([]value, n)
	for i := range out[1:] {
		out[i+1] = value{v.db, binary.LittleEndian.Uint32(all[4*(i+1):])}
	}
	if out[n-1].null() && n > 1 {
		return nil, errors.New("an object with a null at its end")
	}
	return out, nil
}

// object reads fields by their number and keeps the first error, so that a
// struct is filled without a check at every line.
type object struct {
	name  string
	slots []value
	err   error
}

func (v value) object(name string) *object {
	s, err := v.slots()
	o := &object{name: name, slots: s}
	o.fail(0, err)
	return o
}

func (o *object) fail(i int, err error) {
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("%s, field %d: %w", o.name, i, err)
	}
}

func (o *object) slot(i int) value {
	if i < len(o.slots) {
		return o.slots[i]
	}
	return value{}
}

func (o *object) bytes(i int) []byte {
	b, err := o.slot(i).bytes()
	o.fail(i, err)
	return b
}

func (o *object) text(i int) string { return string(o.bytes(i)) }

func (o *object) number(i int) uint64 {
	n, err := o.slot(i).number()
	o.fail(i, err)
	return n
}

// numberOr is number where the field may be missing.
func (o *object) numberOr(i int, missing uint64) uint64 {
	if o.slot(i).null() {
		return missing
	}
	return o.number(i)
}

// list are the items of a list field, from the first.
func (o *object) list(i int) []value {
	s, err := o.slot(i).slots()
	o.fail(i, err)
	if len(s) == 0 {
		return nil
	}
	return s[1:]
}
