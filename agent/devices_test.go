package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
	"github.com/lanseal/lanseal/agent/store"
	"github.com/lanseal/lanseal/webui"
)

// manyDevices are sections for 250 devices, each with a rule of its own.
func manyDevices(via string) string {
	var b strings.Builder
	for i := range 250 {
		fmt.Fprintf(&b, "config device 'd%d'\n\tlist mac '02:00:00:00:09:%02x'\n\tlist via '%s'\n\n", i, i, via)
	}
	return b.String()
}

// nftCounter puts a program before nft on the agent's path that writes down
// each call.
func nftCounter(t *testing.T) (env string, loads func() int) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	script := "#!/bin/sh\necho \"$*\" >>" + log + "\nexec /usr/sbin/nft \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "nft"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return "PATH=" + dir + ":" + os.Getenv("PATH"), func() (n int) {
		b, _ := os.ReadFile(log)
		for line := range strings.Lines(string(b)) {
			if strings.TrimSpace(line) == "-f -" {
				n++
			}
		}
		return n
	}
}

// While 250 other devices change their exit, and change back, an established
// TCP connection of a device that does not loses no byte, and nothing leaks.
func TestManyDevicesChange(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	env, loads := nftCounter(t)
	config := func(via string) lab.AgentConfig {
		return lab.AgentConfig{Env: []string{env}, More: manyDevices(via),
			Tunnels: map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{}), "no": l.VPN2.ClientFile(lab.ClientOptions{})},
			Via:     []string{"se", "no"}}
	}
	a, err := l.StartAgent(config("se"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	tr := l.Traffic(l.TV, lab.TCP4, lab.UDP4)
	if err := tr.WaitFlow(ctx); err != nil {
		t.Fatalf("%v\n%s", err, tr)
	}
	marks := l.MarkAll()
	tr.Mark()
	var echoed atomic.Int64
	conn, err := l.Laptop.Dial(netip.MustParseAddrPort(lab.Echo4+":7"), 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lost := make(chan error, 1)
	sending := make(chan struct{})
	go func() { // every line must come back, in order, behind the address that asked
		defer close(lost)
		r := bufio.NewReader(conn)
		for i := 0; ; i++ {
			select {
			case <-sending:
				return
			default:
			}
			line := fmt.Sprintf("line %d of the laptop\n", i)
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := conn.Write([]byte(line)); err != nil {
				lost <- fmt.Errorf("line %d: %w", i, err)
				return
			}
			if back, err := r.ReadString('\n'); err != nil || !strings.HasSuffix(back, " "+line) {
				lost <- fmt.Errorf("line %d came back as %q: %v", i, back, err)
				return
			}
			echoed.Add(1)
		}
	}()
	for _, via := range []string{"no", "se"} {
		before, lines := loads(), echoed.Load()
		if err := a.WriteConfig(l.UsualUCI(config(via))); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := a.Reload(); err != nil {
			t.Fatal(err)
		}
		chain := "02:00:00:00:09:f9 : goto exit_" + via
		for took := false; !took; {
			out, err := l.Router.Command(ctx, "/usr/sbin/nft", "list", "map", "inet", "lanseal", "by_mac").CombinedOutput()
			if took = strings.Contains(string(out), chain); !took && ctx.Err() != nil {
				t.Fatalf("the devices never went to %s: %v: %.300s\n%s", via, err, out, a.Log())
			}
		}
		t.Logf("250 devices to %s: %v, with %d loads of nft", via, time.Since(start).Round(time.Millisecond), loads()-before)
		if n := loads() - before; n != 1 {
			t.Errorf("the change took %d loads of the firewall, and should take one", n)
		}
		if err := tr.WaitSent(ctx, 20); err != nil {
			t.Fatal(err)
		}
		if echoed.Load() == lines {
			t.Error("the laptop's connection stood still")
		}
	}
	close(sending)
	if err := <-lost; err != nil {
		t.Errorf("the laptop's connection lost bytes: %v", err)
	}
	if s := tr.Of(lab.TCP4); s.Reconnects > 0 || s.Answered == 0 {
		t.Errorf("the tv's TCP connection was made anew: %+v", s)
	}
	l.NoLeak(t, marks, tr)
}

// storedTraffic is what the live file of a running agent holds of a device.
func storedTraffic(t *testing.T, a *lab.Agent, mac string) store.Counter {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(a.State, "state.db"))
	if err != nil {
		return store.Counter{}
	}
	dir := t.TempDir()
	copied := filepath.Join(dir, "state.db")
	if err := os.WriteFile(copied, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := store.Open(store.Options{Live: copied, Checkpoint: filepath.Join(dir, "checkpoint.db")})
	defer s.Close()
	return s.LastDay(store.OfDevice, mac)
}

// What a device sent and got is remembered over the end of the agent: all of
// it over a clean one, all but the last minute over a kill.
func TestTrafficByDeviceIsRemembered(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	a, err := l.StartAgent(lab.AgentConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	protected := func() {
		t.Helper()
		if err := a.WaitState(ctx, "protected"); err != nil {
			t.Fatal(err)
		}
	}
	told := func() webui.Device {
		t.Helper()
		out, errs, exit, err := a.Run(ctx, "devices", "--json")
		var all webui.Devices
		if err != nil || exit != 0 || json.Unmarshal([]byte(out), &all) != nil {
			t.Fatalf("lanseal devices: %v, %d: %s%s", err, exit, out, errs)
		}
		for _, d := range all.Devices {
			if d.MAC == lab.MACTV {
				return d
			}
		}
		return webui.Device{}
	}
	protected()
	tr := l.Traffic(l.TV, lab.UDP4)
	if err := tr.WaitFlow(ctx); err != nil {
		t.Fatal(err)
	}
	once := func(when string) { // 64 bytes and two headers, and nothing twice
		t.Helper()
		d := told()
		if sent := tr.Of(lab.UDP4).Sent; d.Day.Tx > uint64(sent)*100 {
			t.Errorf("%s %+v is told after %d datagrams", when, d.Day, sent)
		}
	}
	if err := tr.WaitSent(ctx, 50); err != nil {
		t.Fatal(err)
	}
	if err := a.Term(ctx); err != nil {
		t.Fatal(err)
	}
	ended := storedTraffic(t, a, lab.MACTV)
	const least = 30 * 64 // bytes of so many datagrams
	if ended.Tx < least || ended.Rx < least {
		t.Errorf("after a clean end %+v is stored", ended)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	protected()
	before := told()
	if before.Day.Tx < ended.Tx || before.Day.Rx < ended.Rx || before.Seen == nil {
		t.Errorf("started again, %+v is told, and %+v was stored", before, ended)
	}
	once("started again,")
	stored := ended
	for stored.Tx < before.Day.Tx+least { // by the agent itself, once a minute
		if ctx.Err() != nil {
			t.Fatalf("%+v is stored, and never more", stored)
		}
		if err := tr.WaitSent(ctx, 40); err != nil {
			t.Fatal(err)
		}
		stored = storedTraffic(t, a, lab.MACTV)
	}
	a.Kill9()
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	protected()
	if after := told(); after.Day.Tx < stored.Tx || after.Day.Rx < stored.Rx {
		t.Errorf("after a kill %+v is told, and %+v was stored", after.Day, stored)
	}
	once("after a kill")
}
