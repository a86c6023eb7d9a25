package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of what a wire remembers; the counts themselves are never cut.
const (
	ringFrames = 4096
	ringBytes  = 2048 // per frame
	keptLeaks  = 2000
)

// Wire is the capture on the ISP's end of one uplink. It sees every frame that
// the router sends, and only those.
type Wire struct {
	Name string // the router's device
	far  string // the ISP's
	lab  *Lab

	mu        sync.Mutex
	transport map[netip.AddrPort]bool
	rules     []explainRule
	epochs    []epoch
	leaks     []*Frame
	ring      []*Frame
	next      int
	frags     map[fragKey]verdict
	reader    *reader
	drops     uint32
	problem   error
}

type explainRule struct {
	name string
	fits func(*Frame) bool
}

type verdict struct {
	class Class
	rule  string
}

type fragKey struct {
	src, dst netip.Addr
	proto    uint8
	id       uint32
}

// epoch counts the frames from one mark to the next.
type epoch struct {
	from   time.Time
	counts map[Class]int
	byRule map[string]int
}

// Mark is a moment of a wire; counts are asked since a mark.
type Mark int

func newWire(l *Lab, near, far string) (*Wire, error) {
	w := &Wire{Name: near, far: far, lab: l, transport: map[netip.AddrPort]bool{}, frags: map[fragKey]verdict{}}
	w.MarkTime()
	if err := w.attach(); err != nil {
		return nil, err
	}
	l.onClose(w.detach)
	return w, nil
}

// Transport declares an endpoint whose packets are a tunnel's own.
func (w *Wire) Transport(endpoint netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.transport[endpoint] = true
}

// Explain registers traffic that leaves on purpose, under a name: a direct
// device's flow, an exception, the agent's bootstrap question.
func (w *Wire) Explain(name string, fits func(*Frame) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules = append(w.rules, explainRule{name, fits})
}

// MarkTime starts a new period of counting.
func (w *Wire) MarkTime() Mark {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.epochs = append(w.epochs, epoch{from: time.Now(), counts: map[Class]int{}, byRule: map[string]int{}})
	return Mark(len(w.epochs) - 1)
}

// take classifies one frame and remembers it.
func (w *Wire) take(f *Frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.classify(f)
	e := len(w.epochs) - 1
	for e > 0 && f.Time.Before(w.epochs[e].from) {
		e--
	}
	w.epochs[e].counts[f.Class]++
	if f.Rule != "" {
		w.epochs[e].byRule[f.Rule]++
	}
	if f.Class == Leak && len(w.leaks) < keptLeaks {
		w.leaks = append(w.leaks, f)
	}
	if len(w.ring) < ringFrames {
		w.ring = append(w.ring, f)
	} else {
		w.ring[w.next%ringFrames] = f
	}
	w.next++
}

func (w *Wire) classify(f *Frame) {
	key := fragKey{f.Src, f.Dst, f.Proto, f.FragID}
	if f.Later { // belongs to its first fragment; an orphan is a leak
		v, known := w.frags[key]
		if !known {
			v = verdict{class: Leak}
		}
		f.Class, f.Rule = v.class, v.rule
		return
	}
	f.Class = f.natural()
	if f.Class == Leak && f.Proto == protoUDP &&
		(w.transport[netip.AddrPortFrom(f.Dst, f.DstPort)] || w.transport[netip.AddrPortFrom(f.Src, f.SrcPort)]) {
		f.Class = Transport
	}
	if f.Class == Leak {
		for _, r := range w.rules {
			if r.fits(f) {
				f.Class, f.Rule = Explained, r.name
				break
			}
		}
	}
	if f.Fragment {
		if len(w.frags) > ringFrames {
			clear(w.frags)
		}
		w.frags[key] = verdict{f.Class, f.Rule}
	}
}

// Count is how many frames of a class were sent since a mark.
func (w *Wire) Count(c Class, since Mark) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.epochs[since:] {
		n += e.counts[c]
	}
	return n
}

// CountRule is how many frames one Explain rule took since a mark.
func (w *Wire) CountRule(name string, since Mark) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.epochs[since:] {
		n += e.byRule[name]
	}
	return n
}

// CountBetween is how many frames of a class were sent from one mark to a
// later one.
func (w *Wire) CountBetween(c Class, from, to Mark) int { return w.Count(c, from) - w.Count(c, to) }

// Leaks are the leaked frames since a mark, as far as they were kept.
func (w *Wire) Leaks(since Mark) (out []*Frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.leaks {
		if !f.Time.Before(w.epochs[since].from) {
			out = append(out, f)
		}
	}
	return out
}

// Frames is the ring: the last few thousand frames of every class.
func (w *Wire) Frames() []*Frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ring) < ringFrames {
		return append([]*Frame(nil), w.ring...)
	}
	at := w.next % ringFrames
	return append(append([]*Frame(nil), w.ring[at:]...), w.ring[:at]...)
}

// Drain waits until the capture has read all that was sent before the call.
func (w *Wire) Drain(ctx context.Context) error {
	w.mu.Lock()
	r := w.reader
	w.mu.Unlock()
	if r == nil {
		return fmt.Errorf("%s: the capture is not running", w.Name)
	}
	ask := caughtUp{time.Now(), make(chan struct{})}
	slow := func() error { return fmt.Errorf("%s: the capture does not keep up: %w", w.Name, ctx.Err()) }
	ended := fmt.Errorf("%s: the capture has ended", w.Name)
	select {
	case r.asks <- ask:
	case <-r.done:
		return ended
	case <-ctx.Done():
		return slow()
	}
	select {
	case <-ask.done:
		return nil
	case <-r.done:
		return ended
	case <-ctx.Done():
		return slow()
	}
}

// Check is nil when the capture can be believed: it runs and lost nothing.
func (w *Wire) Check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reader != nil {
		w.drops += w.reader.drops()
	}
	if w.drops > 0 {
		return fmt.Errorf("%s: the capture lost %d frames and proves nothing", w.Name, w.drops)
	}
	return w.problem
}

// attach opens the capture; before the wire comes up, so that it misses none.
func (w *Wire) attach() error {
	link, err := w.lab.ISP.nl.LinkByName(w.far)
	if err != nil {
		return fmt.Errorf("capturing %s: %w", w.Name, err)
	}
	var fd int
	err = w.lab.ISP.Do(func() (err error) {
		fd, err = openCapture(link.Attrs().Index)
		return err
	})
	if err != nil {
		return fmt.Errorf("capturing %s: %w", w.Name, err)
	}
	r := &reader{fd: fd, asks: make(chan caughtUp), stop: make(chan struct{}), done: make(chan struct{})}
	w.mu.Lock()
	w.reader = r
	w.mu.Unlock()
	go r.run(w.take, func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.problem = errors.Join(w.problem, fmt.Errorf("%s: capture: %w", w.Name, err))
	})
	return nil
}

// Detach ends the capture for good, for measurements that it would disturb.
func (w *Wire) Detach() { w.detach() }

// detach ends the capture, reading what is still queued.
func (w *Wire) detach() {
	w.mu.Lock()
	r := w.reader
	w.reader = nil
	w.mu.Unlock()
	if r == nil {
		return
	}
	close(r.stop)
	<-r.done
	w.mu.Lock()
	w.drops += r.drops()
	w.mu.Unlock()
	unix.Close(r.fd)
}
