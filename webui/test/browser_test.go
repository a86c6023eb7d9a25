// Package test looks at the page as people do: with a real browser, on a
// client of the lab's, against the real agent.
package test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

const password = "correct horse battery"

func TestMain(m *testing.M) {
	lab.Main()
	os.Exit(m.Run())
}

// needs fails, or skips, where the machine lacks what the test runs.
func needs(t *testing.T) {
	t.Helper()
	var missing []string
	for _, program := range []string{"node", "chromium"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if _, err := os.Stat("node_modules/playwright-core"); err != nil {
		missing = append(missing, "webui/test/node_modules (npm ci)")
	}
	if len(missing) == 0 {
		return
	}
	if os.Getenv("LANSEAL_LAB") == "require" {
		t.Fatalf("LANSEAL_LAB=require, and there is no %s: make test-web installs it", strings.Join(missing, ", "))
	}
	t.Skipf("there is no %s: make test-web installs it", strings.Join(missing, ", "))
}

// product builds the agent.
var product = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "lanseal-browser-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "lanseal")
	cmd := exec.Command("go", "build", "-tags", "nomsgpack,validator_novalidatefn,nethttpomithttp2", "-o", path, "../../agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the product: %w: %s", err, out)
	}
	return path, nil
})

// wish is what the browser's script asks of the lab, one line of JSON each.
type wish struct {
	Do   string
	Text string
}

// helper does what the script asks for.
type helper struct {
	t   *testing.T
	ctx context.Context
	l   *lab.Lab
	a   *lab.Agent
	tr  *lab.Traffic
}

func (h *helper) fulfil(w wish) (any, error) {
	switch w.Do {
	case "passwd":
		c := h.l.Router.Command(h.ctx, h.l.Opts.Lanseal, "-c", h.a.Config, "--socket", h.a.Socket, "--state", h.a.State, "--persist", h.a.Persist, "passwd")
		c.Stdin = strings.NewReader(password + "\n")
		out, err := c.CombinedOutput()
		return string(out), err
	case "file":
		v := map[string]*lab.VPN{"se": h.l.VPN1, "no": h.l.VPN2}[w.Text]
		return v.ClientFile(lab.ClientOptions{}), nil
	case "status":
		return h.a.Status(h.ctx)
	case "config":
		b, err := os.ReadFile(h.a.Config)
		return string(b), err
	case "tv":
		return h.whoSeesTV()
	case "traffic":
		h.tr = h.l.Traffic(h.l.TV, lab.UDP4, lab.TCP4)
		return nil, h.tr.WaitFlow(h.ctx)
	case "drop":
		h.l.VPN1.Kill()
		h.l.VPN2.Kill()
		return nil, nil
	case "recover":
		return nil, errors.Join(h.l.VPN1.Restart(false), h.l.VPN2.Restart(false))
	case "kill":
		h.a.Kill9()
		return nil, nil
	case "start":
		return nil, h.a.Start()
	case "note":
		h.t.Log(w.Text)
		return nil, nil
	}
	return nil, fmt.Errorf("nobody knows how to %s", w.Do)
}

// whoSeesTV asks the echo server which address it saw, and counts on the wire
// by which server's tunnel the question went.
func (h *helper) whoSeesTV() (any, error) {
	count := func(v *lab.VPN) (n int) {
		for _, f := range h.l.WAN.Frames() {
			if f.Dst == v.Endpoint().Addr() {
				n++
			}
		}
		return n
	}
	if err := h.l.WAN.Drain(h.ctx); err != nil {
		return nil, err
	}
	before := count(h.l.VPN2)
	c, err := h.l.TV.Dial(netip.MustParseAddrPort(lab.Echo4+":7"), 3*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	for range 20 {
		if _, err := c.Write([]byte("tv\n")); err != nil {
			return nil, err
		}
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			return nil, err
		}
	}
	if err := h.l.WAN.Drain(h.ctx); err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte("tv\n")); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return map[string]any{"seen": line, "by": count(h.l.VPN2) - before}, err
}

// From the first visit to a protected television, a dropout and back, on a
// telephone and on a desktop, light and dark; with axe at every page.
func TestBrowser(t *testing.T) {
	needs(t)
	binary, err := product()
	if err != nil {
		t.Fatal(err)
	}
	l := lab.ForTest(t, lab.Options{Lanseal: binary, Dnsmasq: true})
	a, err := l.StartAgent(lab.AgentConfig{UCI: "config lanseal 'main'\n\toption enabled '0'\n\tlist lan_device 'br-lan'\n\tlist wan_device 'wan'\n", Tunnels: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 170*time.Second)
	defer cancel()
	run(ctx, t, &helper{t: t, ctx: ctx, l: l, a: a}, "browser.mjs", "http://"+lab.RouterLAN4+":8053")
	whoAsked(ctx, t, l)
	h := l.Router.Command(ctx, "ip", "link")
	if out, _ := h.Output(); strings.Contains(string(out), "lanprobe") {
		t.Error("the leak test's client is still there")
	}
}

// whoAsked fails if OpenDNS was asked how it sees the router by another way
// than a tunnel, or more often than exits came and went.
func whoAsked(ctx context.Context, t *testing.T, l *lab.Lab) {
	t.Helper()
	if err := l.WAN.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	for _, f := range l.WAN.Frames() {
		if a := f.Dst.String(); a == lab.OpenDNS4 || a == lab.OpenDNS6 {
			t.Errorf("on the uplink's wire: %s", f)
		}
	}
	asked := l.OpenDNS().Questions(time.Time{})
	for _, q := range asked {
		if a := q.From.Addr().Unmap(); a != netip.MustParseAddr(lab.VPN1v4) && a != netip.MustParseAddr(lab.VPN1v6) &&
			a != netip.MustParseAddr(lab.VPN2v4) && a != netip.MustParseAddr(lab.VPN2v6) {
			t.Errorf("%s was asked of OpenDNS by %s", q.Name, a)
		}
	}
	if len(asked) == 0 || len(asked) > 20 {
		t.Errorf("OpenDNS was asked %d times", len(asked))
	}
}

// run runs a script on the laptop and answers its wishes.
func run(ctx context.Context, t *testing.T, h *helper, script, address string) {
	t.Helper()
	pictures := os.Getenv("LANSEAL_PICTURES")
	if pictures == "" {
		pictures = t.TempDir()
	}
	c := h.l.Laptop.Command(ctx, "node", script)
	c.Env = append(os.Environ(), "ADDRESS="+address, "PASSWORD="+password, "PICTURES="+pictures, "PROFILE="+t.TempDir(),
		"TV="+lab.MACTV, "LAPTOP="+lab.MACLaptop, "VPN1="+lab.VPN1v4, "VPN2="+lab.VPN2v4)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var w wish
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil || w.Do == "" {
			t.Log(lines.Text())
			continue
		}
		v, err := h.fulfil(w)
		answer := map[string]any{"value": v}
		if err != nil {
			answer["error"] = err.Error()
		}
		if err := json.NewEncoder(in).Encode(answer); err != nil {
			break
		}
	}
	in.Close()
	if err := c.Wait(); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}
