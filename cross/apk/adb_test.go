package apk

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// One database with every kind of value, byte by byte.
func TestLayout(t *testing.T) {
	d := newDatabase()
	if v := d.number(0); v != 0x10000000 {
		t.Errorf("0: %#x; it is a number and not null", v)
	}
	if v := d.number(1<<28 - 1); v != 0x1fffffff {
		t.Errorf("the largest inline number: %#x", v)
	}
	a := d.text("abc")
	if a != 0x80000008 || d.text("abc") != a {
		t.Errorf("a string, once: %#x", a)
	}
	if v := d.blob(nil); v != null {
		t.Errorf("no bytes: %#x", v)
	}
	if v := d.number(1 << 28); v != 0x2000000c {
		t.Errorf("32 bits: %#x", v)
	}
	if v := d.number(1 << 32); v != 0x30000010 {
		t.Errorf("64 bits: %#x", v)
	}
	d.text("x") // two bytes, at 24
	if v := d.object([]value{null, a, null, null}); v != 0xe000001c {
		t.Errorf("an object, aligned, its end trimmed: %#x", v)
	}
	if v := d.object([]value{null, null}); v != null {
		t.Errorf("an object of nulls: %#x", v)
	}
	if v := d.list([]value{null, a}); v != 0xe000001c {
		t.Errorf("a list is stored as an object, and nulls are left out: %#x", v)
	}
	room, at := d.room(3)
	if again, _ := d.room(3); room == again || at != 37 {
		t.Errorf("room is never shared: %#x %#x %d", room, again, at)
	}
	got, err := d.finish(a)
	want := strings.Join(strings.Fields(`
		00000000 08000080  03616263 00000010  00000000 01000000
		0178 0000  02000000 08000080  03000000 03000000`), "")
	if err != nil || hex.EncodeToString(got) != want {
		t.Errorf("database:\n%x, %v\nwant\n%s", got, err, want)
	}
}

// Bytes that lie where their alignment does not allow it are stored again, and
// found there from then on.
func TestAlignmentBeatsSharing(t *testing.T) {
	d := newDatabase()
	d.raw([]byte{9}, 1)
	odd := d.stored([]byte("abcd"), 1)
	even := d.stored([]byte("abcd"), 4)
	if odd != 9 || even != 16 || d.stored([]byte("abcd"), 1) != even {
		t.Errorf("offsets %d, %d", odd, even)
	}
}

func TestSizes(t *testing.T) {
	d := newDatabase()
	for _, c := range []struct {
		n    int
		typ  value
		head string
	}{{1, typeBlob8, "01"}, {255, typeBlob8, "ff"}, {256, typeBlob16, "0001"}, {65535, typeBlob16, "ffff"}, {65536, typeBlob32, "00000100"}} {
		v := d.blob(bytes.Repeat([]byte{7}, c.n))
		at := int(v & maxOffset)
		if v&^maxOffset != c.typ || hex.EncodeToString(d.buf[at:at+len(c.head)/2]) != c.head || at%(len(c.head)/2) != 0 {
			t.Errorf("%d bytes: %#x at %d", c.n, v, at)
		}
	}
	d.buf = make([]byte, maxOffset+2)
	if _, err := d.finish(null); err == nil {
		t.Error("a database that offsets cannot reach")
	}
}

func TestBlocks(t *testing.T) {
	for n, want := range map[int]string{0: "04000080 00000000", 4: "08000080 07070707", 5: "09000080 07070707 07000000 00000000"} {
		var out bytes.Buffer
		if err := block(&out, blockDATA, bytes.Repeat([]byte{7}, n)); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(out.Bytes()); got != strings.ReplaceAll(want, " ", "") {
			t.Errorf("a block of %d: %s, want %s", n, got, want)
		}
	}
}
