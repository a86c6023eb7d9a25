package webui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// raw sends bytes and returns the first line of the answer.
func (h *house) raw(t *testing.T, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", h.at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		return ""
	}
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestStolenAndOldCookies(t *testing.T) {
	h := open(t).signIn()
	h.want(h.do("GET", "/api/v1/status", ""), 200)
	stolen := h.cookie
	h.want(h.do("POST", "/api/v1/logout", ""), 200)
	h.want(h.do("GET", "/api/v1/status", ""), http.StatusUnauthorized)
	h.signIn()
	if h.cookie == stolen {
		t.Error("the second session has the first one's cookie")
	}
	for _, c := range []string{"lanseal=", "lanseal=x", "lanseal=" + strings.Repeat("A", 43), "other=" + h.cookie, stolen} {
		h.want(h.do("GET", "/api/v1/status", "", "Cookie", c), http.StatusUnauthorized)
	}
	h.now.ahead = idleLife + time.Minute
	h.want(h.do("GET", "/api/v1/status", ""), http.StatusUnauthorized)
	h.signIn()
	for range 27 { // in use all the time, but not for ever
		h.now.ahead += 55 * time.Minute
		h.do("GET", "/api/v1/status", "")
	}
	h.want(h.do("GET", "/api/v1/status", ""), http.StatusUnauthorized)
	a := h.do("POST", "/api/v1/login", `{"password":"right password"}`)
	for _, part := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(a.header.Get("Set-Cookie"), part) {
			t.Errorf("the cookie is not %s: %s", part, a.header.Get("Set-Cookie"))
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s, now := newSessions(), time.Now()
	first := s.begin(now)
	for i := range 3 * mostSessions {
		s.begin(now.Add(time.Duration(i) * time.Second))
	}
	if len(s.all) > mostSessions || s.valid(first, now) {
		t.Errorf("%d sessions", len(s.all))
	}
}

func TestForeignHostAndOrigin(t *testing.T) {
	h := open(t).signIn()
	_, port, _ := net.SplitHostPort(h.at)
	for _, host := range []string{"rebound.example", "rebound.example:" + port, "192.168.1.1", "router.lan.example", "", "127.0.0.1.example", "[::1].example", "router.lan@x"} {
		line := h.raw(t, "GET /api/v1/session HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		if !strings.Contains(line, " 421 ") && !strings.Contains(line, " 400 ") {
			t.Errorf("Host %q: %s", host, line)
		}
	}
	for _, host := range []string{h.at, "router.lan", "ROUTER.lan:8053", "localhost:1", "router.lan."} {
		h.want(h.do("GET", "/api/v1/session", "", "Host", host), 200)
	}
	change := func(headers ...string) int {
		return h.do("PUT", "/api/v1/settings", `{"ipv6":"block"}`, append([]string{"If-Match", "*"}, headers...)...).status
	}
	for _, origin := range []string{"http://rebound.example", "null", "https://", "http://" + h.at + ".example", "http://127.0.0.1:1", "file://", "x"} {
		if s := change("Origin", origin); s != http.StatusForbidden {
			t.Errorf("Origin %q: %d", origin, s)
		}
	}
	for _, site := range []string{"cross-site", "same-site", "none"} {
		if s := change("Sec-Fetch-Site", site); s != http.StatusForbidden {
			t.Errorf("Sec-Fetch-Site %q: %d", site, s)
		}
	}
	if s := change("Origin", "http://"+h.at, "Sec-Fetch-Site", "same-origin"); s != 200 {
		t.Errorf("the page itself: %d", s)
	}
	// A form of another page: no JSON, no If-Match, a foreign origin.
	h.want(h.do("POST", "/api/v1/leaktest", "", "Origin", "http://rebound.example"), http.StatusForbidden)
	h.want(h.do("POST", "/api/v1/login", `{"password":"right password"}`, "Origin", "http://rebound.example"), http.StatusForbidden)
	h.want(h.do("POST", "/api/v1/login", "password=right+password", "Content-Type", "application/x-www-form-urlencoded"), http.StatusUnsupportedMediaType)
}

func TestGuessing(t *testing.T) {
	h := open(t)
	statuses := map[int]int{}
	for i := range 1000 {
		statuses[h.do("POST", "/api/v1/login", fmt.Sprintf(`{"password":"guess %d"}`, i)).status]++
	}
	if h.f.checked > freeAttempts+15 || statuses[http.StatusTooManyRequests] < 900 || statuses[200] > 0 {
		t.Errorf("of 1000 guesses %d were checked: %v", h.f.checked, statuses)
	}
	a := h.do("POST", "/api/v1/login", `{"password":"right password"}`)
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("who guessed need not wait: %d %s", a.status, a.body)
	}
	h.now.ahead = longestWait + time.Minute
	h.signIn()
}

