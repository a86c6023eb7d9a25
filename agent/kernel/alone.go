package kernel

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// aloneDir is where the lock of [IPTables.alone] lies: RAM, and root alone
// makes files there.
const aloneDir = "/var/run"

// aloneAgain is how long one that hangs is not waited for again.
const aloneAgain = time.Minute

// aloneWithin is how long another lanseal in the same network namespace is
// waited for; then it hangs, and what has to be sealed is sealed beside it.
var aloneWithin = 10 * time.Second // tests: less

// alone keeps the agent, the boot seal and verify from each other's chains of
// iptables while these are made: none of them may take the others' for remains.
// It waits, and returns what lets the next one in. The lock is flock(2) on a
// file of the network namespace that root alone can open, so nobody else can
// hold the firewall up. It ends with its process; a file that a crash left is
// taken over.
func (t *IPTables) alone(ctx context.Context) (done func()) {
	within := aloneWithin
	if time.Since(t.hung) < aloneAgain {
		within = 0
	}
	for until := time.Now().Add(within); ; {
		f, free := lockNamespace()
		switch {
		case free:
			t.hung = time.Time{}
			return func() {
				if f != nil {
					_ = os.Remove(f.Name())
					_ = f.Close()
				}
			}
		case !time.Now().Before(until):
			if within > 0 {
				t.hung = time.Now()
			}
			return func() {}
		}
		select {
		case <-ctx.Done():
			return func() {}
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lockFile is the file of the namespace this thread is in.
func lockFile() (string, error) {
	var ns unix.Stat_t
	err := unix.Stat("/proc/thread-self/ns/net", &ns)
	return filepath.Join(aloneDir, fmt.Sprintf("lanseal-iptables-%d.lock", ns.Ino)), err
}

// lockNamespace tries once. Where there can be no such file everybody is free
// to go on, and f is nil.
func lockNamespace() (f *os.File, free bool) {
	path, err := lockFile()
	if err != nil {
		return nil, true
	}
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, true
	}
	var held, there unix.Stat_t
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil &&
		unix.Fstat(int(f.Fd()), &held) == nil && unix.Stat(path, &there) == nil && held.Ino == there.Ino {
		return f, true
	}
	_ = f.Close() // held by another, or taken away by the one before between open and flock
	return nil, false
}
