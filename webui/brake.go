package webui

import (
	"math"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// brake slows down who guesses: by address, and all of them together, because
// on a LAN addresses are free.
type brake struct {
	mu      sync.Mutex
	by      map[netip.Prefix]*attempts
	busy    bool      // one password is checked at a time: it is slow on purpose
	tokens  float64   // of all together
	counted time.Time // when tokens was right
}

type attempts struct {
	failed int
	next   time.Time // not before
}

const (
	freeAttempts  = 5 // before an address has to wait
	firstWait     = time.Second
	longestWait   = 5 * time.Minute
	mostAddresses = 1024
	togetherBurst = 20
	togetherRate  = 0.5 // attempts a second, once the burst is used up
)

func newBrake() *brake { return &brake{by: map[netip.Prefix]*attempts{}, tokens: togetherBurst} }

// origin is who is counted: an address, or an IPv6 host's whole subnet.
func origin(ip string) netip.Prefix {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if a = a.Unmap().WithZone(""); a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// take asks for an attempt: how long to wait, or 0. After 0 give must be
// called.
func (b *brake) take(ip string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.by[origin(ip)]; a != nil && now.Before(a.next) {
		return a.next.Sub(now)
	}
	if !b.counted.IsZero() {
		b.tokens = min(togetherBurst, b.tokens+max(0, now.Sub(b.counted).Seconds())*togetherRate)
	}
	b.counted = now
	if b.tokens < 1 || b.busy {
		return time.Second
	}
	b.tokens--
	b.busy = true
	return 0
}

// give tells how the attempt ended.
func (b *brake) give(ip string, good bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = false
	who := origin(ip)
	if good {
		delete(b.by, who)
		return
	}
	a := b.by[who]
	if a == nil {
		b.forget(now)
		a = &attempts{}
		b.by[who] = a
	}
	a.failed++
	wait := time.Duration(0)
	if over := a.failed - freeAttempts; over >= 0 {
		wait = min(longestWait, firstWait<<min(over, 20))
	}
	a.next = now.Add(wait)
}

// forget makes room: first those whose wait is over, then all.
func (b *brake) forget(now time.Time) {
	if len(b.by) < mostAddresses {
		return
	}
	for k, a := range b.by {
		if now.After(a.next.Add(longestWait)) {
			delete(b.by, k)
		}
	}
	if len(b.by) >= mostAddresses {
		clear(b.by) // all together are still slowed
	}
}

func retryAfter(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
