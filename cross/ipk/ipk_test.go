package ipk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanseal/lanseal/cross/tree"
)

func sample(t *testing.T) Package {
	t.Helper()
	tr, err := tree.New(
		tree.Entry{Path: "/usr/sbin/lanseal", Mode: 0o755, Data: []byte("binary")},
		tree.Entry{Path: "/usr/libexec/rpcd/luci.lanseal", Kind: tree.Link, Target: "/usr/sbin/lanseal"},
		tree.Entry{Path: "/etc/config/lanseal", Mode: 0o644, Data: []byte("config lanseal 'main'\n")},
		tree.Entry{Path: "/etc/lanseal", Kind: tree.Dir, Mode: 0o700},
		tree.Entry{Path: "/etc/lanseal/note", Mode: 0o600, Data: []byte("x")},
		tree.Entry{Path: "/www/luci-static/" + strings.Repeat("long/", 30) + "name.js", Mode: 0o644},
	)
	if err != nil {
		t.Fatal(err)
	}
	data, err := PackData(tr, 0)
	if err != nil {
		t.Fatal(err)
	}
	return Package{
		Control: Control{
			Package: "lanseal", Version: "0.1.0", Depends: []string{"libc", "nftables (>= 1.0)"}, Source: "feeds/lanseal", SourceName: "lanseal",
			License: "GPL-2.0-only", Section: "net", URL: "https://example.org", Maintainer: "a <b@c>", Architecture: "mips_24kc",
			Description: "Seals a LAN\nFrom boot to shutdown.\n\n  Whatever happens.",
		},
		Data:      data,
		Conffiles: []string{"/etc/config/lanseal", "/etc/lanseal/", "/etc/missing"},
		PostInst:  "#!/bin/sh\nexit 0\n",
		PreRm:     "#!/bin/sh\nexit 0\n",
	}
}

