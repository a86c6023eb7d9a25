package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dying is a disk whose machine dies at one step: nothing after it happens,
// and a file in the middle of being written has a part of its content.
type dying struct {
	osDisk
	left int // steps until then
}

var errDead = errors.New("the machine is dead")

func (d *dying) step() bool {
	d.left--
	return d.left < 0
}

func (d *dying) Write(path string, content []byte) error {
	for _, part := range []int{-1, 0, len(content) / 3, len(content) - 1} {
		if !d.step() {
			continue
		}
		if part >= 0 {
			_ = os.WriteFile(path, content[:part], 0o600)
		}
		d.left = 0
		return errDead
	}
	return d.osDisk.Write(path, content)
}

func (d *dying) Rename(from, to string) error {
	if d.step() {
		return errDead
	}
	return d.osDisk.Rename(from, to)
}

func (d *dying) SyncDir(dir string) error {
	if d.step() {
		return errDead
	}
	return d.osDisk.SyncDir(dir)
}

// A machine that dies at any step of a checkpoint boots with the old one or
// the new one, and nothing is said to be damaged. So does one that dies while
// it makes the live file of the checkpoint.
func TestDiesInACheckpoint(t *testing.T) {
	olds, news := 0, 0
	for step := 0; ; step++ {
		dir, c := t.TempDir(), newClock()
		s := Open(c.options(dir))
		s.Put("a.example", addrs("192.0.2.1"))
		s.Close()
		s = Open(c.options(dir))
		d := &dying{left: step}
		s.disk = d
		s.Put("b.example", addrs("192.0.2.2"))
		s.Close()
		if d.left > 0 {
			if step < 5 {
				t.Fatalf("a checkpoint has only %d steps", step)
			}
			break
		}
		if err := os.RemoveAll(filepath.Join(dir, "ram")); err != nil {
			t.Fatal(err)
		}
		for boot := 0; ; boot++ { // the next boot dies too, at each of its steps
			said := &told{}
			o := c.options(dir)
			o.Say = said.say
			d := &dying{left: boot}
			s = open(o, d)
			if d.left <= 0 {
				continue
			}
			if s.Get("a.example") == nil || said.String() != "" {
				t.Fatalf("step %d: the first checkpoint is gone too; said: %s", step, said)
			}
			break
		}
		if s.Get("b.example") == nil {
			olds++
		} else {
			news++
		}
		s.Close()
	}
	if olds == 0 || news == 0 {
		t.Errorf("%d boots found the old checkpoint, %d the new one: not every step was tried", olds, news)
	}
}

// pages are the pages in which two states of a file differ, in the order in
// which the library writes them: data first, the meta page that makes it count
// last.
func pages(old, now []byte) (out []int) {
	for i := 2; (i+1)*pageSize <= len(now); i++ {
		if (i+1)*pageSize > len(old) || !bytes.Equal(old[i*pageSize:(i+1)*pageSize], now[i*pageSize:(i+1)*pageSize]) {
			out = append(out, i)
		}
	}
	return append(out, 0, 1)
}

