package openwrt

import (
	"bytes"
	"context"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab/owrt"
)

func TestMain(m *testing.M) {
	owrt.Main()
	os.Exit(m.Run())
}

var releases = []string{"21.02", "22.03", "23.05", "24.10", "25.12"}

// box is a system of one release in a scratch root.
type box struct {
	*Guest
	t    *testing.T
	root string
}

func newBox(t *testing.T, release string) *box {
	t.Helper()
	root, bin := t.TempDir(), t.TempDir()
	if err := os.CopyFS(root, os.DirFS(filepath.Join("testdata", release))); err != nil {
		t.Fatal(err)
	}
	if err := owrt.Install(bin, root, "dnsmasq", "odhcpd", "firewall"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("LANSEAL_STANDIN_ROOT", root)
	b := &box{t: t, root: root}
	b.again()
	return b
}

// within has the box's programs run within this process, and its disk not wait
// for the platter: for tests of many turns.
func (b *box) within() *box {
	b.disk = &dying{left: -1}
	b.run = func(_ context.Context, stdin string, argv ...string) ([]byte, error) {
		return owrt.Call(b.root, stdin, argv...)
	}
	return b
}

// again is the next process on the same system.
func (b *box) again() {
	b.t.Helper()
	g, ok := Find(b.root, filepath.Join(b.root, "var/lib/lanseal"), filepath.Join(b.root, "etc/lanseal"))
	if !ok {
		b.t.Fatal("this is OpenWrt, and was not found to be")
	}
	b.Guest = g
}

func (b *box) read(path string) string {
	b.t.Helper()
	data, err := os.ReadFile(filepath.Join(b.root, path))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(data)
}

func (b *box) write(path, text string) {
	b.t.Helper()
	full := filepath.Join(b.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// edit replaces text in a file, which must be there.
func (b *box) edit(path, old, text string) {
	b.t.Helper()
	now := b.read(path)
	if !strings.Contains(now, old) {
		b.t.Fatalf("%s does not hold %q:\n%s", path, old, now)
	}
	b.write(path, strings.Replace(now, old, text, 1))
}

// etc is everything below etc, by path, and of tmp what is not staged.
func (b *box) etc() map[string]string {
	b.t.Helper()
	all := map[string]string{}
	for _, dir := range []string{"etc", "tmp"} {
		_ = filepath.WalkDir(filepath.Join(b.root, dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				rel, _ := filepath.Rel(b.root, path)
				info, _ := d.Info()
				all[rel] = info.Mode().String() + " " + b.read(rel)
			}
			return nil
		})
	}
	return all
}

func (b *box) same(when string, before map[string]string) {
	b.t.Helper()
	now := b.etc()
	for path, text := range before {
		if now[path] != text {
			b.t.Errorf("%s: %s was\n%s\nand is\n%s", when, path, text, now[path])
		}
	}
	for path := range now {
		if _, ok := before[path]; !ok {
			b.t.Errorf("%s: %s was left behind:\n%s", when, path, now[path])
		}
	}
}

// told is what the services were told since the last call.
func (b *box) told() string {
	path := filepath.Join(b.root, "run/standin.log")
	data, _ := os.ReadFile(path)
	_ = os.Remove(path)
	return string(bytes.TrimSpace(data))
}

func (b *box) turn(w Wish) Report {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	return b.Turn(ctx, func() Wish { return w })
}

// armed is the wish of a router with an exit that is up.
func armed() Wish {
	return Wish{LAN: []string{"lan"}, Known: true, Armed: true, Hold: true, DNS: true, Withdraw: true,
		Upstream: Upstream{"ls-se", []netip.Addr{netip.MustParseAddr("10.64.0.1")}}}
}

func disarmed() Wish { return Wish{LAN: []string{"lan"}, Known: true} }
