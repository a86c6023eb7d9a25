package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// protected is the second control: a router whose tunnel holds everything to
// the internet by routes alone, so that each attack on routes must show.
func protected(t *testing.T) (*Lab, *Traffic) {
	l := ForTest(t, Options{})
	if _, err := l.StartPlainClient(l.VPN1, "plain0", "198.51.0.0/16", "2001:db8::/45"); err != nil {
		t.Fatal(err)
	}
	tr := l.Traffic(l.TV, UDP4, UDP6)
	if err := tr.WaitFlow(within(t, 10*time.Second)); err != nil {
		t.Fatalf("%v\n%s", err, tr)
	}
	if n, lines := tr.Betrayed(); n != 0 {
		t.Fatalf("not held by the tunnel: %v", lines)
	}
	return l, tr
}

// Each attack that pulls traffic out of a tunnel does so here, and is taken
// back: an attack that pulls nothing would prove nothing about lanseal.
func TestAttacksPull(t *testing.T) {
	l, tr := protected(t)
	if err := l.WarmNeighbours(); err != nil {
		t.Fatal(err)
	}
	for _, a := range []struct {
		name    string
		kind    Kind
		on, off func() error
	}{
		{"option 121", UDP4, func() error { return l.AddMainRoute("198.51.100.0/24") }, func() error { return l.DelMainRoute("198.51.100.0/24") }},
		{"option 121, 128 bits", UDP6, func() error { return l.AddMainRoute(Echo6 + "/128") }, func() error { return l.DelMainRoute(Echo6 + "/128") }},
		{"advertised route", UDP6, func() error { return l.RARoute("2001:db8:5::/64", time.Minute) }, func() error { return l.RARoute("2001:db8:5::/64", 0) }},
		{"LocalNet", UDP4, func() error { return l.LocalNet("198.51.100.200/24") }, func() error { return l.EndLocalNet("198.51.100.200/24") }},
		{"LocalNet over IPv6", UDP6, func() error { return l.LocalNet("2001:db8:5::200/64") }, func() error { return l.EndLocalNet("2001:db8:5::200/64") }},
	} {
		leaked := func() bool {
			mark := l.WAN.MarkTime()
			if err := tr.WaitSent(within(t, 5*time.Second), 3); err != nil {
				t.Fatal(err)
			}
			if err := l.WAN.Drain(within(t, time.Second)); err != nil {
				t.Fatal(err)
			}
			for _, f := range l.WAN.Leaks(mark) {
				if kindOf(a.kind, f) {
					return true
				}
			}
			return false
		}
		if leaked() {
			t.Errorf("%s: leaks before", a.name)
		}
		if err := a.on(); err != nil {
			t.Fatalf("%s: %v", a.name, err)
		}
		if err := eventually(within(t, 5*time.Second), "a leak", func() error {
			if !leaked() {
				return errors.New("none")
			}
			return nil
		}); err != nil {
			t.Errorf("%s pulls nothing: %v", a.name, err)
		}
		if err := a.off(); err != nil {
			t.Fatalf("%s: %v", a.name, err)
		}
		if err := eventually(within(t, 5*time.Second), "the end of the leak", func() error {
			if leaked() {
				return errors.New("still leaking")
			}
			return nil
		}); err != nil {
			t.Errorf("%s stays: %v", a.name, err)
		}
	}
}

