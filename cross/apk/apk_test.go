package apk_test

import (
	"bytes"
	"compress/flate"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanseal/lanseal/cross/apk"
	"github.com/lanseal/lanseal/cross/apk/read"
	"github.com/lanseal/lanseal/cross/tree"
)

// sample is a package with everything that a package of ours has.
func sample(t testing.TB) apk.Package {
	t.Helper()
	tr, err := tree.New(
		tree.Entry{Path: "/usr/sbin/lanseal", Mode: 0o755, Data: bytes.Repeat([]byte("binary\n"), 20000)},
		tree.Entry{Path: "/usr/libexec/rpcd/luci.lanseal", Kind: tree.Link, Target: "/usr/sbin/lanseal"},
		tree.Entry{Path: "/etc/init.d/lanseal", Mode: 0o755, Data: []byte("#!/bin/sh /etc/rc.common\n")},
		tree.Entry{Path: "/etc/config/lanseal", Mode: 0o644, Data: []byte("config lanseal 'main'\n")},
		tree.Entry{Path: "/etc/lanseal", Kind: tree.Dir, Mode: 0o700},
		tree.Entry{Path: "/lib/empty", Mode: 0o600},
		tree.Entry{Path: "/top", Mode: 0o644, Data: []byte("config lanseal 'main'\n")},
	)
	if err != nil {
		t.Fatal(err)
	}
	return apk.Package{
		Info: apk.Info{
			Name: "lanseal", Version: "0.1.0-r1", Description: "Seals a LAN", Arch: "mips_24kc", License: "GPL-2.0-only",
			Origin: "feeds/lanseal", Maintainer: "a <b@c>", URL: "https://example.org",
			Depends:  []string{"libc", "kmod-tun", "nftables>=1.0", "zz~1.2", "ca<=3", "!bad", "!worse=1.0-r1"},
			Provides: []string{"lanseal-any"}, Tags: []string{"openwrt:section=net"},
		},
		Tree: tr,
		Scripts: apk.Scripts{
			PostInstall:  "#!/bin/sh\n" + strings.Repeat("echo 1\n", 50),
			PostUpgrade:  "#!/bin/sh\nexport PKG_UPGRADE=1\n",
			PreDeinstall: "#!/bin/sh\n",
		},
	}
}

