package read

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
)

// File is a file, a directory or a link of a package.
type File struct {
	Path        string // absolute
	Type        byte   // 'd', 'f' or 'l'
	Mode        uint32 // permission bits
	User, Group string
	MTime       uint64
	Size        uint64
	SHA256      []byte
	Target      string // of a link
	Data        []byte
}

// Package is a package, read and checked.
type Package struct {
	*Container
	Info    Info
	Files   []File            // in the order of the database: a directory, what is in it, the next directory
	Scripts map[string]string // by apk's names: post-install …
}

// most is how many files a package may list: directories could share one list
// and so make a small database endless.
const most = 100_000

// ReadPackage reads a package and checks that every file is there with the
// content that the database states, and that the identity is right.
func ReadPackage(file []byte) (*Package, error) {
	c, err := Open(file)
	if err != nil {
		return nil, err
	}
	if c.Schema != "pckg" {
		return nil, fmt.Errorf("schema %q is no package", c.Schema)
	}
	r, err := root(c.adb())
	if err != nil {
		return nil, err
	}
	top := r.object("package")
	p := &Package{Container: c, Scripts: map[string]string{}}
	if p.Info, err = readInfo(top.slot(1)); err != nil {
		return nil, err
	}
	data := c.Blocks[1:]
	for len(data) > 0 && data[0].Type == "SIG" {
		data = data[1:]
	}
	before := ""
	for i, d := range top.list(2) {
		name, files, err := readDir(d)
		if err != nil {
			return nil, err
		}
		if i > 0 && name <= before {
			return nil, fmt.Errorf("directory %q after %q", name, before)
		}
		before = name
		for j := range files[1:] {
			if data, err = files[j+1].take(data, uint32(i+1), uint32(j+1)); err != nil {
				return nil, err
			}
		}
		if p.Files = append(p.Files, files...); len(p.Files) > most {
			return nil, fmt.Errorf("more than %d files", most)
		}
	}
	if len(data) > 0 {
		return nil, fmt.Errorf("%d contents of no file", len(data))
	}
	scripts := top.slot(3).object("scripts")
	for i, name := range []string{"trigger", "pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade", "post-upgrade"} {
		if s := scripts.text(i + 1); s != "" {
			p.Scripts[name] = s
		}
	}
	if scripts.err != nil {
		return nil, scripts.err
	}
	if top.err != nil {
		return nil, top.err
	}
	return p, p.identity(top)
}

// take takes the next block for a file that has content, and checks it.
func (f *File) take(data []Block, dir, file uint32) ([]Block, error) {
	if f.Type != 'f' {
		return data, nil
	}
	if f.Size > 0 {
		if len(data) == 0 {
			return nil, fmt.Errorf("%s: no content", f.Path)
		}
		b := data[0].Payload
		if len(b) < 8 || binary.LittleEndian.Uint32(b) != dir || binary.LittleEndian.Uint32(b[4:]) != file {
			return nil, fmt.Errorf("%s: the next content is another file's", f.Path)
		}
		f.Data, data = b[8:], data[1:]
	}
	if uint64(len(f.Data)) != f.Size {
		return nil, fmt.Errorf("%s: %d bytes where the database states %d", f.Path, len(f.Data), f.Size)
	}
	if sum := sha256.Sum256(f.Data); !bytes.Equal(sum[:], f.SHA256) {
		return nil, fmt.Errorf("%s: the content does not have the hash that the database states", f.Path)
	}
	return data, nil
}

// identity checks info's field 3 against the hash of the database without it.
func (p *Package) identity(top *object) error {
	// The blob's own place in the database is needed to leave it out.
	v := top.slot(1).object("info").slot(3)
	if len(p.Info.Hashes) != 20 || v.kind() != 8 {
		return fmt.Errorf("an identity of %d bytes", len(p.Info.Hashes))
	}
	blank := slices.Clone(p.adb())
	clear(blank[v.low()+1:][:20])
	if sum := sha256.Sum256(blank); !bytes.Equal(sum[:20], p.Info.Hashes) {
		return fmt.Errorf("the identity is not the hash of the database")
	}
	return nil
}

// readDir returns the directory first, then its files.
func readDir(v value) (name string, files []File, err error) {
	o := v.object("directory")
	name = o.text(1)
	dir := File{Path: "/" + name, Type: 'd'}
	if path.Clean(dir.Path) != dir.Path {
		return "", nil, fmt.Errorf("directory %q", name)
	}
	if err := dir.acl(o.slot(2)); err != nil {
		return "", nil, err
	}
	files = []File{dir}
	before := ""
	for _, item := range o.list(3) {
		f, err := readFile(item, dir.Path)
		if err != nil {
			return "", nil, err
		}
		if base := path.Base(f.Path); base <= before {
			return "", nil, fmt.Errorf("file %q after %q in %s", base, before, dir.Path)
		} else {
			before = base
		}
		files = append(files, f)
	}
	return name, files, o.err
}

func readFile(v value, dir string) (File, error) {
	o := v.object("file")
	name := o.text(1)
	f := File{Path: path.Join(dir, name), Type: 'f', Size: o.number(3), MTime: o.number(4), SHA256: o.bytes(5)}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return f, fmt.Errorf("file %q", name)
	}
	if target := o.bytes(6); target != nil {
		if len(target) < 3 || binary.LittleEndian.Uint16(target) != 0o120000 {
			return f, fmt.Errorf("%s: neither a file nor a symbolic link", f.Path)
		}
		f.Type, f.Target = 'l', string(target[2:])
	}
	if err := f.acl(o.slot(2)); err != nil {
		return f, fmt.Errorf("%s: %w", f.Path, err)
	}
	return f, o.err
}

func (f *File) acl(v value) error {
	o := v.object("acl")
	mode := o.number(1)
	f.User, f.Group = o.text(2), o.text(3)
	if o.err == nil && (mode > 0o7777 || f.User == "" || f.Group == "") {
		return fmt.Errorf("%s: mode %o of %q and %q", f.Path, mode, f.User, f.Group)
	}
	f.Mode = uint32(mode)
	return o.err
}

// File finds a file by its path.
func (p *Package) File(path string) (File, bool) {
	for _, f := range p.Files {
		if f.Path == path {
			return f, true
		}
	}
	return File{}, false
}

// SHA256 is the hash of the database, which an index states.
func (p *Package) SHA256() [32]byte { return sha256.Sum256(p.adb()) }
