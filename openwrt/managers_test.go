package openwrt

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lanseal/lanseal/cross/apk/read"
)

// manager installs, upgrades and removes lanseal by the rules of a package
// manager: what it runs when, and what it does with files that somebody has
// changed.
type manager interface {
	install() // or upgrades, if it is there
	remove()
}

const (
	opkgInfo = "/usr/lib/opkg/info/lanseal."
	apkLists = "/lib/apk/packages/lanseal."
)

// opkg is that of OpenWrt 21.02 to 24.10. It unpacks with tar.
type opkg struct {
	*router
	file      string
	conffiles map[string][32]byte // as shipped
}

func (o *opkg) script(name, args, upgrade string) {
	o.t.Helper()
	if o.exists(opkgInfo + name) {
		o.run("PKG_UPGRADE=" + upgrade + " PKG_ROOT=/ " + opkgInfo + name + " " + args)
	}
}

func (o *opkg) install() {
	o.t.Helper()
	upgrade := "0"
	if o.exists(opkgInfo + "list") {
		upgrade = "1"
		o.script("prerm", "upgrade "+version, upgrade)
		o.script("postrm", "upgrade "+version, upgrade)
	}
	tarball := func(member, into string, args ...string) {
		o.t.Helper()
		o.must(os.MkdirAll(into, 0o755))
		cmd := exec.Command("sh", "-c", `tar -xzOf "$1" "./$2" | tar -xzf - -C "$3"`, "sh", o.file, member, into)
		out, err := cmd.CombinedOutput()
		if err != nil {
			o.t.Fatalf("unpacking %s: %v\n%s", member, err, out)
		}
	}
	control := o.t.TempDir()
	tarball("control.tar.gz", control)
	list, _ := os.ReadFile(filepath.Join(control, "conffiles"))
	kept := map[string]string{}
	shipped := o.conffiles
	o.conffiles = map[string][32]byte{}
	for _, name := range strings.Fields(string(list)) {
		if have := o.read(name); o.exists(name) && sha256.Sum256([]byte(have)) != shipped[name] {
			kept[name] = have
		}
	}
	// The old package's files are gone for a moment.
	for _, name := range strings.Fields(o.read(opkgInfo + "list")) {
		if !slices.Contains(strings.Fields(string(list)), name) {
			o.must(os.Remove(filepath.Join(o.root, name)))
		}
	}
	tarball("data.tar.gz", o.root)
	for _, name := range strings.Fields(string(list)) {
		o.conffiles[name] = sha256.Sum256([]byte(o.read(name)))
		if old, ok := kept[name]; ok && old != o.read(name) {
			o.must(os.Rename(filepath.Join(o.root, name), filepath.Join(o.root, name+"-opkg")))
			o.write(name, old, 0o644)
		}
	}
	scripts, err := os.ReadDir(control)
	o.must(err)
	for _, s := range scripts {
		o.copy(filepath.Join(control, s.Name()), opkgInfo+s.Name())
	}
	o.write(opkgInfo+"list", strings.Join(o.packed(), "\n")+"\n", 0o644)
	o.script("postinst", "configure", upgrade)
}

// packed are the files and links of the package.
func (o *opkg) packed() []string {
	o.t.Helper()
	ipk, err := os.ReadFile(o.file)
	o.must(err)
	var out []string
	for name, m := range members(o.t, []byte(members(o.t, ipk)["./data.tar.gz"].data)) {
		if m.kind != tar.TypeDir {
			out = append(out, strings.TrimPrefix(name, "."))
		}
	}
	slices.Sort(out)
	return out
}

func (o *opkg) remove() {
	o.t.Helper()
	o.script("prerm", "remove", "0")
	for _, name := range strings.Fields(o.read(opkgInfo + "list")) {
		if sum, ok := o.conffiles[name]; ok && sum != sha256.Sum256([]byte(o.read(name))) {
			continue // "Not deleting modified conffile"
		}
		o.must(os.Remove(filepath.Join(o.root, name)))
	}
	o.must(os.Remove(filepath.Join(o.root, opkgInfo+"list")))
	o.script("postrm", "remove", "0")
	left, _ := filepath.Glob(filepath.Join(o.root, opkgInfo+"*"))
	for _, file := range left {
		o.must(os.Remove(file))
	}
	o.conffiles = nil
}

