package openwrt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// dying is a disk that does what is asked a number of times, and then the
// power is gone.
type dying struct {
	left int
	dead bool
}

var errPower = errors.New("the power is gone")

func (d *dying) spend() error {
	if d.left == 0 {
		d.dead = true
		return errPower
	}
	d.left--
	return nil
}

func (d *dying) replace(path string, data []byte, perm fs.FileMode) error {
	if err := d.spend(); err != nil {
		return err
	}
	// Without the syncs of the real one, which take most of a test's time.
	if info, err := os.Stat(path); err == nil {
		perm = info.Mode().Perm()
	}
	tmp := filepath.Join(filepath.Dir(path), ".tmp")
	return errors.Join(os.WriteFile(tmp, data, perm), os.Rename(tmp, path))
}

func (d *dying) remove(path string) error {
	if err := d.spend(); err != nil {
		return err
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Whatever the moment at which the power goes, in arming, in a change of what
// is wanted, in disarming: the next start either goes on or restores all.
func TestPowerLoss(t *testing.T) {
	bare := armed()
	bare.DNS, bare.Withdraw = false, false
	for _, c := range []struct {
		name   string
		before []Wish // carried out whole
		then   Wish   // cut short
	}{
		{"arming", nil, armed()},
		{"arming more", []Wish{bare}, armed()},
		{"arming less", []Wish{armed()}, bare},
		{"disarming", []Wish{armed()}, disarmed()},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := 0; ; n++ {
				b := newBox(t, "22.03").within()
				found := b.etc()
				for _, w := range c.before {
					if r := b.turn(w); r.Error != "" {
						t.Fatal(r.Error)
					}
				}
				d := &dying{left: n}
				b.disk = d
				b.turn(c.then)
				if !d.dead {
					if n < 5 {
						t.Errorf("only %d writes: the test cuts nothing short", n)
					}
					return
				}
				b.again()
				b.within()
				if n%2 == 0 { // the next start goes on first
					if r := b.turn(c.then); r.Error != "" {
						t.Fatalf("after %d writes: %s", n, r.Error)
					}
				}
				if r := b.turn(disarmed()); r.Error != "" {
					t.Fatalf("after %d writes: %s", n, r.Error)
				}
				b.same("restored", found)
				if t.Failed() {
					t.Fatalf("after %d writes", n)
				}
			}
		})
	}
}
