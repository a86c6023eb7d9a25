package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
	"github.com/lanseal/lanseal/webui"
)

const (
	testPassword = "correct horse battery"
	webAddress   = lab.RouterLAN4 + ":8053"
)

// labConn is a connection that began inside a host.
type labConn struct{ io.ReadWriteCloser }

func (labConn) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (labConn) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (labConn) SetDeadline(time.Time) error        { return nil }
func (labConn) SetReadDeadline(t time.Time) error  { return nil }
func (labConn) SetWriteDeadline(t time.Time) error { return nil }

// browser is an HTTP client on a host of the lab.
func browser(h *lab.Host) *http.Client {
	jar, _ := cookiejar.New(nil)
	return &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(_ context.Context, _, at string) (net.Conn, error) {
			ap, err := netip.ParseAddrPort(at)
			if err != nil {
				return nil, err
			}
			c, err := h.Dial(ap, 3*time.Second)
			if err != nil {
				return nil, err
			}
			return labConn{c}, nil
		},
	}}
}

// ask sends one request and returns the status and the body.
func fetchPage(t *testing.T, c *http.Client, method, path, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+webAddress+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// setPassword runs lanseal passwd as root would.
func setPassword(t *testing.T, l *lab.Lab, a *lab.Agent) {
	t.Helper()
	c := l.Router.Command(t.Context(), l.Opts.Lanseal, "-c", a.Config, "--socket", a.Socket, "--state", a.State, "--persist", a.Persist, "passwd")
	c.Stdin = strings.NewReader(testPassword + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("lanseal passwd: %v: %s", err, out)
	}
}

// signIn returns a browser that has signed in.
func signIn(t *testing.T, h *lab.Host) *http.Client {
	t.Helper()
	c := browser(h)
	if status, body, _ := fetchPage(t, c, "POST", "/api/v1/login", `{"password":"`+testPassword+`"}`); status != 200 {
		t.Fatalf("signing in: %d %s", status, body)
	}
	return c
}

// waitForPage waits until the page answers.
func waitForPage(ctx context.Context, t *testing.T, h *lab.Host) {
	t.Helper()
	for {
		c, err := h.Dial(netip.MustParseAddrPort(webAddress), time.Second)
		if err == nil {
			c.Close()
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the page never answered: %v", err)
		}
	}
}

// P1: the page is for the LAN alone, for who has signed in, and it tells no
// secret. What it changes is in the file, and in force.
func TestP1WebUI(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t), Dnsmasq: true})
	a, err := l.StartAgent(lab.AgentConfig{More: "config device 'tv'\n\tlist mac '" + lab.MACTV + "'\n"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	waitForPage(ctx, t, l.Laptop)

	stranger := browser(l.Laptop)
	status, body, _ := fetchPage(t, stranger, "GET", "/api/v1/session", "")
	if status != 200 || !strings.Contains(body, `"password_set":false`) || !strings.Contains(body, "lanseal passwd") {
		t.Errorf("first visit: %d %s", status, body)
	}
	if status, body, _ := fetchPage(t, stranger, "POST", "/api/v1/login", `{"password":""}`); status != http.StatusForbidden {
		t.Errorf("signed in without a password being set: %d %s", status, body)
	}
	if status, _, _ := fetchPage(t, stranger, "GET", "/api/v1/status", ""); status != http.StatusUnauthorized {
		t.Errorf("the status is told to strangers: %d", status)
	}
	setPassword(t, l, a)
	c := signIn(t, l.Laptop)

	// The whole of what it says holds no key.
	secrets := []string{}
	for _, v := range []*lab.VPN{l.VPN1, l.VPN2} {
		_, after, _ := strings.Cut(v.ClientFile(lab.ClientOptions{}), "PrivateKey = ")
		key, _, _ := strings.Cut(after, "\n")
		secrets = append(secrets, key)
	}
	for _, path := range []string{"/", "/api/v1/status", "/api/v1/tunnels", "/api/v1/devices", "/api/v1/settings", "/api/v1/exceptions", "/api/v1/events", "/metrics", "/api/v1/leaktest"} {
		status, body, _ := fetchPage(t, c, "GET", path, "")
		if status != 200 {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
		for _, s := range append(secrets, testPassword) {
			if strings.Contains(body, s) {
				t.Errorf("GET %s tells a secret", path)
			}
		}
	}

	// Devices: the TV goes elsewhere, and a capture at the other server says so.
	_, body, h := fetchPage(t, c, "GET", "/api/v1/devices", "")
	var ds webui.Devices
	if err := json.Unmarshal([]byte(body), &ds); err != nil {
		t.Fatal(err)
	}
	find := func(mac string) webui.Device {
		for _, d := range ds.Devices {
			if d.MAC == mac {
				return d
			}
		}
		t.Fatalf("no device %s in %s", mac, body)
		return webui.Device{}
	}
	if d := find(lab.MACTV); d.Exit != "se" || d.Name != "tv" {
		t.Errorf("the tv: %+v", d)
	}
	if d := find(lab.MACLaptop); d.Exit != "se" || !d.Online {
		t.Errorf("the laptop: %+v", d)
	}
	if status, body, _ := fetchPage(t, c, "PUT", "/api/v1/devices/"+lab.MACTV, `{"via":["no"],"label":"Living-room TV"}`); status != http.StatusPreconditionRequired {
		t.Errorf("a change without a revision: %d %s", status, body)
	}
	status, body, _ = fetchPage(t, c, "PUT", "/api/v1/devices/"+lab.MACTV, `{"via":["no"],"label":"Living-room TV"}`, "If-Match", h.Get("ETag"))
	if status != 200 || !strings.Contains(body, `"exit":"no"`) {
		t.Fatalf("assigning the tv: %d %s", status, body)
	}
	if status, body, _ := fetchPage(t, c, "PUT", "/api/v1/devices/"+lab.MACTV, `{"via":["se"]}`, "If-Match", h.Get("ETag")); status != http.StatusPreconditionFailed {
		t.Errorf("an old revision: %d %s", status, body)
	}
	tr := l.Traffic(l.TV, lab.UDP4)
	if err := tr.WaitFlow(ctx); err != nil {
		t.Fatal(err)
	}
	if status, body, _ := fetchPage(t, c, "PUT", "/api/v1/settings", `{"ipv6":"sometimes","resolver":["x"]}`, "If-Match", "*"); status != 400 || strings.Count(body, `"field"`) < 3 {
		t.Errorf("two mistakes: %d %s", status, body)
	}

	// Nobody reaches it from outside, or by a foreign name.
	for _, at := range []string{lab.WAN4 + ":8053", lab.RouterLAN4 + ":8053"} {
		if conn, err := l.ISP.Dial(netip.MustParseAddrPort(at), time.Second); err == nil {
			conn.Close()
			t.Errorf("the page answers the WAN on %s", at)
		}
	}
	req, _ := http.NewRequest("GET", "http://"+webAddress+"/api/v1/session", nil)
	req.Host = "rebound.example"
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a foreign name was answered: %d", resp.StatusCode)
	}

	out, errs, exit, err := a.Run(ctx, "devices", "--json")
	if err != nil || exit != 0 || !strings.Contains(out, "Living-room TV") {
		t.Errorf("lanseal devices: %d %v %s%s", exit, err, out, errs)
	}
	if log := a.Log(); strings.Contains(log, testPassword) || bytes.Contains([]byte(log), []byte(secrets[0])) {
		t.Error("the log tells a secret")
	}
}

// The leak test finds nothing while the locks hold, finds leaks when they are
// gone, and cleans up behind itself.
func TestLeakTest(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	a, err := l.StartAgent(lab.AgentConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	run := func() (webui.LeakTest, int) {
		t.Helper()
		out, errs, exit, err := a.Run(ctx, "leaktest", "--json")
		var d webui.LeakTest
		if err == nil {
			err = json.Unmarshal([]byte(out), &d)
		}
		if err != nil {
			t.Fatalf("lanseal leaktest: %d %v %s%s", exit, err, out, errs)
		}
		if links, _ := l.Router.Command(ctx, "ip", "link").Output(); bytes.Contains(links, []byte("lanprobe")) {
			t.Errorf("the client is still there: %s", links)
		}
		return d, exit
	}
	marks := l.MarkAll()
	if d, exit := run(); exit != 0 || len(d.Probes) < 10 {
		t.Errorf("while protected: %d %+v", exit, d)
	}
	l.NoLeak(t, marks)
	// Without the agent and with both locks gone the same packets get out.
	a.Kill9()
	for _, c := range []string{"nft delete table inet lanseal", "nft delete table netdev lanseal", "ip rule flush", "ip rule add lookup main", "ip -6 rule flush", "ip -6 rule add lookup main"} {
		if out, err := l.Router.Command(ctx, strings.Fields(c)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", c, err, out)
		}
	}
	d, exit := run()
	if exit != 1 || d.Verdict != "leak" {
		t.Errorf("without any lock: %d %+v", exit, d)
	}
	for _, p := range d.Probes {
		if p.Leaked == 0 && !strings.HasPrefix(p.Name, "DNS to the router") {
			t.Errorf("%s leaked, and was not seen", p.Name)
		}
	}
}
