package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func noMore(*Config) error { return nil }

// A change that would not be valid, or was made from another file, leaves the
// file as it was, byte for byte.
func TestChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lanseal")
	const before = "# mine\nconfig lanseal 'main'\n\toption enabled '0' # off\n\nconfig device 'tv'\n\tlist ip '192.168.1.5'\n"
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	text := func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	set := func(section, option, value string) func(*File) error {
		return func(f *File) error { return f.Set(section, option, value) }
	}
	_, err := Change(path, "", func(f *File) error {
		return errors.Join(f.Set("main", "ipv6", "sometimes"), f.SetList("tv", "via", []string{"nowhere"}))
	}, noMore)
	if ps := Problems(err); len(ps) != 2 || ps[0].Option != "ipv6" || ps[1].Option != "via" || text() != before {
		t.Errorf("%v\n%s", err, text())
	}
	if _, err := Change(path, "0123", set("main", "ipv6", "block"), noMore); !errors.Is(err, ErrStale) || text() != before {
		t.Errorf("%v\n%s", err, text())
	}
	refused := errors.New("not here")
	if _, err := Change(path, "", set("main", "ipv6", "block"), func(*Config) error { return refused }); !errors.Is(err, refused) || text() != before {
		t.Errorf("%v\n%s", err, text())
	}
	rev, err := Change(path, Revision([]byte(before)), set("main", "ipv6", "block"), noMore)
	if err != nil || rev != Revision([]byte(text())) || text() != strings.Replace(before, "'0' # off\n", "'0' # off\n\toption ipv6 'block'\n", 1) {
		t.Errorf("%v\n%s", err, text())
	}
}

func TestReplaceTunnel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "se.conf")
	if _, err := ReplaceTunnel(path, []byte(testTunnel)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReplaceTunnel(path, []byte("[Interface]\n")); len(Problems(err)) == 0 {
		t.Errorf("a file with mistakes: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("it was written all the same: %s", b)
	}
	if w, err := ReplaceTunnel(path, []byte(testTunnel)); err != nil || len(w) != 1 {
		t.Errorf("%v %v", w, err)
	}
	if b, _ := os.ReadFile(path); string(b) != testTunnel {
		t.Errorf("%s", b)
	}
}
