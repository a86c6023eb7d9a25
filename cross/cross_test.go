package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanseal/lanseal/cross/apk/read"
	"github.com/lanseal/lanseal/cross/opkgfeed"
	"github.com/lanseal/lanseal/cross/tree"
)

// put writes files below a folder.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := writeFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// standIn is a source tree with everything that is packed and a few bytes for a
// binary, and the job that packs it.
func standIn(t *testing.T, files map[string]string) job {
	t.Helper()
	targets, err := readTargets("targets.tsv")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	j := job{root: root, dist: filepath.Join(root, "dist"), version: "0.2.0-rc1", targets: targets, out: io.Discard}
	for _, target := range targets {
		put(t, "", map[string]string{j.binary(target): "the binary for " + target.name})
	}
	put(t, root, files)
	return j
}

func everything() map[string]string {
	return map[string]string{
		"openwrt/files/etc/init.d/lanseal":                       "#!/bin/sh /etc/rc.common\n",
		"openwrt/files/etc/config/lanseal":                       "config lanseal 'main'\n",
		"openwrt/files/etc/lanseal/README":                       "tunnel files\n",
		"openwrt/files/.gitkeep":                                 "",
		"openwrt/files/usr/share/lanseal/guard-strict.nft":       "table inet lanseal_guard\n",
		"luci/htdocs/luci-static/resources/view/lanseal/page.js": "'use strict';\n",
		"luci/root/usr/share/luci/menu.d/luci-app-lanseal.json":  "{}\n",
		"luci/root/etc/uci-defaults/40_luci-lanseal":             "#!/bin/sh\n",
	}
}

