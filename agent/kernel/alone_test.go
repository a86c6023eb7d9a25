package kernel

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// TestIPTablesAtOnce: several processes, as the agent and a boot seal are, put
// their firewalls in force at the same time, each completely.
func TestIPTablesAtOnce(t *testing.T) {
	iptBothVariants(t, func(t *testing.T, variant string) {
		l := iptNewLab(t)
		want := iptFirewall()
		var processes []*IPTables
		for range 3 {
			processes = append(processes, l.iptOpen(t, variant))
		}
		l.router.do(func() {
			here, err := netns.Get()
			if err != nil {
				t.Error(err)
				return
			}
			defer here.Close()
			var all sync.WaitGroup
			for _, p := range processes {
				all.Go(func() {
					runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
					if err := netns.Set(here); err != nil {
						t.Error(err)
						return
					}
					for range 3 {
						if err := p.Apply(context.Background(), want); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
		})
		if found := l.differs(t, processes[0], want); len(found) > 0 {
			t.Errorf("afterwards: %q", found)
		}
	})
}

// TestIPTablesHungUp: a lanseal that hangs with the lock in its hand is waited
// for once, and nobody but root can take it.
func TestIPTablesHungUp(t *testing.T) {
	l := iptNewLab(t)
	fw := l.iptOpen(t, "legacy")
	l.router.do(func() {
		f, free := lockNamespace()
		if !free || f == nil {
			t.Error("the lock of a new namespace cannot be taken")
			return
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the lock is %v, %v; want it to be root's alone", info.Mode(), err)
		}
		if _, free := lockNamespace(); free {
			t.Error("taken twice")
		}
		defer func(was time.Duration) { aloneWithin = was }(aloneWithin)
		aloneWithin = time.Millisecond
		fw.alone(context.Background())()
		if fw.hung.IsZero() {
			t.Error("a lock that another holds was taken")
		}
		aloneWithin = time.Hour // never to be waited for
		if err := fw.Apply(context.Background(), iptFirewall()); err != nil {
			t.Errorf("beside one that hangs: %v", err)
		}
	})
	l.router.do(func() {
		// It was closed, but its file is still there, as after a crash.
		fw.hung = time.Time{}
		fw.alone(context.Background())()
		if !fw.hung.IsZero() {
			t.Error("a lock left by a crash is waited for")
		}
		path, err := lockFile()
		if err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", path, err)
		}
	})
	if found := l.differs(t, fw, iptFirewall()); len(found) > 0 {
		t.Errorf("beside one that hangs: %q", found)
	}
}
