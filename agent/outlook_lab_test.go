package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
	"github.com/lanseal/lanseal/webui"
)

// How the world sees the exit in use is asked through that exit alone, only
// while somebody looks at the page, and anew when another exit takes over.
func TestAddressAsTheWorldSeesIt(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	a, err := l.StartAgent(lab.AgentConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	waitForPage(ctx, t, l.Laptop)
	setPassword(t, l, a)
	marks := l.MarkAll()

	// The command line, a scrape and a health check are no people.
	stranger := browser(l.Laptop)
	for range 3 {
		if out, errs, _, err := a.Run(ctx, "status", "--json"); err != nil || strings.Contains(out, "seen_as") {
			t.Errorf("%v %s%s", err, out, errs)
		}
		fetchPage(t, stranger, "GET", "/healthz", "")
		req, _ := http.NewRequest("GET", "http://"+webAddress+"/metrics", nil)
		req.SetBasicAuth("prometheus", testPassword)
		resp, err := stranger.Do(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("scraping: %v %v", resp, err)
		}
		resp.Body.Close()
	}
	if asked := l.OpenDNS().Questions(time.Time{}); len(asked) > 0 {
		t.Errorf("nobody looks, and OpenDNS is asked: %+v", asked)
	}

	l.OpenDNS().Silence(true)
	statuses := watchStatus(ctx, t, signIn(t, l.Laptop))
	seen := func(exit, want string) {
		t.Helper()
		for {
			var st webui.Status
			select {
			case st = <-statuses:
			case <-ctx.Done():
				t.Fatalf("%s was never seen as %s", exit, want)
			}
			for _, e := range st.Exits {
				if e.SeenAs == nil {
					continue
				}
				if !e.InUse {
					t.Errorf("%s is not in use and seen as %v", e.Name, e.SeenAs)
				}
				s := strings.Join(e.SeenAs.Addresses, " ") + e.SeenAs.Why
				if e.Name == exit && s == want {
					return
				}
				if e.Name == exit {
					t.Errorf("%s is seen as %s, want %s", exit, s, want)
				}
			}
		}
	}
	// What is not answered is not known, and is not asked without end.
	seen("se", "nobody answered")
	if n := len(l.OpenDNS().Questions(time.Time{})); n < 2 || n > 6 {
		t.Errorf("%d questions, want one of each family, sent three times at most", n)
	}
	// Another exit takes over: its server's address, and nothing of the old one's.
	l.OpenDNS().Silence(false)
	if err := l.VPN1.Silence(); err != nil {
		t.Fatal(err)
	}
	seen("no", lab.VPN2v4+" "+lab.VPN2v6)

	servers := []string{lab.VPN1v4, lab.VPN1v6, lab.VPN2v4, lab.VPN2v6}
	for _, q := range l.OpenDNS().Questions(time.Time{}) {
		if from := q.From.Addr().Unmap(); !strings.Contains(strings.Join(servers, " ")+" ", from.String()+" ") || q.Name != "myip.opendns.com" {
			t.Errorf("asked for %s by %s", q.Name, from)
		}
	}
	for _, s := range []*lab.DNSServer{l.PublicDNS(), l.ISPDNS(), l.VPN1.DNS, l.VPN2.DNS} {
		for _, q := range s.Questions(time.Time{}) {
			if q.Name == "myip.opendns.com" {
				t.Errorf("%s was asked for it by %s", s.Name, q.From)
			}
		}
	}
	l.NoLeak(t, marks)
	for _, f := range l.WAN.Frames() {
		if f.Dst == netip.MustParseAddr(lab.OpenDNS4) || f.Dst == netip.MustParseAddr(lab.OpenDNS6) {
			t.Errorf("on the uplink's wire: %s", f)
		}
	}
}

// watchStatus follows the stream as a page does, and hands on each status.
func watchStatus(ctx context.Context, t *testing.T, c *http.Client) <-chan webui.Status {
	t.Helper()
	c.Timeout = 0
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+webAddress+"/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("following the stream: %v %v", resp, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	out := make(chan webui.Status, 1000)
	go func() {
		kind := ""
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if k, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = k
			}
			var st webui.Status
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && kind == "status" && json.Unmarshal([]byte(data), &st) == nil {
				out <- st
			}
		}
	}()
	return out
}
