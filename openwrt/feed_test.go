package openwrt

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanseal/lanseal/cross/apk/read"
)

// member is one file of a package.
type member struct {
	mode int64
	kind byte
	data string // or where a link leads
}

// members reads a tar, compressed or not.
func members(t *testing.T, data []byte) map[string]member {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]member{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = member{h.Mode, h.Typeflag, string(body) + h.Linkname}
	}
}

// stub stands for OpenWrt's build system: enough of it to read the feed's
// Makefile, install into a folder and print what it defines.
var stub = map[string]string{
	"rules.mk":                      "INCLUDE_DIR:=$(TOPDIR)/include\nINSTALL_DIR:=install -d -m0755\nINSTALL_BIN:=install -m0755\nINSTALL_DATA:=install -m0644\nLN:=ln -sf\n",
	"include/package.mk":            "define BuildPackage\nroot:; $(call Package/$(1)/install,$(ROOT))\n$(foreach v,conffiles postinst prerm postrm description,$(eval export text_$(v):=$$(Package/$(1)/$(v))))\nshow/%:; @printenv text_$$*\nlet/%:; @echo '$$($$*)'\n$(eval $(Package/$(1)))\nendef\n",
	"lang/golang/golang-package.mk": "GO_PKG_BUILD_BIN_DIR:=$(BIN)\n",
}

// sdk runs the feed's Makefile.
func sdk(t *testing.T) func(args ...string) string {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "net", "lanseal")
	for name, text := range stub {
		file := filepath.Join(top, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	makefile, err := os.ReadFile("Makefile")
	if err == nil {
		err = os.CopyFS(filepath.Join(dir, "files"), os.DirFS("files"))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "Makefile"), makefile, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) string {
		t.Helper()
		cmd := exec.Command("make", append([]string{"-s", "-C", dir, "TOPDIR=" + top}, args...)...)
		cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("make %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
}

// What the feed builds is what cross packs: files, modes, scripts, conffiles,
// version, dependencies. The folders' modes count as well.
func TestFeedMakefile(t *testing.T) {
	ipk, err := os.ReadFile(packed(t).ipk)
	if err != nil {
		t.Fatal(err)
	}
	outer := members(t, ipk)
	control := members(t, []byte(outer["./control.tar.gz"].data))
	want := map[string]string{}
	for name, m := range members(t, []byte(outer["./data.tar.gz"].data)) {
		if m.kind == tar.TypeSymlink {
			m.mode = 0o777
		}
		want[strings.Trim(name, "./")] = fmt.Sprintf("%c %04o", m.kind, m.mode)
	}
	// The build system writes this from conffiles.
	for _, name := range []string{"", "lib", "lib/upgrade", "lib/upgrade/keep.d", "lib/upgrade/keep.d/lanseal"} {
		if _, ok := want[name]; !ok {
			t.Errorf("cross does not pack /%s", name)
		}
		delete(want, name)
	}

	feed := sdk(t)
	bin, root := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "agent"), []byte("binary"), 0o755); err != nil {
		t.Fatal(err)
	}
	feed("root", "ROOT="+root, "BIN="+bin)
	got := map[string]string{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		kind := map[fs.FileMode]byte{fs.ModeDir: tar.TypeDir, fs.ModeSymlink: tar.TypeSymlink, 0: tar.TypeReg}[d.Type()]
		rel, _ := filepath.Rel(root, path)
		got[rel] = fmt.Sprintf("%c %04o", kind, info.Mode().Perm())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("cross packs, and the feed installs (-cross +feed):\n%s", d)
	}

	for name, script := range map[string]string{"postinst": "./postinst-pkg", "prerm": "./prerm-pkg", "postrm": "./postrm"} {
		if d := cmp.Diff(control[script].data, feed("show/"+name)); d != "" {
			t.Errorf("%s (-cross +feed):\n%s", name, d)
		}
	}
	text := control["./control"].data
	field := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + `: (.*)$`).FindStringSubmatch(text)
		return append(m, "", "")[1]
	}
	data, err := os.ReadFile(packed(t).apk)
	if err != nil {
		t.Fatal(err)
	}
	apk, err := read.ReadPackage(data)
	if err != nil {
		t.Fatal(err)
	}
	depends := append(strings.Fields(strings.ReplaceAll(feed("let/DEPENDS"), "+", "")), "libc")
	slices.Sort(depends) // as apk has them
	for name, pair := range map[string][2]string{
		"version":     {field("Version"), feed("let/PKG_VERSION")},
		"licence":     {field("License"), feed("let/PKG_LICENSE")},
		"maintainer":  {field("Maintainer"), feed("let/PKG_MAINTAINER")},
		"URL":         {field("URL"), feed("let/URL")},
		"section":     {field("Section"), feed("let/SECTION")},
		"depends":     {strings.Join(apk.Info.Depends, " "), strings.Join(depends, " ")},
		"description": {field("Description"), feed("let/TITLE")},
		"conffiles":   {"/etc/config/lanseal\n/etc/lanseal/", feed("show/conffiles")},
	} {
		if pair[0] != strings.TrimSpace(pair[1]) {
			t.Errorf("%s: cross has %q, the feed %q", name, pair[0], pair[1])
		}
	}
	top, err := os.ReadFile("../Makefile")
	if err != nil || !strings.Contains(string(top), "VERSION ?= "+version+"\n") || field("Version") != version {
		t.Errorf("the tree's Makefile makes another version than %s (%v)", version, err)
	}
}

// The build system copies Go files alone; every file that go:embed names must
// be in GO_PKG_INSTALL_EXTRA.
func TestFeedCopiesWhatIsEmbedded(t *testing.T) {
	var extra []*regexp.Regexp
	for _, pattern := range strings.Fields(sdk(t)("let/GO_PKG_INSTALL_EXTRA")) {
		extra = append(extra, regexp.MustCompile(pattern))
	}
	set := token.NewFileSet()
	for _, below := range []string{"../agent", "../rules", "../webui"} {
		err := filepath.WalkDir(below, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && (d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go")) {
				return nil
			}
			if err != nil {
				return err
			}
			f, err := parser.ParseFile(set, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			for _, group := range f.Comments {
				for _, c := range group.List {
					patterns, ok := strings.CutPrefix(c.Text, "//go:embed ")
					if !ok {
						continue
					}
					for _, p := range strings.Fields(patterns) {
						rel, _ := filepath.Rel("..", filepath.Join(filepath.Dir(path), strings.TrimPrefix(strings.Trim(p, "\"`"), "all:")))
						covered := false
						for _, e := range extra {
							covered = covered || e.MatchString(rel)
						}
						if !covered {
							t.Errorf("%s embeds %s, and the feed's Makefile does not copy it", path, rel)
						}
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The feed's own test passes where the package is installed.
func TestFeedTest(t *testing.T) {
	r := newRouter(t)
	r.installed()
	r.copy("test.sh", "/tmp/test.sh")
	r.run("sh /tmp/test.sh lanseal " + version)
	if out, err := r.try("sh /tmp/test.sh lanseal 9.9.9"); err == nil {
		t.Errorf("another version passes: %s", out)
	}
	r.run("sh /tmp/test.sh luci-app-lanseal " + version)
}
