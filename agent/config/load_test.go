package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLoadMissingFileSeals(t *testing.T) {
	c, err := Load("/nonexistent/lanseal", Options{})
	want := "/nonexistent/lanseal: there is no such file: create it with a section config lanseal 'main', or name another with -c FILE"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if !c.Policy.Enabled || !c.Policy.KillSwitch || len(c.LANNetworks) != 1 || c.File != nil {
		t.Errorf("%+v", c)
	}
}

func TestLoadDoesNotHangOrFillMemory(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		pipe: ": it is not a regular file", dir: ": it is not a regular file", big: ": it is larger than 1048576 bytes", "/dev/zero": ": it is not a regular file",
	} {
		if _, err := Load(path, Options{}); err == nil || err.Error() != path+want {
			t.Errorf("%s: %v", path, err)
		}
		conf := filepath.Join(dir, "lanseal")
		text := "config lanseal main\nconfig tunnel se\n option file '" + path + "'\n"
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want = fmt.Sprintf("%s:3: tunnel 'se': option 'file': %q cannot be read%s", conf, path, want)
		if _, err := Load(conf, Options{}); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

func TestLoadTooManyTunnels(t *testing.T) {
	var b strings.Builder
	b.WriteString("config lanseal main\n")
	for i := range 122 {
		fmt.Fprintf(&b, "config tunnel t%d\n option type device\n option device d%d\n", i, i)
	}
	path := filepath.Join(t.TempDir(), "lanseal")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, Options{})
	want := path + ":362: tunnel 't120': there are more than 120 tunnels; marks and tables are numbered up to there"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if n := len(c.Policy.Exits); n != 120 || len(c.Tunnels) != n || c.Policy.Exits[n-1].Number != n {
		t.Errorf("%d exits", n)
	}
}

// TestPolicyAt walks through the ends of exceptions with the clock that
// NextChange gives.
func TestPolicyAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lanseal")
	text := "config lanseal main\n"
	for name, until := range map[string]string{"always": "", "first": "2026-11-23T20:00Z", "second": "2026-11-23T22:00:30+01:00"} {
		text += "config exception " + name + "\n list dest 192.0.2.1\n option until '" + until + "'\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Policy.Exceptions); n != 1 || c.Policy.Exceptions[0].Name != "always" {
		t.Errorf("Policy itself holds %d exceptions", n)
	}
	at := now
	for _, want := range []int{3, 2, 1} {
		if n := len(c.PolicyAt(at).Exceptions); n != want {
			t.Errorf("%s: %d in force, want %d", at, n, want)
		}
		next := c.NextChange(at)
		if next.IsZero() != (want == 1) {
			t.Errorf("%s: next change %s", at, next)
		}
		if !next.IsZero() {
			if n := len(c.PolicyAt(next.Add(-time.Nanosecond)).Exceptions); n != want {
				t.Errorf("just before %s: %d", next, n)
			}
		}
		at = next
	}
}

func TestDidYouMean(t *testing.T) {
	names := []string{"moscow", "se", "us", "stockholm"}
	for given, want := range map[string]string{
		"moscw": "moscow", "mosocw": "moscow", "MOSCOW": "moscow", "moskwa": "", "es": "se", "no": "", "stokholm1": "stockholm", "": "", strings.Repeat("x", 100): "",
	} {
		if want != "" {
			want = fmt.Sprintf(" (did you mean %q?)", want)
		}
		if got := didYouMean(given, names); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}
