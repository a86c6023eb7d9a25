package webui

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// house is a server with a fake agent, on a loopback address and on a unix
// socket.
type house struct {
	t      *testing.T
	f      *fake
	s      *Server
	at     string // host:port
	socket string
	cookie string
	now    *clock
}

type clock struct{ ahead time.Duration }

func (c *clock) time() time.Time { return time.Now().Add(c.ahead) }

func open(t *testing.T) *house {
	t.Helper()
	f, now := newFake(), &clock{}
	s := New(Options{Agent: f.agent(), Log: slog.New(slog.DiscardHandler), Now: now.time,
		Names: func() []string { return []string{"router.lan"} }, HowTo: "run lanseal passwd"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 3)
	t.Cleanup(func() {
		cancel()
		for range 3 {
			<-done
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, f: f, s: s, at: l.Addr().String(), socket: t.TempDir() + "/s", now: now}
	u, err := net.Listen("unix", h.socket)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []func(){func() { s.Run(ctx) }, func() { _ = s.LAN(ctx, l, nil) }, func() { _ = s.Socket(ctx, u) }} {
		go func() { run(); done <- struct{}{} }()
	}
	return h
}

// answer is what came back.
type answer struct {
	status int
	body   string
	header http.Header
}

// do sends one request; headers are pairs, and "Host" counts too.
func (h *house) do(method, path, body string, headers ...string) answer {
	h.t.Helper()
	req, err := http.NewRequest(method, "http://"+h.at+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if h.cookie != "" {
		req.Header.Set("Cookie", h.cookie)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{resp.StatusCode, string(text), resp.Header}
}

func (h *house) overSocket() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", h.socket)
	}}
}

// asRoot asks on the unix socket.
func (h *house) asRoot(method, path, body string) answer {
	h.t.Helper()
	c := &http.Client{Transport: h.overSocket()}
	req, err := http.NewRequest(method, "http://lanseal"+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(text), resp.Header}
}

func (h *house) signIn() *house {
	h.t.Helper()
	a := h.do("POST", "/api/v1/login", `{"password":"right password"}`)
	if a.status != 200 {
		h.t.Fatalf("signing in: %d %s", a.status, a.body)
	}
	h.cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	return h
}

func (h *house) want(a answer, status int, parts ...string) {
	h.t.Helper()
	if a.status != status {
		h.t.Errorf("%d, want %d: %s", a.status, status, a.body)
	}
	for _, p := range parts {
		if !strings.Contains(a.body, p) {
			h.t.Errorf("%q is not in %s", p, a.body)
		}
	}
}

func TestEveryRouteNeedsASession(t *testing.T) {
	h := open(t)
	for _, r := range h.s.routes() {
		path := prefix + strings.NewReplacer(":name", "se", ":mac", "02:00:00:00:00:01", ":id", "x").Replace(r.path)
		if a := h.do(r.method, path, ""); !r.open && a.status != http.StatusUnauthorized {
			t.Errorf("%s %s without a session: %d %s", r.method, path, a.status, a.body)
		}
	}
	h.want(h.do("GET", "/metrics", ""), http.StatusUnauthorized)
	h.want(h.do("GET", "/healthz", ""), 200, `{"locks":true}`)
	h.want(h.asRoot("GET", "/api/v1/status", ""), 200, `"state":"protected"`)
	h.want(h.asRoot("GET", "/metrics", ""), 200, "lanseal_exit_up")
	h.f.set(func(s *Status) { s.Locks.Routing = false })
	h.want(h.do("GET", "/healthz", ""), http.StatusServiceUnavailable)
}

func TestTunnels(t *testing.T) {
	h := open(t).signIn()
	a := h.do("GET", "/api/v1/tunnels", "")
	h.want(a, 200, `"label":"Sweden"`, `"state":"up"`, `"availability_24h":0.99,"availability_30d":null`, `"via":["se","no"]`)
	rev := a.header.Get("ETag")
	h.want(h.do("POST", "/api/v1/tunnels", `{"name":"us","content":"x"}`), 201, `"name":"us"`)
	h.want(h.do("POST", "/api/v1/tunnels", `{"content":"bad"}`), 400, `"field":"content"`)
	h.want(h.do("POST", "/api/v1/tunnels", `{}`), 400, `"field":"content"`)
	form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"de.conf\"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name=\"label\"\r\n\r\nGermany\r\n--b--\r\n"
	h.want(h.do("POST", "/api/v1/tunnels", form, "Content-Type", "multipart/form-data; boundary=b"), 201, `"label":"Germany"`, "de.conf")
	h.want(h.do("PATCH", "/api/v1/tunnels/se", `{"enabled":false,"mtu":1400}`), http.StatusPreconditionRequired)
	h.want(h.do("PATCH", "/api/v1/tunnels/se", `{"enabled":false,"mtu":1400}`, "If-Match", rev), 200)
	if s := h.f.section("se"); s.Options["enabled"][0] != "0" || s.Options["mtu"][0] != "1400" {
		t.Errorf("%+v", s)
	}
	h.want(h.do("PATCH", "/api/v1/tunnels/se", `{"enabled":true}`, "If-Match", rev), http.StatusPreconditionFailed)
	h.want(h.do("PATCH", "/api/v1/tunnels/xx", `{}`, "If-Match", "*"), 404)
	h.want(h.do("PATCH", "/api/v1/tunnels/tv", `{}`, "If-Match", "*"), 404)
	h.want(h.do("POST", "/api/v1/tunnels/se/test", ""), 200, `"answered":true`)
	// The TV had no other exit: it must not fall back to what the default is.
	h.want(h.do("DELETE", "/api/v1/tunnels/no", "", "If-Match", "*"), 200)
	if via := h.f.section("tv").Options["via"]; len(via) != 1 || via[0] != "block" {
		t.Errorf("the tv goes by %v", via)
	}
	if via := h.f.section("main").Options["via"]; len(via) != 1 || via[0] != "se" {
		t.Errorf("the default is %v", via)
	}
	if h.f.files["removed"] != "/etc/lanseal/tunnels/no.conf" {
		t.Error("the tunnel's file stays")
	}
}

func TestDevices(t *testing.T) {
	h := open(t).signIn()
	h.want(h.do("GET", "/api/v1/devices", ""), 200, `"exit":"se"`)
	h.want(h.do("PUT", "/api/v1/devices/nonsense", `{}`, "If-Match", "*"), 400, `"field":"mac"`)
	h.want(h.do("PUT", "/api/v1/devices/02-00-00-00-00-01", `{"via":["block"],"label":"TV"}`, "If-Match", "*"), 200)
	if s := h.f.section("tv"); s.Options["via"][0] != "block" || s.Options["label"][0] != "TV" {
		t.Errorf("%+v", s)
	}
	h.want(h.do("PUT", "/api/v1/devices/02:00:00:00:00:09", `{"via":["se"],"label":"Käthe's tablet!"}`, "If-Match", "*"), 200)
	if s := h.f.section("k_the_s_tabl"); s.Type != "device" || s.Options["mac"][0] != "02:00:00:00:00:09" {
		t.Errorf("%+v", h.f.sections)
	}
	h.want(h.do("DELETE", "/api/v1/devices/02:00:00:00:00:09", "", "If-Match", "*"), 200)
	if s := h.f.section("k_the_s_tabl"); s.Type != "" {
		t.Errorf("%+v", s)
	}
	h.want(h.do("DELETE", "/api/v1/devices/02:00:00:00:00:09", "", "If-Match", "*"), 404)
	h.want(h.do("PUT", "/api/v1/devices/02:00:00:00:00:01", `{"via":["bad"]}`, "If-Match", "*"), 400, `"field":"via"`)
}

func TestSettingsAndExceptions(t *testing.T) {
	h := open(t).signIn()
	h.want(h.do("GET", "/api/v1/settings", ""), 200, `"enabled":true`, `"dns":"tunnel"`, `"via":["se","no"]`, `"bootstrap":[]`)
	h.want(h.do("PUT", "/api/v1/settings", `{"killswitch":false,"resolver":["10.0.0.1"],"dns":"custom"}`, "If-Match", "*"), 200, `"killswitch":false`, `"dns":"custom"`)
	if o := h.f.section("main").Options; len(o["via"]) != 2 || o["killswitch"][0] != "0" {
		t.Errorf("what was not named has changed: %+v", o)
	}
	h.want(h.do("PUT", "/api/v1/settings", `{"dns":"bad","ipv6":"bad"}`, "If-Match", "*"), 400, `"field":"dns"`, `"field":"ipv6"`)
	h.want(h.do("POST", "/api/v1/exceptions", `{"label":"Provider IPTV","dest":["192.168.100.0/24"],"proto":"udp"}`), 201, `"id":"x_provider_i"`)
	h.want(h.do("GET", "/api/v1/exceptions", ""), 200, "192.168.100.0/24")
	h.want(h.do("DELETE", "/api/v1/exceptions/x_provider_i", "", "If-Match", "*"), 200, "[]")
	h.want(h.do("DELETE", "/api/v1/exceptions/main", "", "If-Match", "*"), 404)
}

// Two writers start from the same answer: one of them is told.
func TestNoUpdateIsLost(t *testing.T) {
	h := open(t).signIn()
	rev := h.do("GET", "/api/v1/settings", "").header.Get("ETag")
	statuses := make(chan int, 8)
	for i := range cap(statuses) {
		go func() {
			statuses <- h.do("PUT", "/api/v1/settings", `{"bootstrap":["10.0.0.`+string(rune('0'+i))+`"]}`, "If-Match", rev).status
		}()
	}
	won := 0
	for range cap(statuses) {
		switch s := <-statuses; s {
		case 200:
			won++
		case http.StatusPreconditionFailed:
		default:
			t.Errorf("%d", s)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d writers were told that they had won", won, cap(statuses))
	}
}

func TestEvents(t *testing.T) {
	h := open(t).signIn()
	for i := range 10 {
		h.f.happen(Event{Time: time.Date(2026, 11, 23, 11, 0, i, 0, time.UTC), Kind: "healed", Text: "x"})
	}
	h.want(h.do("GET", "/api/v1/events?since=2026-11-23T11:00:08Z", ""), 200, "11:00:09")
	if a := h.do("GET", "/api/v1/events?limit=2&before=2026-11-23T11:00:05Z", ""); strings.Count(a.body, "text") != 2 || !strings.Contains(a.body, "11:00:04") {
		t.Error(a.body)
	}
	if a := h.do("GET", "/api/v1/events?kind=state", ""); strings.Count(a.body, "text") != 1 {
		t.Error(a.body)
	}
	for _, q := range []string{"since=yesterday", "before=x", "limit=0", "limit=99999999999999999999"} {
		field, _, _ := strings.Cut(q, "=")
		h.want(h.do("GET", "/api/v1/events?"+q, ""), 400, `"field":"`+field+`"`)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
