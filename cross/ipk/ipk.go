package ipk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lanseal/lanseal/cross/tree"
)

// Package is what goes into one file.
type Package struct {
	Control Control
	Data    Data

	// Conffiles are files, and directories that end in "/", whose contents are
	// the user's: an upgrade does not overwrite them.
	Conffiles []string

	// PostInst and PreRm are the package's own part; they run inside the
	// wrappers. PreInst and PostRm run as they are.
	PostInst, PreRm, PreInst, PostRm string
}

// Data is the packed content, the same for every architecture that one binary
// serves.
type Data struct {
	tree  tree.Tree
	mtime time.Time
	gz    []byte
	size  int64 // unpacked, as Installed-Size counts it
}

// PackData packs a tree. mtime is the time of every file, in seconds since 1970.
func PackData(t tree.Tree, mtime int64) (Data, error) {
	if len(t.Entries()) == 0 {
		return Data{}, errors.New("a package without files")
	}
	d := Data{tree: t, mtime: time.Unix(mtime, 0)}
	members := []member{{name: "./", mode: 0o755, kind: tar.TypeDir}}
	for _, e := range t.Entries() {
		m := member{name: "." + e.Path, mode: int64(e.Mode), kind: tar.TypeReg, data: e.Data}
		switch e.Kind {
		case tree.Dir:
			m.kind, m.name = tar.TypeDir, m.name+"/"
		case tree.Link:
			m.kind, m.target = tar.TypeSymlink, e.Target
		}
		members = append(members, m)
	}
	raw, err := pack(members, d.mtime)
	if err != nil {
		return Data{}, err
	}
	d.size = int64(len(raw))
	d.gz, err = compress(raw)
	return d, err
}

// InstalledSize is what the unpacked files take, before a flash's own
// compression.
func (d Data) InstalledSize() int64 { return d.size }

// Build makes the file.
func Build(p Package) ([]byte, error) {
	c := p.Control
	c.installedSize = p.Data.size
	if err := c.check(); err != nil {
		return nil, err
	}
	control := []member{
		{name: "./", mode: 0o755, kind: tar.TypeDir},
		regular("./control", 0o644, c.String()),
		regular("./postinst", 0o755, wrapPostinst),
		regular("./prerm", 0o755, wrapPrerm),
	}
	if list := p.conffiles(); len(list) > 0 {
		control = append(control, regular("./conffiles", 0o644, strings.Join(list, "\n")+"\n"))
	}
	for name, script := range map[string]string{"postinst-pkg": p.PostInst, "prerm-pkg": p.PreRm, "preinst": p.PreInst, "postrm": p.PostRm} {
		if script == "" {
			continue
		}
		if !strings.HasPrefix(script, "#!/bin/sh\n") {
			return nil, fmt.Errorf("%s does not begin with #!/bin/sh", name)
		}
		control = append(control, regular("./"+name, 0o755, script))
	}
	slices.SortFunc(control, func(a, b member) int { return strings.Compare(a.name, b.name) })
	controlGz, err := packed(control, p.Data.mtime)
	if err != nil {
		return nil, err
	}
	return packed([]member{
		regular("./debian-binary", 0o644, "2.0\n"),
		regular("./data.tar.gz", 0o644, string(p.Data.gz)),
		regular("./control.tar.gz", 0o644, string(controlGz)),
	}, p.Data.mtime)
}

// conffiles are the regular files that the list covers, sorted; opkg compares
// checksums and so can do nothing with a directory.
func (p Package) conffiles() []string {
	var out []string
	for _, path := range p.Data.tree.Paths() {
		e, _ := p.Data.tree.Find(path)
		covered := slices.ContainsFunc(p.Conffiles, func(c string) bool {
			return c == path || strings.HasSuffix(c, "/") && strings.HasPrefix(path, c)
		})
		if e.Kind == tree.File && covered {
			out = append(out, path)
		}
	}
	return out
}

// member is one entry of a tar, owned by root.
type member struct {
	name, target string
	mode         int64
	kind         byte
	data         []byte
}

func regular(name string, mode int64, data string) member {
	return member{name: name, mode: mode, kind: tar.TypeReg, data: []byte(data)}
}

func pack(members []member, mtime time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		err := w.WriteHeader(&tar.Header{
			Format: tar.FormatGNU, Typeflag: m.kind, Name: m.name, Linkname: m.target,
			Mode: m.mode, Size: int64(len(m.data)), ModTime: mtime,
		})
		if err != nil {
			return nil, fmt.Errorf("packing %s: %w", m.name, err)
		}
		if _, err := w.Write(m.data); err != nil {
			return nil, fmt.Errorf("packing %s: %w", m.name, err)
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// compress leaves name and time out of the gzip header, as gzip -n does.
func compress(raw []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(raw); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

func packed(members []member, mtime time.Time) ([]byte, error) {
	raw, err := pack(members, mtime)
	if err != nil {
		return nil, err
	}
	return compress(raw)
}
