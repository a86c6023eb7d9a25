package webui

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// Times of the stream. While nothing moves a page costs a few bytes a second.
const (
	sampleEvery    = time.Second
	trafficEvery   = 2 * time.Second
	quietEvery     = 10 * time.Second // traffic, while it is hardly more than handshakes
	statusEvery    = time.Minute      // although nothing has changed but counters
	heartbeatEvery = 15 * time.Second
	writeLimit     = 10 * time.Second // for one message to a client that may sleep
	quietRate      = 2048             // bytes a second
	backlog        = 32               // messages; who is further behind starts again
	mostResumed    = 500              // events
)

// message is one event of the stream, as it goes over the wire.
type message []byte

func newMessage(kind, id string, v any) message {
	data, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", kind)
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	fmt.Fprintf(&b, "data: %s\n\n", data)
	return b.Bytes()
}

// Traffic is what the exits carried: totals, and the rate since the last.
type Traffic struct {
	Time   time.Time `json:"time"`
	Rx     uint64    `json:"rx_bytes"`
	Tx     uint64    `json:"tx_bytes"`
	RxRate float64   `json:"rx_rate"` // bytes a second
	TxRate float64   `json:"tx_rate"`
}

// hub looks at the agent once a second while anybody watches, and tells all.
type hub struct {
	s    *Server
	wake chan struct{}

	mu      sync.Mutex
	clients map[*client]bool
}

type client struct {
	ip  string
	out chan message // closed when it is too slow
}

func newHub(s *Server) *hub {
	return &hub{s: s, wake: make(chan struct{}, 1), clients: map[*client]bool{}}
}

func (h *hub) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// join makes a client, unless there are too many.
func (h *hub) join(ip string) *client {
	h.mu.Lock()
	defer h.mu.Unlock()
	same := 0
	for c := range h.clients {
		if c.ip == ip {
			same++
		}
	}
	if len(h.clients) >= mostStreams || ip != "" && same >= mostStreamsPerIP {
		return nil
	}
	c := &client{ip: ip, out: make(chan message, backlog)}
	h.clients[c] = true
	h.poke()
	return c
}

func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients[c] {
		delete(h.clients, c)
		close(c.out)
	}
}

// tell never waits: a client that has not read its backlog is let go.
func (h *hub) tell(m message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		select {
		case c.out <- m:
		default:
			delete(h.clients, c)
			close(c.out)
		}
	}
}

func (h *hub) watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients) > 0
}

// seen says whether a page is open; the command line watches without one.
func (h *hub) seen() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		if c.ip != "" {
			return true
		}
	}
	return false
}

// sampler is what run remembers from one look to the next.
type sampler struct {
	status      string
	statusTime  time.Time
	traffic     Traffic
	told        time.Time // when traffic was last told
	quiet       bool
	newestEvent uint64
}

func (h *hub) run(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	tick.Stop() // nobody watches: an idle agent is not woken for this
	var m sampler
	idle := true
	for {
		select {
		case <-ctx.Done():
			h.mu.Lock()
			for c := range h.clients {
				delete(h.clients, c)
				close(c.out)
			}
			h.mu.Unlock()
			return
		case <-tick.C:
		case <-h.wake:
		}
		if !h.watched() {
			idle = true
			tick.Stop()
			continue
		}
		if idle { // what happened before anybody watched is not news
			m, idle = sampler{newestEvent: h.s.newestEvent()}, false
			tick.Reset(sampleEvery)
		}
		h.sample(ctx, &m)
	}
}

func (h *hub) sample(ctx context.Context, m *sampler) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	now := h.s.now()
	st, err := h.s.agent.Status(ctx, Look{Person: h.seen()})
	if err != nil {
		return
	}
	for _, e := range h.s.agent.Events(m.newestEvent, time.Time{}) {
		h.tell(eventMessage(e))
		m.newestEvent = e.ID
	}
	if key := material(st); key != m.status || now.Sub(m.statusTime) >= statusEvery {
		h.tell(newMessage("status", "", st))
		m.status, m.statusTime = key, now
	}
	h.traffic(m, st, now)
}