// Every fault of the router does what its name says, and service returns.
func TestRouterFaults(t *testing.T) {
	l := ForTest(t, Options{Guest: true})
	kinds := []Kind{UDP4, UDP6, UDPNew4, TCPNew4}
	tr := l.Traffic(l.Laptop, kinds...)
	steps := func(name string, fs ...func() error) {
		t.Helper()
		for _, f := range fs {
			if err := f(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := tr.WaitFlow(within(t, 10*time.Second)); err != nil {
			t.Fatalf("after %s: %v\n%s", name, err, tr)
		}
	}
	with := func(f func(string) error, s string) func() error { return func() error { return f(s) } }
	family := func(f func(int) error, n int) func() error { return func() error { return f(n) } }
	index := l.LinkIndex("wan")
	steps("re-dial", l.RedialWAN)
	if l.LinkIndex("wan") == index {
		t.Error("the re-dialled uplink has its old index")
	}
	if n := l.WAN.Count(Leak, l.WAN.MarkTime()); n != 0 {
		t.Errorf("a new mark counts %d", n)
	}
	mark := l.WAN.MarkTime()
	steps("address", with(l.SetWANAddress, "203.0.113.7/24"))
	steps("gateway", with(l.SetGateway, Gateway4b))
	if err := l.WAN.Drain(within(t, time.Second)); err != nil || l.WAN.Count(Leak, mark) == 0 {
		t.Errorf("the capture did not follow the re-dialled wire: %v", err)
	}
	if a, err := l.TV.WhoAmI(Echo4); err != nil || a.String() != "203.0.113.7" {
		t.Errorf("with its new address the router is %v, %v", a, err)
	}
	steps("down and up", with(l.LinkDown, "br-lan"), with(l.LinkUp, "br-lan"), func() error {
		return errors.Join(l.Router.addr("br-lan", RouterLAN6+"/64", RouterGUA+"/64"))
	})
	steps("rules", family(l.FlushRules, 4), family(l.FlushRules, 6), family(l.RestoreMainRule, 4), family(l.RestoreMainRule, 6))
	steps("iptables", with(l.FlushIptables, "legacy"), with(l.FlushIptables, "nft"), l.RestoreNAT)
	steps("nft", l.FlushNft, l.RestoreNAT, with(l.SetWANAddress, WAN4+"/24"), l.FixedSNAT)
	if err := l.FlushTable(5201); err != nil && !strings.Contains(err.Error(), "does not exist") {
		t.Error(err)
	}
	if err := errors.Join(l.LinkRename("br-guest", "br-away"), l.LinkRename("br-away", "br-guest"), l.LinkDelete("br-guest")); err != nil {
		t.Error(err)
	}
	if l.LinkIndex("br-guest") != 0 {
		t.Error("a deleted device is still there")
	}
}

// Raw packets arrive: a spoofed source goes out by an ordinary router, an
// unsolicited one comes in, a port forward works.
func TestInjection(t *testing.T) {
	l := ForTest(t, Options{})
	in, err := l.TV.Inbox(6000)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort
	arrives := func(what string, n int, p Packet) {
		t.Helper()
		if err := l.InjectWAN(p); err != nil {
			t.Fatal(err)
		}
		if err := eventually(within(t, 2*time.Second), what, func() error {
			if in.Count() < n {
				return fmt.Errorf("%d came", in.Count())
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	arrives("an unsolicited packet", 1, Packet{Src: at(Echo4 + ":9"), Dst: at(TV4 + ":6000"), Payload: []byte("x")})
	arrives("an unsolicited packet over IPv6", 2, Packet{Src: at("[" + Echo6 + "]:9"), Dst: at("[" + TVGUA + "]:6000"), Payload: []byte("x")})
	if err := l.PortForward(6000, TV4); err != nil {
		t.Fatal(err)
	}
	arrives("a forwarded packet", 3, Packet{Src: at(Echo4 + ":9"), Dst: at(WAN4 + ":6000"), Payload: []byte("x")})

	mark := l.WAN.MarkTime()
	if err := l.InjectLAN(l.TV, Packet{Src: at("[2001:db8:bad::1]:9"), Dst: at("[" + Echo6 + "]:9")}); err != nil {
		t.Fatal(err)
	}
	if err := l.InjectLAN(l.TV, Packet{Src: at("172.16.9.9:9"), Dst: at(Echo4 + ":9"), TCP: TCPSynAck}); err != nil {
		t.Fatal(err)
	}
	if err := eventually(within(t, 2*time.Second), "spoofed packets", func() error {
		if n := l.WAN.Count(Leak, mark); n < 1 {
			return fmt.Errorf("%d on the wire", n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	// Another station on the LAN, with an address that nobody gave it.
	h, err := l.AddClient("phone", "br-lan", "02:00:00:00:01:99", "169.254.7.7/16")
	if err != nil {
		t.Fatal(err)
	}
	tr := l.Traffic(h, UDP4)
	if err := tr.WaitSent(within(t, 2*time.Second), 2); err != nil {
		t.Error(err)
	}
}

// The agent's driver, against a stand-in that speaks CONTRACT.md.
func TestAgentDriver(t *testing.T) {
	fake := t.TempDir() + "/lanseal"
	script := `#!/bin/sh
case "$*" in
*" status --json") test -e "$4.up" || { echo "no agent" >&2; exit 1; }
  echo '{"state":"protected","locks":{"routing":true,"firewall":true},"exits":[{"name":"se","state":"up","rtt_ms":1.5}]}' ;;
*" guard") echo sealed ;;
*" verify") echo "a path" >&2; exit 1 ;;
*" run") trap 'echo reload' HUP; trap 'echo bye; exit 0' TERM; trap '' INT
  echo hello; : >"$4.up"; while :; do sleep 0.05; done ;;
esac
`
	if err := os.WriteFile(fake, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	// Under nohup SIGHUP is ignored, children inherit that, and a shell cannot
	// trap what was ignored when it began. One that is handled here is not.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	l := ForTest(t, Options{Lanseal: fake})
	a, err := l.StartAgent(AgentConfig{Main: []string{"option router_traffic 'wan'"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 10*time.Second)
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	if s, err := a.Status(ctx); err != nil || s.Exit("se").RTT != 1.5 || !s.Locks.Firewall {
		t.Errorf("status %+v, %v", s, err)
	}
	if err := a.Guard(); err != nil {
		t.Error(err)
	}
	if _, errs, exit, err := a.Run(ctx, "verify"); exit != 1 || err != nil || !strings.Contains(errs, "a path") {
		t.Errorf("verify: %d %q %v", exit, errs, err)
	}
	uci, err := os.ReadFile(a.Config)
	if err != nil || !strings.Contains(string(uci), "list via 'se'\n\tlist via 'no'\n\toption router_traffic 'wan'") || strings.Contains(string(uci), "@") {
		t.Errorf("configuration:\n%s%v", uci, err)
	}
	if st, err := os.Stat(a.TunnelDir + "/se.conf"); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("tunnel file: %v, %v", st, err)
	}
	// Reload waits for a socket, which the stand-in has none of.
	if err := errors.Join(a.Stop(), a.Cont(), a.Process().Signal(syscall.SIGHUP), waitLog(ctx, a, "reload"), a.Term(ctx)); err != nil {
		t.Error(err)
	}
	if !strings.Contains(a.Log(), "hello") || !strings.Contains(a.Log(), "bye") {
		t.Errorf("log %q", a.Log())
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	a.Kill9()
	if a.Process().Running() || syscall.Kill(a.Pid(), 0) == nil {
		t.Error("a killed agent is still there")
	}
	if err := a.WaitState(ctx, "sealed"); err == nil {
		t.Error("waiting for a dead agent went well")
	}
}

func waitLog(ctx context.Context, a *Agent, text string) error {
	return eventually(ctx, text, func() error {
		if !strings.Contains(a.Log(), text) {
			return fmt.Errorf("not in the log; the process:\n%s", situation(a.Process().Pid()))
		}
		return nil
	})
}

// situation is what the kernel says of a process: whether it is stopped, and
// which signals wait. See proc_pid_status(5).
func situation(pid int) string {
	all, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err.Error()
	}
	var told strings.Builder
	for line := range strings.Lines(string(all)) {
		if name, _, _ := strings.Cut(line, ":"); slices.Contains([]string{"State", "SigPnd", "ShdPnd", "SigBlk", "SigCgt"}, name) {
			told.WriteString(line)
		}
	}
	return told.String()
}
