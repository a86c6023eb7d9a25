package webui

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The whole page is at most 60 kB, as it goes over the wire.
func TestPageIsSmall(t *testing.T) {
	h := open(t)
	total := 0
	for at, a := range h.s.assets {
		answer := h.do("GET", at, "", "Accept-Encoding", "gzip")
		total += len(answer.body)
		if answer.status != 200 || answer.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %d %v", at, answer.status, answer.header)
		}
		h.want(h.do("GET", at, "", "If-None-Match", a.etag), 304)
	}
	t.Logf("%d files, %d bytes", len(h.s.assets), total)
	if total > 60_000 {
		t.Errorf("the page has %d bytes", total)
	}
	z, err := gzip.NewReader(bytes.NewReader(h.s.assets["/"].packed))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || string(text) != string(h.s.assets["/"].plain) {
		t.Errorf("what is packed is not what is there: %v", err)
	}
}

// 250 devices and 10,000 events are smooth on a telephone: see test/perf.mjs.
func TestManyOfEverythingIsSmooth(t *testing.T) {
	_, err := os.Stat("test/node_modules/playwright-core")
	_, err2 := exec.LookPath("node")
	_, err3 := exec.LookPath("chromium")
	if err != nil || err2 != nil || err3 != nil {
		if os.Getenv("LANSEAL_LAB") == "require" {
			t.Fatalf("LANSEAL_LAB=require: %v %v %v: make test-web installs it", err, err2, err3)
		}
		t.Skip("there is no browser: make test-web installs it")
	}
	h := open(t)
	h.f.mu.Lock()
	h.f.devices.Devices = nil
	for i := range 250 {
		h.f.devices.Devices = append(h.f.devices.Devices, Device{MAC: fmt.Sprintf("02:00:00:00:%02x:%02x", i/256, i%256), Hostname: fmt.Sprintf("host-%03d", i),
			IPs: []string{fmt.Sprintf("192.168.1.%d", i+1), fmt.Sprintf("fd00::%x", i)}, Via: []string{}, Exit: "se", Online: i%3 > 0, Day: Carried{Rx: uint64(i) << 20, Blocked: uint64(i % 7)}, Vendor: "Espressif"})
	}
	began := time.Now().Add(-10_000 * 10 * time.Second)
	h.f.events = nil
	for i := range 10_000 {
		e := Event{ID: uint64(i) + 1, Time: began.Add(time.Duration(i) * 10 * time.Second), Kind: "healed", Text: fmt.Sprintf("healed: missing in chain forward: rule %d; somebody deleted it", i)}
		if i%50 == 0 {
			e.Kind, e.State, e.Text = "state", []string{"sealed", "protected"}[i/50%2], "protected → sealed: se: sent without an answer for 5s"
		}
		h.f.events = append(h.f.events, e)
	}
	h.f.mu.Unlock()
	cmd := exec.Command("node", "perf.mjs")
	cmd.Dir = "test"
	profile, err := filepath.Abs(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "ADDRESS=http://"+h.at, "PASSWORD=right password", "PROFILE="+profile)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
