package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteKeepsModeAndLink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(target, 0o664); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	if err := Write(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(target)
	info, err2 := os.Stat(target)
	points, err3 := os.Readlink(link)
	left, err4 := os.ReadDir(dir)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	if string(text) != "new" || info.Mode().Perm() != 0o664 || points != "target" || len(left) != 2 {
		t.Errorf("%q, mode %s, the link to %q, %d files", text, info.Mode(), points, len(left))
	}
	if err := Write(filepath.Join(dir, "no", "where"), nil, 0o600); err == nil {
		t.Error("no error for a folder that is not there")
	}
}
