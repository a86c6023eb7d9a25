package apk

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lanseal/lanseal/cross/tree"
)

// Scripts run on the router; an empty one does not exist.
type Scripts struct {
	Trigger, PreInstall, PostInstall, PreDeinstall, PostDeinstall, PreUpgrade, PostUpgrade string
}

// list is in the order of the slots.
func (s Scripts) list() []string {
	return []string{s.Trigger, s.PreInstall, s.PostInstall, s.PreDeinstall, s.PostDeinstall, s.PreUpgrade, s.PostUpgrade}
}

// Package is what goes into one file.
type Package struct {
	Info    Info
	Tree    tree.Tree
	Scripts Scripts
	MTime   int64 // of every file, in seconds since 1970; 0 as OpenWrt builds
}

// Entry is a package as an index lists it.
type Entry struct {
	Info          Info
	InstalledSize uint64   // sum of the files' sizes
	FileSize      uint64   // of the .apk
	Identity      [20]byte // what the package itself has as "hashes"
	SHA256        [32]byte // of the package's database
}

const (
	schemaScripts = 7 + 1
	fileModeLink  = 0o120000
)

// Build makes the file and its entry for an index. A nil key leaves it unsigned.
func Build(p Package, key *ecdsa.PrivateKey) ([]byte, Entry, error) {
	d := newDatabase()
	if err := p.Info.check(); err != nil {
		return nil, Entry{}, err
	}
	info := d.infoHead(p.Info)
	if err := d.infoBody(p.Info, info); err != nil {
		return nil, Entry{}, err
	}
	dirs, contents, size, err := d.paths(p)
	if err != nil {
		return nil, Entry{}, err
	}
	if size == 0 {
		size = 1 // apk takes a package without a size for a virtual one
	}
	info[infoInstalledSize] = d.number(size)
	hashes, hashesAt := d.room(20)
	info[infoHashes] = hashes
	pkg := []value{null, d.object(info), d.list(dirs), null}
	scripts := make([]value, 1, schemaScripts)
	for _, s := range p.Scripts.list() {
		scripts = append(scripts, d.text(s))
	}
	pkg[3] = d.object(scripts)
	adb, err := d.finish(d.object(pkg))
	if err != nil {
		return nil, Entry{}, err
	}
	sum := sha256.Sum256(adb)
	copy(adb[hashesAt:hashesAt+20], sum[:])

	file, err := container(schemaPackage, adb, key, func(w io.Writer) error {
		for _, c := range contents {
			at := binary.LittleEndian.AppendUint32(nil, c.dir)
			at = binary.LittleEndian.AppendUint32(at, c.file)
			if err := block(w, blockDATA, at, c.data); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, Entry{}, err
	}
	// An index lists dependencies as the package has them: sorted.
	entry := Entry{Info: p.Info, InstalledSize: size, FileSize: uint64(len(file)), Identity: [20]byte(sum[:20]), SHA256: sha256.Sum256(adb)}
	entry.Info.Depends, entry.Info.Provides = sortedTexts(p.Info.Depends), sortedTexts(p.Info.Provides)
	return file, entry, nil
}

// sortedTexts sorts constraints that parse by their names.
func sortedTexts(texts []string) []string {
	name := func(text string) string {
		text = strings.TrimPrefix(text, "!")
		if i := strings.IndexAny(text, "<>=~"); i >= 0 {
			text = text[:i]
		}
		return text
	}
	out := slices.Clone(texts)
	slices.SortStableFunc(out, func(a, b string) int { return strings.Compare(name(a), name(b)) })
	return slices.Compact(out)
}

// content is the content of the file-th file of the dir-th directory, from 1.
type content struct {
	dir, file uint32
	data      []byte
}

// paths stores directories and files. Every directory is listed, the root too,
// under no name: what mkpkg does unless it is told that nobody needs it.
func (d *database) paths(p Package) (dirs []value, contents []content, size uint64, err error) {
	for i, dir := range append([]string{"/"}, p.Tree.Dirs()...) {
		mode := uint32(0o755)
		if e, ok := p.Tree.Find(dir); ok {
			mode = e.Mode
		}
		var files []value
		for _, e := range p.Tree.In(dir) {
			if e.Kind == tree.Dir {
				continue
			}
			files = append(files, d.file(e, p.MTime))
			if e.Kind == tree.File {
				size += uint64(len(e.Data))
				if len(e.Data) > 0 {
					contents = append(contents, content{uint32(i + 1), uint32(len(files)), e.Data})
				}
			}
		}
		slots := make([]value, 4)
		slots[1] = d.text(strings.TrimPrefix(dir, "/"))
		slots[2] = d.acl(mode)
		slots[3] = d.list(files)
		dirs = append(dirs, d.object(slots))
	}
	if p.MTime < 0 {
		return nil, nil, 0, errors.New("a time before 1970")
	}
	if len(p.Tree.Entries()) == 0 {
		return nil, nil, 0, fmt.Errorf("%s holds no files", p.Info.Name)
	}
	return dirs, contents, size, nil
}

func (d *database) file(e tree.Entry, mtime int64) value {
	slots := make([]value, 7)
	slots[1] = d.text(e.Name())
	length := uint64(len(e.Data))
	if e.Kind == tree.Link {
		// A link's target follows the type bits of its mode; its size is the
		// target's, as lstat has it.
		slots[6] = d.blob(append(binary.LittleEndian.AppendUint16(nil, fileModeLink), e.Target...))
		length = uint64(len(e.Target))
	} else {
		sum := sha256.Sum256(e.Data)
		slots[5] = d.blob(sum[:])
	}
	slots[4] = d.number(uint64(mtime))
	slots[3] = d.number(length)
	slots[2] = d.acl(e.Mode)
	return d.object(slots)
}

// acl is mode and owner; everything of ours is root's.
func (d *database) acl(mode uint32) value {
	slots := []value{null, d.number(uint64(mode)), d.text("root"), d.text("root")}
	return d.object(slots)
}
