package tree

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Kind says what an entry is.
type Kind int

// The kinds that a package of ours may hold: no devices, no hard links.
const (
	File Kind = iota
	Dir
	Link
)

// Entry is one directory, file or symbolic link, owned by root.
type Entry struct {
	Path   string // absolute and clean: /usr/sbin/lanseal
	Kind   Kind
	Mode   uint32 // permission bits, at most 07777; of a link always 0777
	Data   []byte // of a File
	Target string // of a Link
}

// Name is the last element of the path.
func (e Entry) Name() string { return path.Base(e.Path) }

// Tree is a complete, sorted list of entries: every parent directory is in it,
// and before what it holds. The root directory is not.
type Tree struct{ entries []Entry }

// New checks the entries, adds the parent directories that are missing with
// mode 0755, and sorts.
func New(entries ...Entry) (Tree, error) {
	byPath := map[string]Entry{}
	for _, e := range entries {
		if err := check(e); err != nil {
			return Tree{}, fmt.Errorf("%q: %w", e.Path, err)
		}
		if e.Kind == Link {
			e.Mode = 0o777
		}
		if have, twice := byPath[e.Path]; twice && (have.Kind != Dir || e.Kind != Dir || have.Mode != e.Mode) {
			return Tree{}, fmt.Errorf("%q: listed twice", e.Path)
		}
		byPath[e.Path] = e
	}
	for _, e := range entries {
		for dir := path.Dir(e.Path); dir != "/"; dir = path.Dir(dir) {
			if have, ok := byPath[dir]; !ok {
				byPath[dir] = Entry{Path: dir, Kind: Dir, Mode: 0o755}
			} else if have.Kind != Dir {
				return Tree{}, fmt.Errorf("%q: lies below %q, which is no directory", e.Path, dir)
			}
		}
	}
	var t Tree
	for _, e := range byPath {
		t.entries = append(t.entries, e)
	}
	slices.SortFunc(t.entries, func(a, b Entry) int { return cmp.Compare(order(a.Path), order(b.Path)) })
	return t, nil
}

// order makes a directory's entries follow it at once, as tar --sort=name has
// them: "/" sorts before every byte that a name may hold.
func order(p string) string { return strings.ReplaceAll(p, "/", "\x00") }

func check(e Entry) error {
	switch {
	case !path.IsAbs(e.Path) || path.Clean(e.Path) != e.Path || e.Path == "/":
		return fmt.Errorf("not an absolute, clean path below the root")
	case strings.ContainsAny(e.Path, "\x00\n\r\t "):
		// The lists that opkg, apk and sysupgrade read have one name a line,
		// and their shell scripts split at spaces.
		return fmt.Errorf("a name with a space or a control character")
	case e.Mode > 0o7777:
		return fmt.Errorf("mode %o is more than permission bits", e.Mode)
	case e.Kind == Link && (e.Target == "" || strings.ContainsAny(e.Target, "\x00\n") || len(e.Data) > 0):
		return fmt.Errorf("a link needs a target and has no content")
	case e.Kind == Dir && (len(e.Data) > 0 || e.Target != ""):
		return fmt.Errorf("a directory has no content")
	case e.Kind == File && e.Target != "":
		return fmt.Errorf("a file has no target")
	case e.Kind < File || e.Kind > Link:
		return fmt.Errorf("of no known kind")
	}
	return nil
}

// Entries are all entries, sorted; not to be changed.
func (t Tree) Entries() []Entry { return t.entries }

// With is the tree and more entries.
func (t Tree) With(more ...Entry) (Tree, error) {
	return New(append(slices.Clone(t.entries), more...)...)
}

// Find returns the entry at a path.
func (t Tree) Find(p string) (Entry, bool) {
	for _, e := range t.entries {
		if e.Path == p {
			return e, true
		}
	}
	return Entry{}, false
}

// Paths are the paths of files and links, sorted by byte: what package managers
// call the file list.
func (t Tree) Paths() []string {
	var out []string
	for _, e := range t.entries {
		if e.Kind != Dir {
			out = append(out, e.Path)
		}
	}
	slices.Sort(out)
	return out
}

// In are the entries of one directory, sorted by name; dir is "/" or the path
// of a Dir entry.
func (t Tree) In(dir string) []Entry {
	var out []Entry
	for _, e := range t.entries {
		if path.Dir(e.Path) == dir {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(a.Name(), b.Name()) })
	return out
}

// Dirs are the paths of all directories, sorted by byte.
func (t Tree) Dirs() []string {
	var out []string
	for _, e := range t.entries {
		if e.Kind == Dir {
			out = append(out, e.Path)
		}
	}
	slices.Sort(out)
	return out
}