func build(t testing.TB, p apk.Package, key *ecdsa.PrivateKey) ([]byte, apk.Entry) {
	t.Helper()
	file, entry, err := apk.Build(p, key)
	if err != nil {
		t.Fatal(err)
	}
	return file, entry
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := apk.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// What is read is what was written, owners, modes and hashes included.
func TestRoundTrip(t *testing.T) {
	p, key := sample(t), newKey(t)
	file, entry := build(t, p, key)
	got, err := read.ReadPackage(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.VerifiedBy(&key.PublicKey); err != nil {
		t.Error(err)
	}
	if err := got.VerifiedBy(&newKey(t).PublicKey); err == nil {
		t.Error("verified by another key")
	}
	want := read.Info{
		Name: p.Info.Name, Version: p.Info.Version, Description: p.Info.Description, Arch: p.Info.Arch, License: p.Info.License,
		Origin: p.Info.Origin, Maintainer: p.Info.Maintainer, URL: p.Info.URL,
		Hashes: entry.Identity[:], InstalledSize: 140000 + 25 + 22 + 22,
		Depends:  []string{"!bad", "ca<=3", "kmod-tun", "libc", "nftables>=1.0", "!worse=1.0-r1", "zz~1.2"},
		Provides: p.Info.Provides, Tags: p.Info.Tags,
	}
	if d := cmp.Diff(want, got.Info); d != "" {
		t.Errorf("info (-want +got):\n%s", d)
	}
	var lines []string
	for _, f := range got.Files {
		lines = append(lines, fmt.Sprintf("%c %04o %s:%s %d %s%s", f.Type, f.Mode, f.User, f.Group, f.Size, f.Path, f.Target))
		if e, ok := p.Tree.Find(f.Path); ok && !bytes.Equal(e.Data, f.Data) {
			t.Errorf("%s: another content", f.Path)
		}
	}
	wantLines := []string{
		"d 0755 root:root 0 /", "f 0644 root:root 22 /top",
		"d 0755 root:root 0 /etc",
		"d 0755 root:root 0 /etc/config", "f 0644 root:root 22 /etc/config/lanseal",
		"d 0755 root:root 0 /etc/init.d", "f 0755 root:root 25 /etc/init.d/lanseal",
		"d 0700 root:root 0 /etc/lanseal",
		"d 0755 root:root 0 /lib", "f 0600 root:root 0 /lib/empty",
		"d 0755 root:root 0 /usr",
		"d 0755 root:root 0 /usr/libexec",
		"d 0755 root:root 0 /usr/libexec/rpcd", "l 0777 root:root 17 /usr/libexec/rpcd/luci.lanseal/usr/sbin/lanseal",
		"d 0755 root:root 0 /usr/sbin", "f 0755 root:root 140000 /usr/sbin/lanseal",
	}
	if d := cmp.Diff(wantLines, lines); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	wantScripts := map[string]string{"post-install": p.Scripts.PostInstall, "post-upgrade": p.Scripts.PostUpgrade, "pre-deinstall": p.Scripts.PreDeinstall}
	if d := cmp.Diff(wantScripts, got.Scripts); d != "" {
		t.Errorf("scripts (-want +got):\n%s", d)
	}
	if entry.SHA256 != got.SHA256() || entry.FileSize != uint64(len(file)) || entry.InstalledSize != got.Info.InstalledSize {
		t.Errorf("the index's entry differs: %+v", entry)
	}
}

// The databases are, to the last byte, those that apk-tools 3.0.5 makes of the
// same directory and the same words ("apk mkpkg" under SOURCE_DATE_EPOCH=0,
// "apk mkndx"). Change them only with a new look at the real apk.
func TestSameDatabaseAsApk(t *testing.T) {
	p := sample(t)
	file, entry := build(t, p, nil)
	p.Info.Name, p.Info.Version = "aaa", "2.0-r3"
	_, second := build(t, p, nil)
	second.FileSize = 1282 // what apk packed them to
	entry.FileSize = 1275
	index, err := apk.Index([]apk.Entry{entry, second}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		file []byte
		want string
	}{"package": {file, "f7a622adba6c3dd463a39f03c1f9a5fdaf59a578d6395e1f568a38620afe7801"}, "index": {index, "b77ff45866553ee84f1bca280739a1d52254a916542e601860586d6b50540b3b"}} {
		opened, err := read.Open(c.file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(opened.Blocks[0].Payload)
		if got := hex.EncodeToString(sum[:]); got != c.want {
			t.Errorf("%s: the database's SHA-256 is %s, want %s", what, got, c.want)
		}
	}
}

func TestIndex(t *testing.T) {
	key, p := newKey(t), sample(t)
	_, lan := build(t, p, key)
	p.Info.Name, p.Info.Arch = "luci-app-lanseal", "noarch"
	_, luci := build(t, p, key)
	file, err := apk.Index([]apk.Entry{luci, lan}, "lanseal", key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := read.ReadIndex(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.VerifiedBy(&key.PublicKey); err != nil {
		t.Error(err)
	}
	if len(got.Packages) != 2 || got.Packages[0].Name != "lanseal" || got.Packages[1].Arch != "noarch" || got.Description != "lanseal" {
		t.Fatalf("index: %+v", got)
	}
	if one := got.Packages[0]; !bytes.Equal(one.Hashes, lan.SHA256[:]) || one.FileSize != lan.FileSize || len(one.Depends) != 7 {
		t.Errorf("entry: %+v", one)
	}
	if name := lan.Info.FileName(); name != "lanseal-0.1.0-r1.apk" {
		t.Errorf("file name %q", name)
	}
	if _, err := apk.Index([]apk.Entry{lan, lan}, "", key); err == nil {
		t.Error("the same name twice")
	}
	if _, err := apk.Index(nil, "", key); err == nil {
		t.Error("an index of nothing")
	}
	if _, err := read.ReadPackage(file); err == nil {
		t.Error("an index read as a package")
	}
}

func TestSameInputSameBytes(t *testing.T) {
	key := newKey(t)
	one, _ := build(t, sample(t), key)
	two, _ := build(t, sample(t), key)
	if !bytes.Equal(one, two) {
		t.Error("two builds with one key differ")
	}
}

// repack undoes and redoes the compression, so that a test can damage what is
// inside.
func repack(t *testing.T, file []byte, damage func([]byte)) []byte {
	t.Helper()
	opened, err := read.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	_ = opened
	var inside bytes.Buffer
	if _, err := inside.ReadFrom(flate.NewReader(bytes.NewReader(file[4:]))); err != nil {
		t.Fatal(err)
	}
	data := inside.Bytes()
	damage(data)
	var out bytes.Buffer
	out.WriteString("ADBd")
	w, _ := flate.NewWriter(&out, 1)
	w.Write(data)
	w.Close()
	return out.Bytes()
}

// No byte of a signed package can change unnoticed.
func TestEveryByteCounts(t *testing.T) {
	p, key := sample(t), newKey(t)
	p.Tree, _ = tree.New(tree.Entry{Path: "/etc/a", Mode: 0o644, Data: []byte("hello")}, tree.Entry{Path: "/etc/b", Kind: tree.Link, Target: "a"})
	p.Scripts = apk.Scripts{PostInstall: "#!/bin/sh\n"}
	file, _ := build(t, p, key)
	size := 0
	repack(t, file, func(b []byte) { size = len(b) })
	for i := range size {
		bad := repack(t, file, func(b []byte) { b[i] ^= 0x41 })
		got, err := read.ReadPackage(bad)
		if err == nil {
			err = got.VerifiedBy(&key.PublicKey)
		}
		if err == nil {
			t.Errorf("byte %d of %d changed, and nobody noticed", i, size)
		}
	}
	for _, n := range []int{0, 3, 4, 10, len(file) - 1} {
		if _, err := read.ReadPackage(file[:n]); err == nil {
			t.Errorf("cut off at %d, and nobody noticed", n)
		}
	}
	if _, err := read.ReadPackage(append(slices.Clone(file), 0)); err == nil {
		t.Error("a byte after the end")
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*apk.Package)
		want   string
	}{
		"name":       {func(p *apk.Package) { p.Info.Name = "-x" }, "no name"},
		"version":    {func(p *apk.Package) { p.Info.Version = "0.1.0-1" }, "no version"},
		"arch":       {func(p *apk.Package) { p.Info.Arch = "" }, "no architecture"},
		"tag":        {func(p *apk.Package) { p.Info.Tags = []string{"a b"} }, "no tag"},
		"depends":    {func(p *apk.Package) { p.Info.Depends = []string{"a b"} }, "no dependency"},
		"version of": {func(p *apk.Package) { p.Info.Depends = []string{"a>=x"} }, "no dependency"},
		"compare":    {func(p *apk.Package) { p.Info.Depends = []string{"a<>1"} }, "no comparison"},
		"twice":      {func(p *apk.Package) { p.Info.Provides = []string{"a=1", "a=2"} }, "two constraints"},
		"no files":   {func(p *apk.Package) { p.Tree = tree.Tree{} }, "no files"},
		"time":       {func(p *apk.Package) { p.MTime = -1 }, "before 1970"},
	} {
		p := sample(t)
		c.change(&p)
		if _, _, err := apk.Build(p, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for _, v := range []string{"0.1.0-r1", "0.2.0_rc1-r1", "1", "1.2b_p3-r0", "1.0_git20260101~0a1b-r2"} {
		if err := apk.CheckVersion(v); err != nil {
			t.Error(err)
		}
	}
	for _, v := range []string{"", "v1", "1.0-rc1", "1.0-1", "1..2", "1.0_foo"} {
		if apk.CheckVersion(v) == nil {
			t.Errorf("%q is a version", v)
		}
	}
}

func TestKeys(t *testing.T) {
	key := newKey(t)
	text, err := apk.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	back, err := apk.ParseKey(text)
	if err != nil || !back.Equal(key) {
		t.Errorf("the key does not come back: %v", err)
	}
	public, err := apk.MarshalPublic(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := read.ParsePublic(public)
	if err != nil || !pub.Equal(&key.PublicKey) {
		t.Errorf("the public key does not come back: %v", err)
	}
	if _, err := apk.ParseKey(public); err == nil {
		t.Error("a public key parsed as a private one")
	}
	if _, err := read.ParsePublic(text); err == nil {
		t.Error("a private key parsed as a public one")
	}
}
