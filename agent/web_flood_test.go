package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// mostRSS is more than the agent ever needs, and less than a router can spare.
const mostRSS = 64 << 20

// P1: hundreds of pages and a flood of requests from the LAN keep the agent
// from nothing: what others take from the firewall is put back meanwhile, the
// command line is answered, and the memory stays what it was, within bounds.
func TestP1Flood(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	a, err := l.StartAgent(lab.AgentConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	waitForPage(ctx, t, l.Laptop)
	setPassword(t, l, a)
	c := signIn(t, l.Laptop)
	c.Timeout = 0

	flood, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	answered := atomic.Int64{}
	ask := func(path string) {
		req, _ := http.NewRequestWithContext(flood, "GET", "http://"+webAddress+path, nil)
		if resp, err := c.Do(req); err == nil {
			answered.Add(1)
			_, _ = io.Copy(io.Discard, resp.Body) // of a stream: until the flood is over
			resp.Body.Close()
		}
	}
	for i := range 200 {
		wg.Go(func() {
			for flood.Err() == nil {
				ask([]string{"/api/v1/stream", "/api/v1/status", "/api/v1/devices", "/metrics"}[i%4])
			}
		})
	}
	before, err := a.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for answered.Load() < 100 && ctx.Err() == nil {
		if _, err := a.Status(ctx); err != nil {
			t.Errorf("the command line, while the page is flooded: %v", err)
		}
	}
	if out, err := l.Router.Command(ctx, "nft", "delete", "table", "inet", "lanseal").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for {
		now, err := a.Status(ctx)
		if err != nil {
			t.Fatalf("healing, while the page is flooded: %v", err)
		}
		if now.Healed > before.Healed && now.Locks.Firewall {
			break
		}
	}
	if n := rss(t, a.Pid()); n > mostRSS {
		t.Errorf("the agent has %d MB", n>>20)
	}
	stop()
	wg.Wait()
	t.Logf("%d requests were answered", answered.Load())
}

func rss(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// The page follows the LAN's addresses, and is on no other's.
func TestPageFollowsTheAddresses(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	if _, err := l.StartAgent(lab.AgentConfig{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	waitForPage(ctx, t, l.Laptop)
	const extra = "192.168.1.77"
	addr := func(do string) {
		t.Helper()
		if out, err := l.Router.Command(ctx, "ip", "addr", do, extra+"/24", "dev", "br-lan").CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	answers := func() bool {
		conn, err := l.Laptop.Dial(netip.MustParseAddrPort(extra+":8053"), time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	if answers() {
		t.Fatal("an address that is not there answers")
	}
	addr("add")
	for !answers() {
		if ctx.Err() != nil {
			t.Fatal("the page is not on the new address")
		}
	}
	addr("del")
	for l.Router.Command(ctx, "sh", "-c", "! ss -ltn 2>/dev/null | grep -q "+extra).Run() != nil {
		if ctx.Err() != nil {
			t.Fatal("the page is still on an address that is gone")
		}
	}
}