// Addresses are free on a LAN: a thousand of them do not get more attempts.
func TestGuessingFromManyAddresses(t *testing.T) {
	b, now := newBrake(), time.Now()
	tried := 0
	for i := range 5000 {
		ip := fmt.Sprintf("192.168.%d.%d", i/250, i%250)
		if b.take(ip, now) == 0 {
			tried++
			b.give(ip, false, now)
		}
		now = now.Add(10 * time.Millisecond)
	}
	if most := togetherBurst + 50*togetherRate + 1; float64(tried) > most || len(b.by) > mostAddresses {
		t.Errorf("%d attempts in 50 s, %d addresses remembered", tried, len(b.by))
	}
	if origin("fd00::1") != origin("fd00::2") || origin("::ffff:10.0.0.1") != origin("10.0.0.1") || origin("fd00::1") == origin("fd01::1") {
		t.Error("an IPv6 host is not its subnet, or an IPv4 host not itself")
	}
}

// letters is a body without an end that costs the sender no memory.
type letters struct{}

func (letters) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func TestLargeBodies(t *testing.T) {
	h := open(t)
	const form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"
	send := func(path, typ, before, after string) int {
		body := io.MultiReader(strings.NewReader(before), io.LimitReader(letters{}, 10<<20), strings.NewReader(after))
		req, _ := http.NewRequest("POST", "http://"+h.at+path, body)
		req.Header.Set("Content-Type", typ)
		req.Header.Set("Cookie", h.cookie)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return 0 // the server hung up in the middle, which is right too
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	var start, end runtime.MemStats
	for _, signed := range []bool{false, true} {
		if signed {
			h.signIn()
		}
		runtime.GC()
		runtime.ReadMemStats(&start)
		for _, c := range [][4]string{
			{"/api/v1/login", "application/json", `{"password":"`, `"}`},
			{"/api/v1/tunnels", "application/json", `{"content":"`, `"}`},
			{"/api/v1/exceptions", "application/json", `{"label":"`, `"}`},
			{"/api/v1/tunnels", "multipart/form-data; boundary=b", form, "\r\n--b--\r\n"},
		} {
			if s := send(c[0], c[1], c[2], c[3]); s >= 200 && s < 300 {
				t.Errorf("%s took 10 MB: %d", c[0], s)
			}
		}
		send("/api/v1/leaktest", "text/plain", "", "")
		runtime.GC()
		runtime.ReadMemStats(&end)
		if grown := int64(end.HeapAlloc) - int64(start.HeapAlloc); grown > 4<<20 {
			t.Errorf("the memory grew by %d bytes", grown)
		}
		if all := end.TotalAlloc - start.TotalAlloc; all > 16<<20 {
			t.Errorf("bodies of 50 MB took %d bytes", all)
		}
	}
}

func TestStrangePathsAndHeaders(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/../../etc/shadow", "/..%2f..%2fetc%2fshadow", "/page/index.html", "/%2e%2e/openapi.go", "//etc/passwd", "/app.js/..", "/style.css%00.html", "/.git/config", "/api/v1/../v1/status"} {
		line := h.raw(t, "GET "+path+" HTTP/1.1\r\nHost: "+h.at+"\r\nConnection: close\r\n\r\n")
		if !strings.Contains(line, " 404 ") && !strings.Contains(line, " 400 ") && !strings.Contains(line, " 401 ") {
			t.Errorf("%s: %s", path, line)
		}
	}
	h.signIn()
	for _, path := range []string{"/api/v1/tunnels/..%2f..%2fetc", "/api/v1/tunnels/se%0d%0aSet-Cookie:%20x=y", "/api/v1/exceptions/%00", "/api/v1/devices/%0d%0a"} {
		a := h.do("DELETE", path, "", "If-Match", "*")
		if a.status != 404 && a.status != 400 || len(a.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	for _, r := range []string{
		"GET / HTTP/1.1\r\nHost: " + h.at + "\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + h.at + "\r\nHost: rebound.example\r\n\r\n",
		"POST /api/v1/login HTTP/1.1\r\nHost: " + h.at + "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
		"NONSENSE\r\n\r\n", "GET http://rebound.example/ HTTP/1.1\r\nHost: " + h.at + "\r\n\r\n",
	} {
		if line := h.raw(t, r); line != "" && !strings.Contains(line, " 4") {
			t.Errorf("%.60q: %s", r, line)
		}
	}
	a := h.do("GET", "/", "")
	for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options"} {
		if a.header.Get(name) == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if csp := a.header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") {
		t.Error(csp)
	}
}

// Who opens connections and says little takes nobody else's place for long.
func TestSlowRequests(t *testing.T) {
	h := open(t)
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for range 3 * mostConnections {
		c, err := net.Dial("tcp", h.at)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: ")
	}
	closed := 0
	for _, c := range held {
		_ = c.SetReadDeadline(time.Now().Add(headerLimit + 5*time.Second))
		if _, err := io.ReadAll(c); err == nil || !strings.Contains(err.Error(), "timeout") {
			closed++
		}
	}
	if closed != len(held) {
		t.Errorf("%d of %d slow connections were closed", closed, len(held))
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	h.want(h.do("GET", "/healthz", ""), 200)
}

// Bodies that never come are given up, whether their route asks for a session
// or not.
func TestSlowBodies(t *testing.T) {
	t.Parallel() // it waits for half a minute
	h := open(t).signIn()
	var held []net.Conn
	for i := range 20 {
		c, err := net.Dial("tcp", h.at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
		head := "POST /api/v1/login HTTP/1.1\r\n"
		if i%2 == 1 {
			head = "PUT /api/v1/settings HTTP/1.1\r\nCookie: " + h.cookie + "\r\n"
		}
		_, _ = io.WriteString(c, head+"Host: "+h.at+"\r\nOrigin: http://"+h.at+"\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	}
	h.want(h.do("GET", "/healthz", ""), 200)
	for _, c := range held {
		_ = c.SetReadDeadline(time.Now().Add(requestLimit + 10*time.Second))
		answer, err := io.ReadAll(c)
		if errors.Is(err, os.ErrDeadlineExceeded) || strings.HasPrefix(string(answer), "HTTP/1.1 2") {
			t.Errorf("a body that never came: %v %q", err, answer)
		}
	}
	h.want(h.do("GET", "/healthz", ""), 200)
}

// 500 idle pages: most are refused, nobody waits for them, and the agent is
// asked once a second for all of them together.
func TestManyStreams(t *testing.T) {
	h := open(t).signIn()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	statuses := map[int]int{}
	for range 500 {
		wg.Go(func() {
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+h.at+"/api/v1/stream", nil)
			req.Header.Set("Cookie", h.cookie)
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				statuses[0]++
				return
			}
			statuses[resp.StatusCode]++
			t.Cleanup(func() { resp.Body.Close() })
		})
	}
	wg.Wait()
	if statuses[200] > mostStreamsPerIP || statuses[200] == 0 {
		t.Errorf("%v", statuses)
	}
	h.f.mu.Lock()
	before := h.f.looked
	h.f.mu.Unlock()
	begun := time.Now()
	for range 50 { // those who watch do not slow down those who ask, nor the agent
		h.f.happen(Event{Time: time.Now(), Kind: "healed", Text: "x"})
		h.s.Poke()
	}
	h.want(h.asRoot("GET", "/api/v1/session", ""), 200)
	<-time.After(2 * time.Second)
	h.f.mu.Lock()
	asked := h.f.looked - before
	h.f.mu.Unlock()
	if most := 52 + int(time.Since(begun)/sampleEvery); asked > most {
		t.Errorf("the agent was asked %d times for %d watchers", asked, statuses[200])
	}
}

// A loop that is busy makes requests fail in time, and holds nothing else up.
func TestBusyAgent(t *testing.T) {
	h := open(t).signIn()
	h.f.mu.Lock()
	h.f.stuck = make(chan struct{})
	h.f.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+h.at+"/api/v1/status", nil)
	req.Header.Set("Cookie", h.cookie)
	if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
		resp.Body.Close()
		t.Error("a stuck agent answered")
	}
	h.want(h.do("GET", "/api/v1/session", ""), 200)
	close(h.f.stuck)
	h.want(h.do("GET", "/api/v1/status", ""), 200)
}

// No answer of any route holds what the agent keeps to itself.
func TestNoSecretIsTold(t *testing.T) {
	h := open(t).signIn()
	for _, r := range h.s.routes() {
		if r.raw != nil || r.path == "/logout" {
			continue
		}
		path := prefix + strings.NewReplacer(":name", "se", ":mac", "02:00:00:00:00:01", ":id", "x").Replace(r.path)
		for _, body := range []string{"", "{}", `{"password":"` + secretText + `"}`} {
			a := h.do(r.method, path, body, "If-Match", "*")
			if all := a.body + fmt.Sprint(a.header); strings.Contains(all, secretText) || strings.Contains(all, "right password") {
				t.Errorf("%s %s tells a secret: %s", r.method, path, all)
			}
		}
	}
}