func (h *hub) traffic(m *sampler, st Status, now time.Time) {
	t := Traffic{Time: now.UTC()}
	for _, e := range st.Exits {
		t.Rx += e.Rx
		t.Tx += e.Tx
	}
	every := trafficEvery
	if m.quiet {
		every = quietEvery
	}
	moving := t.Rx+t.Tx > m.traffic.Rx+m.traffic.Tx+quietRate*uint64(trafficEvery/time.Second)
	since := now.Sub(m.traffic.Time)
	if !m.told.IsZero() && since < every && !(m.quiet && moving && since >= trafficEvery) {
		return
	}
	if !m.told.IsZero() && since > 0 && t.Rx >= m.traffic.Rx && t.Tx >= m.traffic.Tx {
		t.RxRate = float64(t.Rx-m.traffic.Rx) / since.Seconds()
		t.TxRate = float64(t.Tx-m.traffic.Tx) / since.Seconds()
	}
	quiet := t.RxRate+t.TxRate < quietRate
	h.tell(newMessage("traffic", "", t))
	m.traffic, m.told, m.quiet = t, now, quiet
}

// material is a status without what changes all the time. Moments are looked
// at by the second: told in the time of day they vary by some nanoseconds.
func material(st Status) string {
	second := func(t time.Time) int64 { return t.Round(time.Second).Unix() }
	key := fmt.Sprint(st.State, second(st.Since), st.KillSwitch, st.Firewall, st.Locks, st.Blocked, st.Healed, st.Config, st.Error)
	for _, e := range st.Exits {
		key += fmt.Sprint(e.Name, e.State, e.InUse, e.Endpoint, e.IPv6, e.Resolvers)
		if e.Since != nil {
			key += fmt.Sprint(second(*e.Since))
		}
		if e.SeenAs != nil {
			key += fmt.Sprint(*e.SeenAs)
		}
	}
	return key
}

// newestEvent is the ID of the last thing that happened.
func (s *Server) newestEvent() uint64 {
	all := s.agent.Events(0, time.Time{})
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].ID
}

func eventMessage(e Event) message {
	return newMessage("event", strconv.FormatUint(e.ID, 10), e)
}

// stream serves one client until it goes away, signs out, or is too slow.
func (s *Server) stream(c *gin.Context) {
	cl := s.hub.join(asker(c))
	if cl == nil {
		c.Header("Retry-After", "10")
		answerError(c, fail(http.StatusServiceUnavailable, "", "too many pages are open: close some"))
		return
	}
	defer s.hub.leave(cl)
	token, needsSession := cookie(c.Request), asker(c) != ""
	welcome := func() bool { return !needsSession || s.sessions.valid(token, s.now()) }
	rc := http.NewResponseController(c.Writer)
	h := c.Writer.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	c.Writer.WriteHeader(http.StatusOK)
	write := func(m message) bool {
		_ = rc.SetWriteDeadline(time.Now().Add(writeLimit))
		if _, err := c.Writer.Write(m); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	_ = rc.SetReadDeadline(time.Time{}) // nothing more is to come
	if !write(message("retry: 2000\n\n")) || !s.greet(c, write) {
		return
	}
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	for {
		select {
		case <-c.Request.Context().Done():
			return
		case m, open := <-cl.out:
			if !open || !welcome() || !write(m) {
				return
			}
		case <-beat.C:
			if !welcome() || !write(message(": \n\n")) {
				return
			}
		}
	}
}

// greet brings a client up to date: the state, and the events it missed.
func (s *Server) greet(c *gin.Context, write func(message) bool) bool {
	st, err := s.agent.Status(c.Request.Context(), Look{Person: asker(c) != ""})
	if err != nil || !write(newMessage("status", "", st)) {
		return false
	}
	last, err := strconv.ParseUint(c.GetHeader("Last-Event-ID"), 10, 64)
	if err != nil {
		return true
	}
	missed := s.agent.Events(last, time.Time{})
	for _, e := range missed[max(0, len(missed)-mostResumed):] {
		if !write(eventMessage(e)) {
			return false
		}
	}
	return true
}
