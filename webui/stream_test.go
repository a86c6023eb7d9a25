package webui

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// follow opens the stream and returns its events, "kind data" each.
func (h *house) follow(lastID string) (<-chan string, func()) {
	h.t.Helper()
	req, _ := http.NewRequest("GET", "http://"+h.at+"/api/v1/stream", nil)
	req.Header.Set("Cookie", h.cookie)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	return h.streamed(req, &http.Transport{DisableKeepAlives: true})
}

// rootFollows opens the stream on the unix socket, until the test ends.
func (h *house) rootFollows() <-chan string {
	h.t.Helper()
	req, _ := http.NewRequest("GET", "http://lanseal/api/v1/stream", nil)
	events, stop := h.streamed(req, h.overSocket())
	h.t.Cleanup(stop)
	return events
}

func (h *house) streamed(req *http.Request, by *http.Transport) (<-chan string, func()) {
	h.t.Helper()
	resp, err := by.RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		h.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		kind := ""
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if k, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = k
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				out <- kind + " " + data
			}
		}
	}()
	return out, func() { resp.Body.Close() }
}

func (h *house) next(events <-chan string, kind string) string {
	h.t.Helper()
	limit := time.After(15 * time.Second)
	for {
		select {
		case e, open := <-events:
			if !open {
				h.t.Fatalf("the stream ended before a %s came", kind)
			}
			if data, ok := strings.CutPrefix(e, kind+" "); ok {
				return data
			}
		case <-limit:
			h.t.Fatalf("no %s came", kind)
		}
	}
}

func TestStream(t *testing.T) {
	h := open(t).signIn()
	events, stop := h.follow("")
	defer stop()
	var s Status
	if err := json.Unmarshal([]byte(h.next(events, "status")), &s); err != nil || s.State != "protected" {
		t.Fatalf("%v %+v", err, s)
	}
	h.next(events, "traffic")
	h.f.set(func(s *Status) { s.State, s.Reason = "sealed", "se: the server is silent" })
	for s.State != "sealed" {
		if err := json.Unmarshal([]byte(h.next(events, "status")), &s); err != nil {
			t.Fatal(err)
		}
	}
	first := time.Now()
	h.f.happen(Event{Time: first, Kind: "healed", Text: "one"})
	h.s.Poke()
	if e := h.next(events, "event"); !strings.Contains(e, `"one"`) {
		t.Error(e)
	}
	h.f.set(func(s *Status) { s.Exits[0].Rx += 1 << 20 })
	for data := ""; !strings.Contains(data, `"rx_bytes":1049576`); {
		data = h.next(events, "traffic")
	}
	// Who comes back gets what it missed, and nothing twice.
	h.f.happen(Event{Time: first.Add(time.Second), Kind: "healed", Text: "two"})
	again, stopAgain := h.follow("2")
	defer stopAgain()
	if e := h.next(again, "event"); !strings.Contains(e, `"two"`) {
		t.Errorf("resumed with %s", e)
	}
	// The session's end is the stream's.
	h.do("POST", "/api/v1/logout", "")
	h.s.Poke()
	h.f.set(func(s *Status) { s.Healed++ })
	limit := time.After(heartbeatEvery + 5*time.Second)
	for open := true; open; {
		select {
		case _, open = <-events:
		case <-limit:
			t.Fatal("the stream goes on after sign-out")
		}
	}
}

// An hour of a quiet network costs a page at most 300 kB.
func TestIdleStreamIsCheap(t *testing.T) {
	f := newFake()
	s := New(Options{Agent: f.agent(), Now: time.Now})
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return now }
	c := s.hub.join("192.0.2.1")
	var m sampler
	total := 0
	for i := range 3600 {
		now = now.Add(time.Second)
		if i%5 == 0 { // a probe and its answer, now and then a handshake
			f.set(func(s *Status) {
				s.Since = s.Since.Add(40 * time.Nanosecond)
				s.Exits[0].Rx += 96
				s.Exits[0].Tx += 96
				s.Exits[0].RTT += 0.1
			})
		}
		s.hub.sample(t.Context(), &m)
		for len(c.out) > 0 {
			total += len(<-c.out)
		}
		if i%15 == 0 {
			total += len(": \n\n")
		}
	}
	t.Logf("%d bytes in an hour", total)
	if total > 300_000 {
		t.Errorf("%d bytes in an hour", total)
	}
}

// A client that does not read is let go, and nobody waits for it.
func TestSlowReader(t *testing.T) {
	s := New(Options{Agent: newFake().agent(), Now: time.Now})
	slow, quick := s.hub.join("a"), s.hub.join("b")
	for range backlog + 1 {
		s.hub.tell(message("x"))
		<-quick.out
	}
	for range backlog {
		<-slow.out
	}
	if _, open := <-slow.out; open {
		t.Error("the slow client stays")
	}
	s.hub.leave(slow)
	s.hub.leave(quick)
	if s.hub.watched() {
		t.Error("somebody is still watching")
	}
}

// The world is asked how it sees the exit only for people: not for Prometheus,
// a health check, or the command line, not even while that follows the stream.
func TestOnlyPeopleCount(t *testing.T) {
	h := open(t).signIn()
	persons := func() int {
		h.f.mu.Lock()
		defer h.f.mu.Unlock()
		return h.f.persons
	}
	h.want(h.do("GET", "/metrics", ""), 200)
	h.want(h.do("GET", "/healthz", ""), 200)
	h.want(h.do("GET", "/api/v1/tunnels", ""), 200)
	h.want(h.asRoot("GET", "/api/v1/status", ""), 200)
	program := h.rootFollows()
	for range 2 { // root needs no session, so the stream goes on
		h.f.set(func(s *Status) { s.Healed++ })
		h.s.Poke()
		h.next(program, "status")
	}
	if n := persons(); n != 0 {
		t.Errorf("%d of them were taken for people", n)
	}
	h.want(h.do("GET", "/api/v1/status", ""), 200, `"seen_as":{"addresses":["192.0.2.10"]`)
	if n := persons(); n != 1 {
		t.Errorf("a page that asks is %d people", n)
	}
	events, stop := h.follow("")
	defer stop()
	h.next(events, "status")
	h.next(events, "traffic") // of the hub's first look
	if persons() < 2 {
		t.Error("a page that follows is nobody")
	}
	// What is found out is told at once.
	h.f.set(func(s *Status) { s.Exits[0].SeenAs = &SeenAs{Addresses: []string{"192.0.2.99"}} })
	h.s.Poke()
	for data := ""; !strings.Contains(data, "192.0.2.99"); {
		data = h.next(events, "status")
	}
}