// An agent that is killed at any page of a write of the live file finds the
// old or the new state when it is started again.
func TestKilledWhileWriting(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	o := c.options(dir)
	read := func() []byte {
		t.Helper()
		b, err := os.ReadFile(o.Live)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s := Open(o)
	tries := 0
	for round := range 12 {
		fill(s, c)
		c.pass(time.Minute)
		s.Turn(c.now)
		old, before := read(), whole(s)
		fill(s, c)
		for i := range 20 * round {
			s.AddEvent(Event{Time: c.now, Text: fmt.Sprint("event ", i)})
		}
		c.pass(time.Minute)
		s.Turn(c.now)
		now, after := read(), whole(s)
		for _, p := range pages(old, now) {
			torn := append(old, make([]byte, max(0, len(now)-len(old)))...)
			copy(torn[p*pageSize:], now[p*pageSize:(p+1)*pageSize])
			old = torn
			tries++
			alone := filepath.Join(t.TempDir(), "state.db")
			if err := os.WriteFile(alone, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			said := &told{}
			again := Open(Options{Live: alone, Checkpoint: alone + ".none", Now: o.Now, Say: said.say})
			if got := whole(again); said.String() != "" || got != before && got != after {
				t.Fatalf("round %d, page %d: said %q\n%s\nis neither\n%s\nnor\n%s", round, p, said, got, before, after)
			}
			again.Close()
		}
	}
	if tries < 50 {
		t.Errorf("only %d states were tried", tries)
	}
	s.Close()
}

// works says whether a store takes something and keeps it.
func works(s *Store, c *clock) error {
	s.AddEvent(Event{Time: c.now, Kind: "test", Text: "after the damage"})
	s.Put("new.example", addrs("192.0.2.77"))
	s.Close()
	s = Open(s.o)
	defer s.Close()
	es := s.Events(0, time.Time{})
	if len(es) == 0 || es[len(es)-1].Text != "after the damage" || s.Get("new.example") == nil {
		return fmt.Errorf("it keeps nothing: %v", es)
	}
	return nil
}

// A damaged file, live or in flash, is set aside and told of, and the store
// goes on: from the checkpoint if the live file is the damaged one.
func TestDamaged(t *testing.T) {
	swap := func(b []byte) []byte { // as a machine of the other byte order would have written it
		b = bytes.Clone(b)
		for i := 0; i+8 <= len(b); i += 8 {
			for j := range 4 {
				b[i+j], b[i+7-j] = b[i+7-j], b[i+j]
			}
		}
		return b
	}
	harms := map[string]func([]byte) []byte{
		"truncated":        func(b []byte) []byte { return b[:len(b)/2] },
		"one byte":         func([]byte) []byte { return []byte{7} },
		"half a page":      func(b []byte) []byte { return b[:pageSize/2] },
		"one page":         func(b []byte) []byte { return b[:pageSize] },
		"zeroed":           func(b []byte) []byte { return make([]byte, len(b)) },
		"wrong endian":     swap,
		"text":             func([]byte) []byte { return []byte(strings.Repeat("not a database\n", 1000)) },
		"its end is holes": func(b []byte) []byte { return append(bytes.Clone(b[:2*pageSize]), make([]byte, len(b)-2*pageSize)...) },
	}
	for name, harm := range harms {
		for _, where := range []string{"live", "checkpoint"} {
			t.Run(name+", "+where, func(t *testing.T) {
				t.Parallel()
				dir, c, said := t.TempDir(), newClock(), &told{}
				o := c.options(dir)
				s := Open(o)
				fill(s, c)
				s.Close()
				path := o.Live
				if where == "checkpoint" {
					path = o.Checkpoint
					if err := os.Remove(o.Live); err != nil {
						t.Fatal(err)
					}
				}
				b, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(path, harm(b), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				o.Say = said.say
				s = Open(o)
				if !strings.Contains(said.String(), path+" is damaged and set aside") {
					t.Errorf("said: %s", said)
				}
				if _, err := os.Stat(path + ".damaged"); err != nil {
					t.Errorf("not set aside: %v", err)
				}
				if known := s.Get("vpn.example.net") != nil; known != (where == "live") {
					t.Errorf("the checkpoint's content is there: %v", known)
				}
				if err := works(s, c); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Bits that fall over anywhere in the live file neither end nor hang the
// agent: the store opens and works.
func TestBitsFallOver(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	o := c.options(dir)
	s := Open(o)
	for range 30 {
		fill(s, c)
	}
	s.Close()
	good, err := os.ReadFile(o.Live)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(o.Checkpoint); err != nil {
		t.Fatal(err)
	}
	noticed := 0
	for seed := range uint64(150) {
		d := rand.New(rand.NewPCG(seed, 1))
		b := bytes.Clone(good)
		for range 1 + d.IntN(4) {
			at := d.IntN(len(b)) &^ 7 // where the numbers are
			if d.IntN(2) == 0 {
				at = d.IntN(len(b)/pageSize)*pageSize + d.IntN(64)
			}
			b[at] ^= 1 << d.IntN(8)
		}
		if err := os.WriteFile(o.Live, b, 0o600); err != nil {
			t.Fatal(err)
		}
		said := &told{}
		o.Say = said.say
		s := Open(o)
		if err := works(s, c); err != nil {
			t.Fatalf("seed %d: %v; said: %s", seed, err, said)
		}
		if said.String() != "" {
			noticed++
		}
		_ = os.Remove(o.Checkpoint)
	}
	if noticed < 15 {
		t.Errorf("only %d of 150 damages were noticed", noticed)
	}
}

// A database that panics while it is in use is set aside, and what is in
// memory goes into a new one.
func TestFailsInUse(t *testing.T) {
	c, said := newClock(), &told{}
	o := c.options(t.TempDir())
	o.Say = said.say
	s := Open(o)
	fill(s, c)
	s.Turn(c.now.Add(time.Hour))
	// Somebody cuts the file off under the mapping: what is read next faults.
	if err := os.Truncate(o.Live, 2*pageSize); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)
	s.AddEvent(Event{Time: c.now, Kind: "state", Text: "then"})
	if len(s.Events(0, time.Time{})) == 0 {
		t.Error("what waits is not readable")
	}
	s.Turn(c.now.Add(time.Hour))
	if !strings.Contains(said.String(), "damaged and set aside") {
		t.Errorf("said: %s", said)
	}
	c.pass(2 * time.Hour)
	s.Turn(c.now)
	if s.handle() == nil {
		t.Fatal("no new file is made")
	}
	if err := works(s, c); err != nil {
		t.Error(err)
	}
	s = Open(o)
	defer s.Close()
	if s.Get("vpn.example.net") == nil || len(s.Exits()) != 1 || len(s.Devices()) != 1 {
		t.Error("what was in memory has not been written to the new file")
	}
}

// On a full disk everything stays in memory, is told of once, and is written
// when there is room again.
func TestFullDisk(t *testing.T) {
	const child = "LANSEAL_STORE_FULL_DISK"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		var ended *exec.ExitError
		if err != nil && !errors.As(err, &ended) {
			if os.Getenv("LANSEAL_LAB") == "require" {
				t.Fatalf("a mount namespace of its own: %v", err)
			}
			t.Skipf("a mount namespace of its own: %v", err)
		}
		if err != nil || !bytes.Contains(out, []byte("PASS")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	dir, c, said := t.TempDir(), newClock(), &told{}
	_ = syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, "")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	ballast := func(size int) {
		_ = os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, size), 0o600)
	}
	o := c.options(dir)
	o.Say = said.say
	ballast(2 << 20)
	s := Open(o)
	for range 4 {
		fill(s, c)
		s.Turn(c.now.Add(time.Hour))
		c.pass(time.Hour)
	}
	if n := len(said.lines); n != 1 || !strings.Contains(said.String(), "no space left") {
		t.Errorf("%d lines said: %s", n, said)
	}
	ballast(0)
	c.pass(time.Hour)
	s.Turn(c.now)
	if s.handle() == nil || len(s.Events(0, time.Time{})) != 8 || len(s.Dropouts()) != 4 {
		t.Errorf("with room again: %v", s.Events(0, time.Time{}))
	}
	// Full while it is open: the transaction fails and is tried again.
	said.lines = nil
	ballast(2 << 20)
	for i := range 3000 {
		s.AddEvent(Event{Time: c.now, Kind: "state", Text: fmt.Sprint("while it is full ", i)})
	}
	c.pass(time.Hour)
	s.Turn(c.now)
	if !strings.Contains(said.String(), "writing the store failed") {
		t.Errorf("said: %s", said)
	}
	if es := s.Events(0, time.Time{}); len(es) != 1000 || es[999].Text != "while it is full 2999" {
		t.Errorf("%d events are readable meanwhile", len(es))
	}
	ballast(0)
	c.pass(time.Hour)
	s.Turn(c.now)
	if err := works(s, c); err != nil {
		t.Error(err)
	}
}
