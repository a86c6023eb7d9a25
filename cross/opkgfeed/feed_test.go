package opkgfeed

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanseal/lanseal/cross/ipk"
	"github.com/lanseal/lanseal/cross/tree"
)

func sample(t *testing.T, name string) File {
	t.Helper()
	tr, err := tree.New(tree.Entry{Path: "/usr/sbin/" + name, Mode: 0o755, Data: []byte("binary")})
	if err != nil {
		t.Fatal(err)
	}
	data, err := ipk.PackData(tr, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := ipk.Control{Package: name, Version: "0.1.0", Depends: []string{"libc"}, Source: "x", SourceName: "y", License: "GPL-2.0-only",
		LicenseFiles: "LICENSE", Maintainer: "a <b@c>", Architecture: "mips_24kc", Description: "title\nmore"}
	file, err := ipk.Build(ipk.Package{Control: c, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return File{c.FileName(), file}
}

func newKey(t *testing.T) Key {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The whole index of two packages: sorted, without the build's own fields.
func TestIndex(t *testing.T) {
	a, b := sample(t, "lanseal"), sample(t, "bb")
	key := newKey(t)
	feed, err := Make([]File{a, b}, key)
	if err != nil {
		t.Fatal(err)
	}
	stanza := func(name string, f File) string {
		return fmt.Sprintf("Package: %s\nVersion: 0.1.0\nDepends: libc\nLicense: GPL-2.0-only\nArchitecture: mips_24kc\nInstalled-Size: 3584\n"+
			"Filename: %s\nSize: %d\nSHA256sum: %x\nDescription: title\n more\n\n", name, f.Name, len(f.Data), sha256.Sum256(f.Data))
	}
	want := stanza("bb", b) + stanza("lanseal", a)
	if d := cmp.Diff(want, strings.TrimRight(string(feed.Packages), "\n")+"\n\n"); d != "" {
		t.Errorf("index (-want +got):\n%s", d)
	}
	z, err := gzip.NewReader(bytes.NewReader(feed.PackagesGz))
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(z); err != nil || !bytes.Equal(unpacked, feed.Packages) {
		t.Errorf("Packages.gz holds another text: %v", err)
	}
	if err := key.Public().Verify(feed.Packages, feed.PackagesSig); err != nil {
		t.Error(err)
	}
}

func TestPadding(t *testing.T) {
	for n := range 300 {
		got := len(pad(make([]byte, n))) - n
		want := 0
		if n%128 == 46 || n%128 == 47 {
			want = 2
		}
		if got != want {
			t.Errorf("%d bytes get %d more, want %d", n, got, want)
		}
		if r := (64 + n + got) % 128; r == 110 || r == 111 {
			t.Errorf("%d bytes stay at a length that does not verify", n)
		}
	}
}

func TestKeys(t *testing.T) {
	key := newKey(t)
	back, err := ParseSecret(key.Secret())
	if err != nil || back.fingerprint != key.fingerprint || back.salt != key.salt || !back.private.Equal(key.private) {
		t.Errorf("the secret key does not come back: %v", err)
	}
	public, err := ParsePublic(key.Public().Text())
	if err != nil || public.Fingerprint() != key.Public().Fingerprint() || len(public.Fingerprint()) != 16 {
		t.Errorf("the public key does not come back: %v", err)
	}
	message := []byte("Packages")
	sig := key.Sign(message)
	if !bytes.Equal(sig, back.Sign(message)) {
		t.Error("two signatures differ")
	}
	if err := public.Verify(message, sig); err != nil {
		t.Error(err)
	}
	if want := "untrusted comment: signed by key " + public.Fingerprint() + "\nRW"; !strings.HasPrefix(string(sig), want) {
		t.Errorf("signature:\n%s", sig)
	}
	for name, err := range map[string]error{
		"another text":    public.Verify([]byte("packages"), sig),
		"another key":     newKey(t).Public().Verify(message, sig),
		"a public key":    public.Verify(message, public.Text()),
		"no comment":      public.Verify(message, sig[20:]),
		"broken base64":   public.Verify(message, append(bytes.TrimSpace(sig), "!\n"...)),
		"nothing":         public.Verify(message, nil),
		"its fingerprint": PublicKey{newKey(t).fingerprint, public.key}.Verify(message, sig),
	} {
		if err == nil {
			t.Errorf("%s: verified", name)
		}
	}
	damaged := bytes.Replace(key.Secret(), []byte("RWRCSw"), []byte("RWRCSx"), 1)
	if _, err := ParseSecret(damaged); err == nil {
		t.Error("a damaged secret key")
	}
}

// A public key and a signature as usign itself made them.
func TestUsign(t *testing.T) {
	public, err := ParsePublic([]byte(usignPublic))
	if err != nil {
		t.Fatal(err)
	}
	if err := public.Verify([]byte("hello\n"), []byte(usignSignature)); err != nil {
		t.Error(err)
	}
	if string(public.Text()) != usignPublic || public.Fingerprint() != "379be0f2f3250d8b" {
		t.Errorf("written again:\n%s", public.Text())
	}
}

func TestControlRefusals(t *testing.T) {
	good := sample(t, "lanseal").Data
	for name, data := range map[string][]byte{"nothing": nil, "no gzip": []byte("x"), "cut off": good[:len(good)/2]} {
		if _, err := Packages([]File{{"x.ipk", data}}); err == nil {
			t.Errorf("%s: an index", name)
		}
	}
}

// Whatever the bytes, reading a package, a key or a signature ends in an answer.
func FuzzParse(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	public := key.Public()
	f.Add(key.Secret())
	f.Add(public.Text())
	f.Add(key.Sign([]byte("m")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ParseSecret(b); err == nil && k.Public().Verify([]byte("m"), k.Sign([]byte("m"))) != nil {
			t.Error("a key that does not verify itself")
		}
		if err := public.Verify([]byte("another"), b); err == nil {
			t.Error("a forged signature")
		}
		ParsePublic(b)
		Control(b)
	})
}
