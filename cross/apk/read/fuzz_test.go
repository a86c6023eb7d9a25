package read_test

import (
	"bytes"
	"compress/flate"
	"testing"

	"github.com/lanseal/lanseal/cross/apk"
	"github.com/lanseal/lanseal/cross/apk/read"
	"github.com/lanseal/lanseal/cross/tree"
)

func small(t testing.TB, name string, data []byte) ([]byte, apk.Entry) {
	t.Helper()
	tr, err := tree.New(
		tree.Entry{Path: "/etc/" + name, Mode: 0o644, Data: data},
		tree.Entry{Path: "/etc/link", Kind: tree.Link, Target: "x"},
	)
	if err != nil {
		t.Fatal(err)
	}
	p := apk.Package{
		Info:    apk.Info{Name: "x", Version: "1-r0", Arch: "noarch", Depends: []string{"a>=1", "!b"}},
		Tree:    tr,
		Scripts: apk.Scripts{PostInstall: string(data)},
	}
	file, entry, err := apk.Build(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file, entry
}

func inside(t testing.TB, file []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := out.ReadFrom(flate.NewReader(bytes.NewReader(file[4:]))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Whatever the bytes, reading ends without a panic; and what is accepted has the
// contents that its database states.
func FuzzRead(f *testing.F) {
	file, entry := small(f, "a", []byte("hello"))
	index, err := apk.Index([]apk.Entry{entry}, "d", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(inside(f, file))
	f.Add(inside(f, index))
	f.Add(file)
	f.Add([]byte("ADBc\x01\x00"))
	f.Add([]byte("ADB.pckg\x10\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := read.ReadPackage(b); err == nil {
			for _, file := range p.Files {
				if uint64(len(file.Data)) != file.Size && file.Type == 'f' {
					t.Errorf("%s: %d bytes of %d", file.Path, len(file.Data), file.Size)
				}
			}
		}
		if _, err := read.ReadIndex(b); err == nil && len(b) < 16 {
			t.Error("an index of nothing")
		}
	})
}

// Every name and content that can be packed is read again.
func FuzzRoundTrip(f *testing.F) {
	f.Add("a", []byte("hello"))
	f.Add("zzz", bytes.Repeat([]byte{0}, 70000))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if len(name) == 0 || len(name) > 200 || bytes.ContainsAny([]byte(name), "/") || name == "." || name == ".." || name == "link" {
			return
		}
		tr, err := tree.New(tree.Entry{Path: "/etc/" + name})
		if err != nil || len(tr.Entries()) == 0 {
			return
		}
		file, _ := small(t, name, data)
		p, err := read.ReadPackage(file)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := p.File("/etc/" + name)
		if !ok || !bytes.Equal(got.Data, data) || p.Scripts["post-install"] != string(data) {
			t.Errorf("%q came back as %+v", name, got)
		}
	})
}
