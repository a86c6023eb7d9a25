package lab

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// probeTimeout is when an unanswered probe counts as lost.
const probeTimeout = time.Second

// Stats are one kind's counts since the last mark.
type Stats struct {
	Kind       Kind
	Sent       int
	Answered   int
	Refused    int // an ICMP error, a reset, a refusal by DNS
	TimedOut   int
	Late       int // answered after it was counted as timed out
	Reconnects int // of established TCP
	LongestGap time.Duration
	First      time.Time // answer since the mark; zero: none
	Last       time.Time
	Sources    map[netip.Addr]int // who the server thought was asking
	LastError  string
}

// Betrayed are the answers for which the server saw an address of the ISP's
// customer instead of a tunnel's.
func (s Stats) Betrayed() (n int) {
	for a, c := range s.Sources {
		if ISPOwned(a) {
			n += c
		}
	}
	return n
}

// meter counts one kind.
type meter struct {
	mu       sync.Mutex
	st       Stats
	mark     time.Time
	last     time.Time // last answer, or the mark
	seq      uint64
	base     uint64 // first number since the mark; older answers are of before
	pending  map[uint64]time.Time
	answered time.Time // when the youngest answered probe was sent
}

func newMeter(k Kind) *meter {
	m := &meter{pending: map[uint64]time.Time{}}
	m.reset(k)
	return m
}

func (m *meter) reset(k Kind) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.st = Stats{Kind: k, Sources: map[netip.Addr]int{}}
	m.mark, m.last, m.base = now, now, m.seq+1
	clear(m.pending)
}

// sent numbers a probe that is about to leave.
func (m *meter) sent() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq++
	m.st.Sent++
	m.pending[m.seq] = time.Now()
	return m.seq
}

func (m *meter) answer(seq uint64, src netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq < m.base || seq > m.seq {
		return
	}
	at, waiting := m.pending[seq]
	now := time.Now()
	if waiting {
		delete(m.pending, seq)
		m.st.Answered++
		if at.After(m.answered) {
			m.answered = at
		}
	} else {
		m.st.Late++
	}
	m.st.LongestGap = max(m.st.LongestGap, now.Sub(m.last))
	m.last, m.st.Last = now, now
	if m.st.First.IsZero() {
		m.st.First = now
	}
	if src.IsValid() {
		m.st.Sources[src]++
	}
}

// fail counts an error against one probe; number 0 means the oldest, because
// an ICMP error does not say which datagram it is about.
func (m *meter) fail(seq uint64, err error) {
	if err == nil || errors.Is(err, syscall.EMSGSIZE) { // path MTU at work
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq == 0 {
		for s := range m.pending {
			if seq == 0 || s < seq {
				seq = s
			}
		}
	}
	if _, waiting := m.pending[seq]; !waiting {
		return
	}
	delete(m.pending, seq)
	m.st.LastError = err.Error()
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) {
		m.st.TimedOut++
	} else {
		m.st.Refused++
	}
}

// sweep gives up on what is older than the timeout.
func (m *meter) sweep(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s, at := range m.pending {
		if now.Sub(at) > probeTimeout {
			delete(m.pending, s)
			m.st.TimedOut++
		}
	}
}

func (m *meter) reconnected() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.st.Reconnects++
}

func (m *meter) stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.st
	s.Sources = maps.Clone(m.st.Sources)
	if m.st.Sent > 0 { // the gap that is still open counts too
		s.LongestGap = max(s.LongestGap, time.Since(m.last))
	}
	return s
}

// answeredAfter says whether a probe sent after t was answered.
func (m *meter) answeredAfter(t time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answered.After(t)
}
