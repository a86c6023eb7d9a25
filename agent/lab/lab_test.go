package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Main()
	if os.Getenv(victim) != "" {
		beVictim()
	}
	os.Exit(m.Run())
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// A lab comes up quickly and leaves nothing: no name, no folder, no process.
func TestUpAndDown(t *testing.T) {
	start := time.Now()
	l := ForTest(t, Options{Dnsmasq: true, Guest: true, WAN2: true})
	t.Logf("ready after %v", time.Since(start))
	inodes := map[uint64]bool{}
	for _, h := range l.Hosts() {
		inodes[h.inode] = true
	}
	if n := len(pidsInside(inodes)); n != 3 { // dnsmasq and two servers
		t.Errorf("%d processes in the lab, want 3", n)
	}
	start = time.Now()
	l.Close()
	t.Logf("closed after %v", time.Since(start))
	if left, _ := filepath.Glob(netnsDir + "/" + l.Name + "-*"); left != nil {
		t.Errorf("left behind: %v", left)
	}
	if pids := pidsInside(inodes); pids != nil {
		t.Errorf("processes left behind: %v", pids)
	}
	if fileExists(l.Dir) {
		t.Errorf("%s left behind", l.Dir)
	}
	if b, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(b), l.Name) {
		t.Errorf("mounts left behind:\n%s", b)
	}
}

// With no lanseal every kind of probe is answered, and every kind is a leak.
func TestPositiveControl(t *testing.T) {
	l := ForTest(t, Options{Dnsmasq: true})
	if err := l.ControlLeak(within(t, 10*time.Second), l.TV); err != nil {
		t.Fatal(err)
	}
}