// The nine builds of the table in targets.tsv, and no architecture twice.
func TestTargets(t *testing.T) {
	targets, err := readTargets("targets.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var archs []string
	for _, x := range targets {
		got = append(got, strings.TrimSpace(x.name+" "+x.goarch+" "+strings.Join(x.settings, " ")))
		archs = append(archs, x.archs...)
	}
	want := []string{"arm64 arm64", "mipsle mipsle GOMIPS=softfloat", "mips mips GOMIPS=softfloat", "arm7 arm GOARM=7", "arm6 arm GOARM=6",
		"arm5 arm GOARM=5", "amd64 amd64 GOAMD64=v1", "386 386 GO386=softfloat", "riscv64 riscv64"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("targets (-want +got):\n%s", d)
	}
	for _, common := range []string{"aarch64_cortex-a53", "mipsel_24kc", "mips_24kc", "arm_cortex-a7_neon-vfpv4", "x86_64", "aarch64_generic"} {
		if !slices.Contains(archs, common) {
			t.Errorf("nothing serves %s", common)
		}
	}
	for text, want := range map[string]string{
		"":                                    "names no target",
		"a\tarm\t-\n":                         "want name",
		"a\tarm\tX=1\tb\n":                    "no setting",
		"a\tarm\t-\t \n":                      "no architecture",
		"a\tarm\t-\tb\nc\tarm\t-\tb\n":        "already served by a",
		"# c\n\na\tarm\t-\tb\na\tarm\t-\tc\n": "already served by a",
	} {
		file := filepath.Join(t.TempDir(), "targets.tsv")
		put(t, "", map[string]string{file: text})
		if _, err := readTargets(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestVersions(t *testing.T) {
	for in, want := range map[string]versions{
		"0.1.0":     {"0.1.0", "0.1.0-r1"},
		"0.2.0-rc1": {"0.2.0~rc1", "0.2.0_rc1-r1"},
		"1.2":       {"1.2", "1.2-r1"},
	} {
		if got, err := versionsOf(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "v1.0", "1", "1.0-2", "1.0 ", "1.0-rc", "1.0-dirty"} {
		if got, err := versionsOf(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

// Every architecture gets both packages under the names of the contract, and a
// feed in which each index vouches for each file.
func TestPackagesAndFeeds(t *testing.T) {
	j := standIn(t, everything())
	for _, step := range []func() error{j.ipks, j.apks, j.feeds} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := j.keys()
	if err != nil {
		t.Fatal(err)
	}
	apkKey, err := os.ReadFile(filepath.Join(j.dist, "feed/apk/lanseal.pem"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := read.ParsePublic(apkKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range j.targets {
		for _, arch := range target.archs {
			dir := filepath.Join(j.dist, "feed/opkg", arch)
			ipk := content(t, j.dist, "lanseal_0.2.0~rc1_"+arch+".ipk")
			if !bytes.Equal(ipk, content(t, dir, "lanseal_0.2.0~rc1_"+arch+".ipk")) {
				t.Errorf("%s: another .ipk in the feed", arch)
			}
			index := string(content(t, dir, "Packages"))
			for _, want := range []string{"Architecture: " + arch + "\n", "Filename: luci-app-lanseal_0.2.0~rc1_all.ipk\n", fmt.Sprintf("SHA256sum: %x\n", sha256.Sum256(ipk))} {
				if !strings.Contains(index, want) {
					t.Errorf("%s: no %q in\n%s", arch, want, index)
				}
			}
			if err := keys.opkg.Public().Verify([]byte(index), content(t, dir, "Packages.sig")); err != nil {
				t.Errorf("%s: %v", arch, err)
			}

			dir = filepath.Join(j.dist, "feed/apk", arch)
			apks, err := read.ReadIndex(content(t, dir, "packages.adb"))
			if err != nil {
				t.Fatal(err)
			}
			if err := apks.VerifiedBy(public); err != nil || len(apks.Packages) != 2 {
				t.Errorf("%s: %v, %d packages", arch, err, len(apks.Packages))
			}
			for _, listed := range apks.Packages {
				file := content(t, dir, listed.Name+"-"+listed.Version+".apk")
				p, err := read.ReadPackage(file)
				if err != nil {
					t.Fatal(err)
				}
				if sum := p.SHA256(); !bytes.Equal(sum[:], listed.Hashes) || listed.FileSize != uint64(len(file)) {
					t.Errorf("%s: the index states another %s", arch, listed.Name)
				}
				if f, ok := p.File("/usr/sbin/lanseal"); listed.Name == "lanseal" && (!ok || string(f.Data) != "the binary for "+target.name || p.Info.Arch != arch) {
					t.Errorf("%s: holds %q, for %s", arch, f.Data, p.Info.Arch)
				}
			}
			content(t, j.dist, "lanseal-0.2.0_rc1-r1_"+arch+".apk")
		}
	}
	if got := content(t, filepath.Join(j.dist, "feed/opkg"), keys.opkg.Public().Fingerprint()); !bytes.Equal(got, keys.opkg.Public().Text()) {
		t.Error("another public key in the feed")
	}
	if i, err := os.Stat(filepath.Join(j.dist, "keys/opkg.sec")); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("the secret key: %v, %v", i, err)
	}
	// Once more, with the same keys: the same bytes.
	before := content(t, j.dist, "lanseal-0.2.0_rc1-r1_mips_24kc.apk")
	if err := j.apks(); err != nil || !bytes.Equal(before, content(t, j.dist, "lanseal-0.2.0_rc1-r1_mips_24kc.apk")) {
		t.Errorf("the second run differs: %v", err)
	}
}

func content(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func list(t tree.Tree) (out []string) {
	for _, e := range t.Entries() {
		if e.Kind != tree.Dir || e.Mode != 0o755 {
			out = append(out, fmt.Sprintf("%04o %s%s", e.Mode, e.Path, e.Target))
		}
	}
	return out
}

// What lies where, with which mode.
func TestManifest(t *testing.T) {
	j := standIn(t, everything())
	got, err := agentTree(j.root, j.binary(j.targets[0]))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"0644 /etc/config/lanseal", "0755 /etc/init.d/lanseal", "0700 /etc/lanseal", "0600 /etc/lanseal/README", "0700 /etc/lanseal/tunnels",
		"0644 /lib/upgrade/keep.d/lanseal", "0777 /usr/libexec/rpcd/luci.lanseal/usr/sbin/lanseal", "0755 /usr/sbin/lanseal",
		"0644 /usr/share/lanseal/guard-strict.nft",
	}
	if d := cmp.Diff(want, list(got)); d != "" {
		t.Errorf("lanseal (-want +got):\n%s", d)
	}
	if e, _ := got.Find("/lib/upgrade/keep.d/lanseal"); string(e.Data) != "/etc/lanseal/\n" {
		t.Errorf("keep.d: %q", e.Data)
	}
	lists, err := withLists(got, agentProduct())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"list": "/etc/config/lanseal\n/etc/init.d/lanseal\n/etc/lanseal/README\n/lib/upgrade/keep.d/lanseal\n" +
			"/usr/libexec/rpcd/luci.lanseal\n/usr/sbin/lanseal\n/usr/share/lanseal/guard-strict.nft\n",
		"conffiles":        "/etc/config/lanseal\n/etc/lanseal/\n",
		"conffiles_static": fmt.Sprintf("/etc/config/lanseal %x\n", sha256.Sum256([]byte("config lanseal 'main'\n"))),
	} {
		if e, ok := lists.Find("/lib/apk/packages/lanseal." + name); !ok || string(e.Data) != text {
			t.Errorf("%s:\n%s\nwant\n%s", name, e.Data, text)
		}
	}
	luci, ok, err := luciTree(j.root)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	want = []string{"0755 /etc/uci-defaults/40_luci-lanseal", "0644 /usr/share/luci/menu.d/luci-app-lanseal.json", "0644 /www/luci-static/resources/view/lanseal/page.js"}
	if d := cmp.Diff(want, list(luci)); d != "" {
		t.Errorf("luci (-want +got):\n%s", d)
	}
}

// Without the files of openwrt/ and luci/ there is still a package, and no app;
// what would not work on a router is refused.
func TestManifestEdges(t *testing.T) {
	j := standIn(t, nil)
	got, err := agentTree(j.root, j.binary(j.targets[0]))
	if err != nil {
		t.Fatal(err)
	}
	if e, _ := got.Find("/lib/upgrade/keep.d/lanseal"); string(e.Data) != "/etc/config/lanseal\n/etc/lanseal/\n" {
		t.Errorf("keep.d: %q", e.Data)
	}
	if _, ok, err := luciTree(j.root); ok || err != nil {
		t.Errorf("an app of nothing: %v, %v", ok, err)
	}
	for name, text := range map[string]string{"openwrt/files/etc/init.d/lanseal": "START=21\n", "openwrt/files/usr/sbin/lanseal": "x", "openwrt/files/lib/upgrade/keep.d/lanseal": "/etc/other\n"} {
		j := standIn(t, map[string]string{name: text})
		if _, err := agentTree(j.root, j.binary(j.targets[0])); err == nil {
			t.Errorf("%s with %q is packed", name, text)
		}
	}
	j = standIn(t, map[string]string{"openwrt/files/lib/upgrade/keep.d/lanseal": "/etc/config/lanseal\n/etc/lanseal/\n"})
	if _, err := agentTree(j.root, j.binary(j.targets[0])); err != nil {
		t.Error(err)
	}
}

// A MIPS package that would not fit, packed or unpacked, is refused; a key that is there is never
// written over.
func TestLimits(t *testing.T) {
	j := standIn(t, nil)
	j.targets = j.targets[1:2]
	random := make([]byte, mostIPK+1)
	for i, x := 0, uint32(1); i < len(random); i++ {
		x = x*1664525 + 1013904223
		random[i] = byte(x >> 24)
	}
	put(t, "", map[string]string{j.binary(j.targets[0]): string(random)})
	if err := j.ipks(); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too large, and packed: %v", err)
	}
	put(t, "", map[string]string{j.binary(j.targets[0]): strings.Repeat("x", mostInstalled)})
	if err := j.ipks(); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too large to install, and packed: %v", err)
	}
	put(t, j.dist, map[string]string{"keys/apk.pem": "not a key"})
	if err := j.apks(); err == nil || string(content(t, j.dist, "keys/apk.pem")) != "not a key" {
		t.Errorf("a key that cannot be read: %v", err)
	}
	if _, err := opkgfeed.ParseSecret(content(t, j.dist, "keys/opkg.sec")); err != nil {
		t.Error(err)
	}
}

// Two builds from two folders are the same bytes, carry the version, and have
// nothing of the folder in them.
func TestReproducible(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{
		"go.mod":        "module example\n\ngo 1.26\n",
		"agent/main.go": "package main\n\nvar version = \"none\"\n\nfunc main() { println(version) }\n",
		"dist/keys/x":   "not copied",
	})
	host, err := exec.Command("go", "env", "GOARCH").Output()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	j := job{root: root, dist: filepath.Join(root, "dist"), version: "9.8.7", out: &out, targets: []target{{name: "host", goarch: strings.TrimSpace(string(host))}}}
	if err := j.build(); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := copySource(root, elsewhere); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "dist")); err == nil {
		t.Error("dist was copied, with its keys")
	}
	if err := j.compare(elsewhere, t.TempDir(), nil); err != nil || !strings.Contains(out.String(), "bytes twice") {
		t.Errorf("%v\n%s", err, out.String())
	}
	said, err := exec.Command(j.binary(j.targets[0])).CombinedOutput()
	if err != nil || string(said) != "9.8.7\n" {
		t.Errorf("says %q, %v", said, err)
	}
	if bytes.Contains(content(t, "", j.binary(j.targets[0])), []byte(root)) {
		t.Error("the folder's name is in the binary")
	}
	put(t, elsewhere, map[string]string{"agent/main.go": "package main\n\nvar version = \"none\"\n\nfunc main() { println(version + \"!\") }\n"})
	if err := j.compare(elsewhere, t.TempDir(), nil); err == nil {
		t.Error("another source makes the same bytes")
	}
}

// "make" builds with the same flags.
func TestMakefileIsLean(t *testing.T) {
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"TAGS := " + tags, "LEAN := " + strings.Join(lean(), " ")} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("the Makefile has no line %q", line)
		}
	}
}
