package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
)

// What of bbolt's file is looked at before it is mapped. A fault in mapped
// memory, or a page that leads back to itself, cannot be caught afterwards in
// every goroutine of the library; bytes can be looked at without risk.
const (
	pageSize     = 4096 // the same on every kernel, so that 64 KiB are 16 pages also where memory has larger ones
	magic        = 0xED0CDAED
	headSize     = 16
	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	deepest      = 64
)

var native = binary.NativeEndian

// sound says why a file is no whole database. It follows every page from the
// root, once each.
func sound(b []byte) error {
	var best []byte
	for i := range 2 {
		if len(b) < (i+1)*pageSize {
			return errors.New("it is cut off")
		}
		m := b[i*pageSize+headSize:]
		h := fnv.New64a()
		_, _ = h.Write(m[:56])
		if native.Uint32(m) != magic || native.Uint32(m[4:]) != 2 || native.Uint32(m[8:]) != pageSize || native.Uint64(m[56:]) != h.Sum64() {
			continue
		}
		if best == nil || native.Uint64(m[48:]) > native.Uint64(best[48:]) {
			best = m
		}
	}
	if best == nil {
		return errors.New("it is no database of this kind of machine")
	}
	w := walk{b: b, pages: native.Uint64(best[40:]), seen: map[uint64]bool{}}
	if w.pages > uint64(len(b)/pageSize) {
		return errors.New("it is cut off")
	}
	if err := w.freelist(native.Uint64(best[32:])); err != nil {
		return err
	}
	return w.page(native.Uint64(best[16:]), 0)
}

type walk struct {
	b     []byte
	pages uint64
	seen  map[uint64]bool
}

// at is one page with what overflows it, claimed by nobody yet.
func (w *walk) at(id uint64) (p []byte, flags uint16, count int, err error) {
	if id < 2 || id >= w.pages {
		return nil, 0, 0, fmt.Errorf("page %d is outside of it", id)
	}
	head := w.b[id*pageSize:]
	over := uint64(native.Uint32(head[12:]))
	if native.Uint64(head) != id || id+over >= w.pages {
		return nil, 0, 0, fmt.Errorf("page %d is not what it should be", id)
	}
	for i := id; i <= id+over; i++ {
		if w.seen[i] {
			return nil, 0, 0, fmt.Errorf("page %d is used twice", i)
		}
		w.seen[i] = true
	}
	return head[:(over+1)*pageSize], native.Uint16(head[8:]), int(native.Uint16(head[10:])), nil
}

func (w *walk) freelist(id uint64) error {
	p, flags, count, err := w.at(id)
	if err != nil {
		return err
	}
	first := uint64(0)
	n := uint64(count)
	if n == 0xffff { // the count is too large for its field, and is the first element
		first, n = 1, native.Uint64(p[headSize:])
	}
	if flags != flagFreelist || n > uint64(len(p)-headSize)/8-first {
		return errors.New("its list of free pages is damaged")
	}
	for i := first; i < first+n; i++ {
		free := native.Uint64(p[headSize+8*i:])
		if free < 2 || free >= w.pages || w.seen[free] {
			return errors.New("its list of free pages is damaged")
		}
		w.seen[free] = true
	}
	return nil
}

func (w *walk) page(id uint64, depth int) error {
	p, flags, count, err := w.at(id)
	if err != nil {
		return err
	}
	return w.elements(p, flags, count, depth)
}

func (w *walk) elements(p []byte, flags uint16, count, depth int) error {
	damaged := errors.New("one of its pages is damaged")
	if depth > deepest || flags != flagBranch && flags != flagLeaf || headSize+16*count > len(p) || flags == flagBranch && count == 0 {
		return damaged
	}
	for i := range count {
		e := p[headSize+16*i:]
		pos, key, value, bucket := uint64(native.Uint32(e[4:])), uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:])), native.Uint32(e) == 1
		if flags == flagBranch {
			pos, key, value = uint64(native.Uint32(e)), uint64(native.Uint32(e[4:])), 0
		} else if native.Uint32(e) > 1 {
			return damaged
		}
		if pos+key+value > uint64(len(e)) {
			return damaged
		}
		switch v := e[min(pos+key, uint64(len(e))):]; {
		case flags == flagBranch:
			if err := w.page(native.Uint64(e[8:]), depth+1); err != nil {
				return err
			}
		case !bucket:
		case value < 16:
			return damaged
		case native.Uint64(v) != 0:
			if err := w.page(native.Uint64(v), depth+1); err != nil {
				return err
			}
		default: // a small bucket is a page inside its value
			in := v[16:value]
			if len(in) < headSize || native.Uint16(in[8:]) != flagLeaf {
				return damaged
			}
			if err := w.elements(in, flagLeaf, int(native.Uint16(in[10:])), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// trailer ends a checkpoint: flash forgets single bits, too.
const trailer = "lanseal "

func withTrailer(b []byte) []byte {
	sum := crc32.ChecksumIEEE(b)
	return binary.BigEndian.AppendUint32(append(b, trailer...), sum)
}

func withoutTrailer(b []byte) ([]byte, error) {
	n := len(b) - len(trailer) - 4
	if n < 0 || string(b[n:n+len(trailer)]) != trailer {
		return nil, errors.New("it is cut off")
	}
	if binary.BigEndian.Uint32(b[n+len(trailer):]) != crc32.ChecksumIEEE(b[:n]) {
		return nil, errors.New("its checksum is wrong")
	}
	return b[:n], nil
}
