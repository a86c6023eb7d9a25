package kernel

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Carried is what a device has carried, in bytes.
type Carried struct{ Rx, Tx uint64 }

// Carried reads the counters of all devices, by name. It is cheap enough to be
// asked ten times a second, and waits for nobody: the kernel makes this file
// without the lock that netlink's answers about links need (rtnl), which others
// may hold for a long time.
func (k *Kernel) Carried() (map[string]Carried, error) {
	b, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		return nil, fmt.Errorf("reading the devices' counters: %w", err)
	}
	return parseCarried(string(b)), nil
}

// parseCarried reads /proc/net/dev (proc(5)): two lines of heading, then the
// name, a colon, eight numbers of what was received and eight of what was sent,
// each beginning with the bytes. Older kernels leave no space after the colon.
func parseCarried(text string) map[string]Carried {
	all := map[string]Carried{}
	for line := range strings.Lines(text) {
		i := strings.LastIndexByte(line, ':') // a name may have one
		if i < 0 {
			continue
		}
		f := strings.Fields(line[i+1:])
		if len(f) < 9 {
			continue
		}
		rx, err := strconv.ParseUint(f[0], 10, 64)
		tx, err2 := strconv.ParseUint(f[8], 10, 64)
		if err == nil && err2 == nil {
			all[strings.TrimSpace(line[:i])] = Carried{Rx: rx, Tx: tx}
		}
	}
	return all
}
