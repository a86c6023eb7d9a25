package kernel

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// aloneWithin is how long another lanseal in the same network namespace is
// waited for; then it hangs, and what has to be sealed is sealed beside it.
const aloneWithin = 10 * time.Second

// alone keeps the agent, the boot seal and verify from each other's chains of
// iptables while these are made: none of them may take the others' for remains.
// It waits, and returns what lets the next one in. The lock is flock(2) on the
// network namespace itself, so there is one for each and none outlives its
// process.
func alone(ctx context.Context) (done func()) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return func() {}
	}
	for until := time.Now().Add(aloneWithin); ; {
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil || !time.Now().Before(until) {
			break
		}
		select {
		case <-ctx.Done():
			return func() { _ = f.Close() }
		case <-time.After(20 * time.Millisecond):
		}
	}
	return func() { _ = f.Close() }
}