// open lists a tar.gz, one line an entry, and returns the contents by name.
func open(t *testing.T, tgz []byte) (lines []string, contents map[string][]byte) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(tgz))
	if err != nil {
		t.Fatal(err)
	}
	if z.Name != "" || !z.ModTime.IsZero() {
		t.Errorf("gzip header: %+v", z.Header)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if string(raw[257:265]) != "ustar  \x00" {
		t.Errorf("magic %q is not GNU tar's", raw[257:265])
	}
	contents = map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return lines, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(h.PAXRecords) > 0 || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || h.ModTime.Unix() != 0 {
			t.Errorf("%s: %+v", h.Name, h)
		}
		lines = append(lines, fmt.Sprintf("%c %04o %s%s", h.Typeflag, h.Mode, h.Name, h.Linkname))
		if contents[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLayout(t *testing.T) {
	p := sample(t)
	file, err := Build(p)
	if err != nil {
		t.Fatal(err)
	}
	outer, members := open(t, file)
	if d := cmp.Diff([]string{"0 0644 ./debian-binary", "0 0644 ./data.tar.gz", "0 0644 ./control.tar.gz"}, outer); d != "" {
		t.Errorf("outer (-want +got):\n%s", d)
	}
	if string(members["./debian-binary"]) != "2.0\n" {
		t.Errorf("debian-binary %q", members["./debian-binary"])
	}
	data, contents := open(t, members["./data.tar.gz"])
	want := []string{
		"5 0755 ./", "5 0755 ./etc/", "5 0755 ./etc/config/", "0 0644 ./etc/config/lanseal", "5 0700 ./etc/lanseal/", "0 0600 ./etc/lanseal/note",
		"5 0755 ./usr/", "5 0755 ./usr/libexec/", "5 0755 ./usr/libexec/rpcd/", "2 0777 ./usr/libexec/rpcd/luci.lanseal/usr/sbin/lanseal",
		"5 0755 ./usr/sbin/", "0 0755 ./usr/sbin/lanseal", "5 0755 ./www/",
	}
	if d := cmp.Diff(want, data[:len(want)]); d != "" {
		t.Errorf("data (-want +got):\n%s", d)
	}
	if last := data[len(data)-1]; !strings.HasSuffix(last, "/long/name.js") {
		t.Errorf("a name of more than 100 bytes: %q", last)
	}
	if string(contents["./usr/sbin/lanseal"]) != "binary" {
		t.Error("another binary")
	}
	control, text := open(t, members["./control.tar.gz"])
	if d := cmp.Diff([]string{"5 0755 ./", "0 0644 ./conffiles", "0 0644 ./control", "0 0755 ./postinst", "0 0755 ./postinst-pkg", "0 0755 ./prerm", "0 0755 ./prerm-pkg"}, control); d != "" {
		t.Errorf("control (-want +got):\n%s", d)
	}
	if got := string(text["./conffiles"]); got != "/etc/config/lanseal\n/etc/lanseal/note\n" {
		t.Errorf("conffiles:\n%s", got)
	}
	wantControl := `Package: lanseal
Version: 0.1.0
Depends: libc, nftables (>= 1.0)
Source: feeds/lanseal
SourceName: lanseal
License: GPL-2.0-only
Section: net
SourceDateEpoch: 0
URL: https://example.org
Maintainer: a <b@c>
Architecture: mips_24kc
Installed-Size: ` + fmt.Sprint(p.Data.size) + `
Description: Seals a LAN
 From boot to shutdown.
 Whatever happens.
`
	if d := cmp.Diff(wantControl, string(text["./control"])); d != "" {
		t.Errorf("control (-want +got):\n%s", d)
	}
	if name := p.Control.FileName(); name != "lanseal_0.1.0_mips_24kc.ipk" {
		t.Errorf("file name %q", name)
	}
	again, err := Build(sample(t))
	if err != nil || !bytes.Equal(file, again) {
		t.Errorf("two builds differ: %v", err)
	}
}

// The system's own tar unpacks it, step by step as the script for indexes does.
func TestTar(t *testing.T) {
	file, err := Build(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "x.ipk")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sh", "-c", `tar -xzOf "$1" ./control.tar.gz | tar xzOf - ./control`, "sh", name).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "Package: lanseal\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The wrappers call the base system with the package's words, find its part
// beside them, and do nothing where there is no such system.
func TestWrappers(t *testing.T) {
	root := t.TempDir()
	run := func(script, root string, more ...string) string {
		cmd := exec.Command("sh", "-c", script, "/info/lanseal.postinst", "configure")
		cmd.Env = append(append(os.Environ(), "IPKG_INSTROOT="+root), more...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if out := run(wrapPostinst, root) + run(wrapPrerm, root); out != "" {
		t.Errorf("without a base system: %q", out)
	}
	if err := os.Mkdir(filepath.Join(root, "lib"), 0o700); err != nil {
		t.Fatal(err)
	}
	functions := "default_postinst() { echo postinst \"$@\"; }\ndefault_prerm() { echo prerm \"$@\"; }\n"
	if err := os.WriteFile(filepath.Join(root, "lib/functions.sh"), []byte(functions), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(wrapPostinst, root); out != "postinst /info/lanseal.postinst configure\n" {
		t.Errorf("postinst: %q", out)
	}
	if out := run(wrapPrerm, root); out != "prerm /info/lanseal.postinst configure\n" {
		t.Errorf("prerm: %q", out)
	}
	if out := run(wrapPostinst, root, "IPKG_NO_SCRIPT=1"); out != "" {
		t.Errorf("told to run no scripts: %q", out)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Package)
		want   string
	}{
		"name":        {func(p *Package) { p.Control.Package = "Lan seal" }, "no name"},
		"version":     {func(p *Package) { p.Control.Version = "v1_2" }, "no version"},
		"arch":        {func(p *Package) { p.Control.Architecture = "" }, "no architecture"},
		"lines":       {func(p *Package) { p.Control.Maintainer = "a\nDepends: b" }, "more than one line"},
		"depends":     {func(p *Package) { p.Control.Depends = []string{"a, b"} }, "no dependency"},
		"script":      {func(p *Package) { p.PreRm = "exit 0" }, "does not begin"},
		"script kind": {func(p *Package) { p.PostRm = "#!/bin/bash\n" }, "does not begin"},
	} {
		p := sample(t)
		c.change(&p)
		if _, err := Build(p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := PackData(tree.Tree{}, 0); err == nil {
		t.Error("a package without files")
	}
}