// apkManager is that of OpenWrt 25.12. It never overwrites or deletes what
// somebody has changed below /etc, and stops nothing before an upgrade.
type apkManager struct {
	*router
	file      string
	installed *read.Package
}

func (a *apkManager) script(name, args string) {
	a.t.Helper()
	if text := a.installed.Scripts[name]; text != "" {
		a.write("/tmp/script", text, 0o755)
		a.run("/tmp/script " + args)
	}
}

// changed says whether a file is not as the package has it.
func (a *apkManager) changed(p *read.Package, name string) bool {
	if p == nil {
		return true
	}
	f, ok := p.File(name)
	return !ok || f.Type == 'f' && string(f.Data) != a.read(name)
}

func (a *apkManager) install() {
	a.t.Helper()
	data, err := os.ReadFile(a.file)
	a.must(err)
	p, err := read.ReadPackage(data)
	a.must(err)
	for _, f := range p.Files {
		name := filepath.Join(a.root, f.Path)
		switch {
		case f.Type == 'd':
			if !a.exists(f.Path) {
				a.must(os.Mkdir(name, fs.FileMode(f.Mode)))
				a.must(os.Chmod(name, fs.FileMode(f.Mode)))
			}
		case f.Type == 'l':
			_ = os.Remove(name)
			a.must(os.Symlink(f.Target, name))
		case strings.HasPrefix(f.Path, "/etc/") && a.exists(f.Path) && a.changed(a.installed, f.Path) && a.changed(p, f.Path):
			a.write(f.Path+".apk-new", string(f.Data), fs.FileMode(f.Mode))
		default:
			a.write(f.Path, string(f.Data), fs.FileMode(f.Mode))
		}
	}
	upgrade := a.installed != nil
	a.installed = p
	if upgrade {
		a.script("post-upgrade", version+"-r1 "+version+"-r1")
	} else {
		a.script("post-install", version+"-r1")
	}
}

func (a *apkManager) remove() {
	a.t.Helper()
	a.script("pre-deinstall", version+"-r1")
	var dirs []string
	for _, f := range a.installed.Files {
		if f.Type == 'd' {
			dirs = append(dirs, f.Path)
		} else if !strings.HasPrefix(f.Path, "/etc/") || !a.changed(a.installed, f.Path) {
			a.must(os.Remove(filepath.Join(a.root, f.Path)))
		}
	}
	slices.Sort(dirs)
	for _, dir := range slices.Backward(dirs) {
		if !ownedByOthers(dir) {
			_ = os.Remove(filepath.Join(a.root, dir)) // stays if it is not empty
		}
	}
	a.script("post-deinstall", version+"-r1")
	a.installed = nil
}

func ownedByOthers(dir string) bool {
	return slices.Contains([]string{"/etc", "/etc/config", "/etc/init.d", "/etc/hotplug.d", "/etc/hotplug.d/ntp", "/usr", "/lib", "/usr/sbin", "/usr/libexec", "/usr/libexec/rpcd"}, dir)
}

// installed installs with opkg, for tests that need the package there.
func (r *router) installed() {
	r.t.Helper()
	(&opkg{router: r, file: packed(r.t).ipk}).install()
}

// tree is everything below a folder: what it is, its mode, what is in it.
func (r *router) tree(below string) map[string]string {
	r.t.Helper()
	out := map[string]string{}
	top := filepath.Join(r.root, below)
	r.must(filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch d.Type() {
		case 0:
			data, err := os.ReadFile(name)
			text += " " + string(data)
			if err != nil {
				return err
			}
		case fs.ModeSymlink:
			target, err := os.Readlink(name)
			text += " " + target
			if err != nil {
				return err
			}
		}
		out[path.Join(below, strings.TrimPrefix(name, top))] = text
		return nil
	}))
	return out
}

// difference names what is in one tree and not, or not so, in the other.
func difference(before, after map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if now, ok := after[name]; !ok {
			out = append(out, "gone: "+name)
		} else if now != before[name] {
			out = append(out, fmt.Sprintf("changed: %s\n%s\nwas\n%s", name, now, before[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[name]; !ok {
			out = append(out, "new: "+name)
		}
	}
	return out
}
