package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// standIn is the file that is the router's clock in the lab's build.
const standIn = "/run/lanseal-lab-clock"

// builtWithClock makes the lab's product, with a tunnel child whose handshakes
// bear the stand-in's time: one package of the WireGuard library is another.
var builtWithClock = sync.OnceValues(func() (string, error) {
	const library = "golang.zx2c4.com/wireguard"
	top, err := builtIn()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(top, "clock")
	command := func(argv ...string) string {
		if err != nil {
			return ""
		}
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, failed := cmd.CombinedOutput()
		if failed != nil {
			err = fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), failed, out)
		}
		return strings.TrimSpace(string(out))
	}
	original, copied := command("go", "list", "-m", "-f", "{{.Dir}}", library), filepath.Join(dir, "wireguard")
	if err == nil {
		err = os.CopyFS(copied, os.DirFS(original))
	}
	for from, to := range map[string]string{
		"testdata/tai64n/tai64n.go": filepath.Join(copied, "tai64n", "tai64n.go"), "../go.mod": filepath.Join(dir, "go.mod"), "../go.sum": filepath.Join(dir, "go.sum"),
	} {
		b, failed := os.ReadFile(from)
		_ = os.Remove(to) // the module cache's files are not to be written
		err = errors.Join(err, failed, os.WriteFile(to, b, 0o600))
	}
	command("go", "mod", "edit", "-replace", library+"="+copied, filepath.Join(dir, "go.mod"))
	command("go", "build", "-modfile", filepath.Join(dir, "go.mod"), "-tags", "lanseal_lab", "-o", filepath.Join(dir, "lanseal"), ".")
	return filepath.Join(dir, "lanseal"), err
})

func withClock(t *testing.T) string {
	t.Helper()
	path, err := builtWithClock()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// until asks again and again, for as long as the test has.
func until(ctx context.Context, t *testing.T, what string, f func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// reboot takes away what a reboot takes away: the agent, its tunnels, and what
// is in RAM.
func reboot(ctx context.Context, t *testing.T, l *lab.Lab, a *lab.Agent) {
	t.Helper()
	if a.Process().Running() {
		if err := a.Term(ctx); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = l.Router.Command(ctx, "ip", "link", "del", "ls-se").CombinedOutput() // perhaps it was never there
	if err := os.RemoveAll(a.State); err != nil {
		t.Fatal(err)
	}
}

// setClock makes the router's clock differ from the host's, and unsynchronised.
func setClock(t *testing.T, l *lab.Lab, hours int) {
	t.Helper()
	if err := l.Router.WriteFile(standIn, strconv.Itoa(hours*3600), 0o600); err != nil {
		t.Fatal(err)
	}
}

func ahead(t *testing.T, l *lab.Lab) time.Duration {
	t.Helper()
	text, err := l.Router.ReadFile(standIn)
	n, err2 := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return time.Duration(n) * time.Second
}

// C1: the router boots ten hours in the past. Its server has seen later
// handshakes and refuses those of that time; no NTP can be reached. The tunnel
// comes up, because the clock is moved forward to the last good time first.
// Where that is not known either, only NTP helps, and what it says starts the
// handshakes anew.
func TestC1ClockBehind(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t, lab.Options{Lanseal: withClock(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	setClock(t, l, 0)
	a, err := l.StartAgent(lab.AgentConfig{Tunnels: map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{})}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	sealed := l.WAN.MarkTime()

	reboot(ctx, t, l, a)
	setClock(t, l, -10)
	began := time.Now()
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.WaitState(ctx, "protected"), l.VPN1.WaitHandshake(ctx, began)); err != nil {
		t.Fatal(err)
	}
	if off := ahead(t, l); off < -time.Minute {
		t.Errorf("the clock is still %s behind", -off)
	}
	if out, _, status, err := a.Run(ctx, "events"); err != nil || status != 0 || !strings.Contains(out, "behind the last good time and was moved forward") {
		t.Errorf("lanseal events: %v, status %d:\n%s", err, status, out)
	}

	// The control: without the checkpoint nothing is known.
	reboot(ctx, t, l, a)
	if err := os.Remove(filepath.Join(a.Persist, "state.db")); err != nil {
		t.Fatal(err)
	}
	setClock(t, l, -10)
	began, mark := time.Now(), l.WAN.MarkTime()
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "handshakes that are refused", func() error {
		if n := l.WAN.Count(lab.Transport, mark); n < 3 {
			return fmt.Errorf("%d frames so far", n)
		}
		return nil
	})
	if p, err := l.VPN1.Peer(); err != nil || p.Handshake.After(began) {
		t.Fatalf("the server accepts handshakes of the past, so this test shows nothing: %v", err)
	}
	setClock(t, l, 0) // NTP has set it
	if _, errs, status, err := a.Run(ctx, "notify", "time-synced"); err != nil || status != 0 {
		t.Fatalf("lanseal notify: %v, status %d: %s", err, status, errs)
	}
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	if leaks := l.WAN.Leaks(sealed); len(leaks) > 0 {
		t.Errorf("%d leaks, first %v", len(leaks), leaks[0])
	}
}

// While nobody knows the time and no exit is up, the router's own NTP leaves by
// the WAN, a few packets a second; a client's never does. With an exit, and
// where the time is known, the router's does not either.
func TestNTPLeavesInNeed(t *testing.T) {
	t.Parallel()
	for _, firewall := range []string{"nft", "iptables"} {
		t.Run(firewall, func(t *testing.T) {
			t.Parallel()
			l := lab.ForTest(t, lab.Options{Lanseal: withClock(t)})
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			ntp := netip.MustParseAddrPort(lab.Echo4 + ":123")
			if err := l.Internet.ListenUDP(ntp, func(_ netip.AddrPort, msg []byte) []byte { return msg }); err != nil {
				t.Fatal(err)
			}
			l.WAN.Explain("ntp", func(f *lab.Frame) bool { return f.DstPort == 123 || f.SrcPort == 123 })
			// asks says whether a host is answered, and how many frames it cost the WAN.
			asks := func(h *lab.Host) (answered bool, frames int) {
				t.Helper()
				mark := l.WAN.MarkTime()
				_, err := h.Exchange(ntp, []byte("what time is it"), 300*time.Millisecond)
				if err := l.WAN.Drain(ctx); err != nil {
					t.Fatal(err)
				}
				return err == nil, l.WAN.CountRule("ntp", mark)
			}
			// A strict filter would drop answers whose way back it does not see.
			if err := l.Router.Sysctl("net/ipv4/conf/wan/rp_filter", "1"); err != nil {
				t.Fatal(err)
			}
			setClock(t, l, 0)
			if err := l.VPN1.Silence(); err != nil {
				t.Fatal(err)
			}
			a, err := l.StartAgent(lab.AgentConfig{
				Tunnels: map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{})}, Main: []string{"option firewall '" + firewall + "'"},
			})
			if err != nil {
				t.Fatal(err)
			}
			until(ctx, t, "the locks", func() error {
				s, err := a.Status(ctx)
				if err == nil && !(s.Locks.Routing && s.Locks.Firewall) {
					err = errors.New(s.Reason)
				}
				return err
			})
			if firewall == "nft" { // on iptables the look itself is taken for a change, and mended
				until(ctx, t, "the plan in force, with the tunnel's device, which has just been made", func() error {
					out, _, status, err := a.Run(ctx, "verify")
					if err == nil && status != 0 {
						err = fmt.Errorf("lanseal verify: status %d: %s", status, out)
					}
					return err
				})
			}
			if answered, n := asks(l.Router); !answered || n == 0 {
				t.Errorf("in need, the router is answered: %v, by %d frames", answered, n)
			}
			if answered, n := asks(l.TV); answered || n > 0 {
				t.Errorf("in need, a client is answered: %v, by %d frames", answered, n)
			}
			flood, began := l.WAN.MarkTime(), time.Now()
			for range 200 {
				_, _ = l.Router.Exchange(ntp, []byte("x"), time.Millisecond)
			}
			if err := l.WAN.Drain(ctx); err != nil {
				t.Fatal(err)
			}
			// Eight at once, four a second, each with its answer.
			if n, most := l.WAN.CountRule("ntp", flood), 2*(9+4*time.Since(began).Seconds()); float64(n) > most {
				t.Errorf("a flood of 200 questions: %d frames, at most %.0f are allowed", n, most)
			}
			if _, errs, status, err := a.Run(ctx, "notify", "time-synced"); err != nil || status != 0 {
				t.Fatalf("lanseal notify: %v, status %d: %s", err, status, errs)
			}
			if s, err := a.Status(ctx); err != nil || s.State == "protected" { // a plan that is due is applied first
				t.Fatal(s.State, err)
			}
			if answered, n := asks(l.Router); answered || n > 0 {
				t.Errorf("with the time known, the router is answered: %v, by %d frames", answered, n)
			}
			if err := errors.Join(l.VPN1.Resume(), a.WaitState(ctx, "protected")); err != nil {
				t.Fatal(err)
			}
			if answered, n := asks(l.Router); !answered || n > 0 {
				t.Errorf("with an exit, the router is answered: %v, by %d frames of the WAN", answered, n)
			}
			if s, err := a.Status(ctx); err != nil || s.Healed > 0 {
				t.Errorf("%d repairs of what nobody changed: %v", s.Healed, err)
			}
		})
	}
}

// C2: the endpoint is a name, the router boots, and nobody answers names. The
// store knows what it stood for.
func TestC2BootWithoutDNS(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	l.WAN.Explain("bootstrap", func(f *lab.Frame) bool { return f.Dst == netip.MustParseAddr(lab.Resolver4) && f.DstPort == 53 })
	a, err := l.StartAgent(lab.AgentConfig{
		Tunnels: map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{Endpoint: "vpn1.lab.test:51820"})},
		Main:    []string{"list bootstrap '" + lab.Resolver4 + "'"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	if l.WAN.CountRule("bootstrap", 0) == 0 {
		t.Fatal("the name was never asked for")
	}
	// Killed, as by a power cut, and not before the name is in flash: a name
	// that was not known is worth a checkpoint.
	until(ctx, t, "the checkpoint", func() error {
		_, err := os.Stat(filepath.Join(a.Persist, "state.db"))
		return err
	})
	a.Kill9()
	reboot(ctx, t, l, a)
	dead := func(verdict string) string {
		return "table inet dead {\n chain in {\n  type filter hook prerouting priority -400\n  meta l4proto { tcp, udp } th dport 53 " + verdict + "\n }\n}\n"
	}
	if err := l.Internet.NFT(dead("drop")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.WaitState(ctx, "protected"), l.VPN1.WaitHandshake(ctx, began)); err != nil {
		t.Fatal(err)
	}

	// The control: a store that knows nothing.
	reboot(ctx, t, l, a)
	if err := os.Remove(filepath.Join(a.Persist, "state.db")); err != nil {
		t.Fatal(err)
	}
	began, mark := time.Now(), l.WAN.MarkTime()
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "questions that nobody answers", func() error {
		if n := l.WAN.CountRule("bootstrap", mark); n < 4 {
			return fmt.Errorf("%d frames so far", n)
		}
		return nil
	})
	p, err := l.VPN1.Peer()
	if s, err2 := a.Status(ctx); err != nil || err2 != nil || p.Handshake.After(began) || s.State == "protected" {
		t.Errorf("the tunnel came up without a name: %v, %v", err, err2)
	}
}

// A step of the clock makes no handshake older or younger than it is.
func TestSteadyHandshakes(t *testing.T) {
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	raw := func(hours int, s float64) time.Time { return at(s).Round(0).Add(time.Duration(hours) * time.Hour) }
	var x steady
	for _, c := range []struct {
		name string
		raw  time.Time
		now  float64
		want float64 // when the handshake was
	}{
		{"found at the start, 40 s old", raw(0, -40), 0, -40},
		{"the same later", raw(0, -40), 60, -40},
		{"a new one", raw(0, 61), 62, 61},
		{"the clock went ten hours forward, and there is one of that time", raw(10, 70), 71, 71},
		{"the same later", raw(10, 70), 130, 71},
		{"ten hours back", raw(0, 131), 131.5, 131},
		{"of before a step forward, seen after it", raw(-10, 132), 133, 131.5},
	} {
		if got := x.at(c.raw, at(c.now)); got.Sub(at(c.want)).Abs() > time.Millisecond {
			t.Errorf("%s: at %v instead of %v", c.name, got.Sub(start), c.want)
		}
	}
	if !x.at(time.Time{}, at(140)).IsZero() {
		t.Error("no handshake is one")
	}
}

// The history is told as text, as JSON, and while it happens; it outlives the
// agent, and says so where none runs.
func TestEvents(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	a, err := l.StartAgent(lab.AgentConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	follower, err := l.Router.Start(l.Opts.Lanseal, "--socket", a.Socket, "events", "-f", "--json")
	if err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the follower", func() error {
		if !strings.Contains(follower.Log(), "protected") {
			return errors.New(follower.Log())
		}
		return nil
	})
	if err := l.Router.NFT("flush ruleset\n"); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the repair in the follower's eyes", func() error {
		if !strings.Contains(follower.Log(), `"kind":"healed"`) {
			return errors.New(follower.Log())
		}
		return nil
	})
	if err := a.Term(ctx); err != nil {
		t.Fatal(err)
	}
	if _, errs, status, err := a.Run(ctx, "events"); err != nil || status != 1 || !strings.Contains(errs, "no agent is running") {
		t.Errorf("without an agent: %v, status %d: %s", err, status, errs)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	out, _, status, err := a.Run(ctx, "events", "--json")
	if err != nil || status != 0 {
		t.Fatalf("lanseal events: %v, status %d", err, status)
	}
	last, healed := uint64(0), 0
	for line := range strings.Lines(out) {
		var e struct {
			ID   uint64
			Time time.Time
			Kind string
			Text string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.ID <= last || e.Text == "" || time.Since(e.Time) > time.Hour {
			t.Errorf("%s: %v", line, err)
		}
		last = e.ID
		if e.Kind == "healed" {
			healed++
		}
	}
	if healed == 0 {
		t.Errorf("the repair before the restart is forgotten:\n%s", out)
	}
	if err := a.Term(ctx); err != nil {
		t.Fatal(err)
	}
}
