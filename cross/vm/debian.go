package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// apt is Debian's package tool with a state of its own, so that the packages of
// another architecture, and sources, can be had without touching the machine's.
type apt struct {
	dir string
	log io.Writer
	opt []string
}

// aptFor makes a private state for one architecture from the machine's sources;
// kind is "deb" or "deb-src".
func aptFor(ctx context.Context, dir, architecture, kind string, log io.Writer) (apt, error) {
	a := apt{dir: dir, log: log}
	for _, d := range []string{"lists/partial", "cache/archives/partial", "sources.list.d", "down"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return a, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "status"), nil, 0o644); err != nil {
		return a, err
	}
	if err := a.copySources(kind); err != nil {
		return a, err
	}
	a.opt = []string{"-o", "APT::Architecture=" + architecture, "-o", "APT::Architectures=" + architecture,
		"-o", "Dir::State=" + dir, "-o", "Dir::State::status=" + dir + "/status", "-o", "Dir::Cache=" + dir + "/cache",
		"-o", "Dir::Etc::sourcelist=" + dir + "/sources.list", "-o", "Dir::Etc::sourceparts=" + dir + "/sources.list.d",
		"-o", "APT::Sandbox::User=root", "-o", "APT::Get::Assume-Yes=true", "-o", "quiet=1", "-o", "APT::Install-Recommends=false", "-o", "Acquire::Languages=none"}
	// One archive that is out of step does not matter, unless it is needed:
	// then the download fails and says so.
	if _, err := a.run(ctx, "apt-get", "update"); err != nil {
		fmt.Fprintln(log, err)
	}
	return a, nil
}

var (
	oneLine = regexp.MustCompile(`(?m)^deb(?:-src)?\s`)
	deb822  = regexp.MustCompile(`(?m)^Types:.*$`)
)

// copySources takes over where the machine gets Debian from, and nobody else's
// archives, which have no other architectures.
func (a apt) copySources(kind string) error {
	names, err := filepath.Glob("/etc/apt/sources.list.d/*")
	if err != nil {
		return err
	}
	for _, name := range append(names, "/etc/apt/sources.list") {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !strings.Contains(string(text), "debian") {
			continue
		}
		to := filepath.Join(a.dir, "sources.list.d", filepath.Base(name))
		if strings.HasSuffix(name, ".sources") {
			text = deb822.ReplaceAll(text, []byte("Types: "+kind))
		} else {
			text = oneLine.ReplaceAll(text, []byte(kind+" "))
			if name == "/etc/apt/sources.list" {
				to = filepath.Join(a.dir, "sources.list")
			}
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (a apt) run(ctx context.Context, argv ...string) (string, error) {
	return runIn(ctx, filepath.Join(a.dir, "down"), a.log, append(append([]string{argv[0]}, a.opt...), argv[1:]...)...)
}

// runIn runs a program in a folder, for forty minutes at most unless the context
// says less.
func runIn(ctx context.Context, dir string, log io.Writer, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var out, both bytes.Buffer
	cmd.Stdout = io.MultiWriter(&out, &both, log)
	cmd.Stderr = io.MultiWriter(&both, log)
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, lastLines(both.String(), 15))
	}
	return out.String(), nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

var imageName = regexp.MustCompile(`linux-image-[0-9][^ ,]*`)

// fromDebian unpacks a kernel and the userland from Debian's packages.
func (a arch) fromDebian(work string, made parts, log *os.File) error {
	ctx := context.Background()
	p, err := aptFor(ctx, filepath.Join(work, "apt"), a.debian, "deb", log)
	if err != nil {
		return err
	}
	about, err := p.run(ctx, "apt-cache", "show", "--no-all-versions", a.image)
	if err != nil {
		return err
	}
	image := imageName.FindString(strings.Join(regexp.MustCompile(`(?m)^Depends:.*$`).FindAllString(about, 1), ""))
	if image == "" {
		return fmt.Errorf("%s names no kernel", a.image)
	}
	// The kernel alone, without what would install it; programs with all that
	// they need.
	if _, err := p.run(ctx, "apt-get", "download", image); err != nil {
		return err
	}
	if _, err := p.run(ctx, "apt-get", "install", "--download-only", "nftables", "busybox-static"); err != nil {
		return err
	}
	kernel := filepath.Join(work, "linux")
	images, _ := filepath.Glob(filepath.Join(p.dir, "down", "linux-image-*.deb"))
	programs, _ := filepath.Glob(filepath.Join(p.dir, "cache/archives", "*.deb"))
	if len(images) != 1 || len(programs) == 0 {
		return fmt.Errorf("apt got %d kernels and %d packages", len(images), len(programs))
	}
	if _, err := runIn(ctx, work, log, "dpkg-deb", "-x", images[0], kernel); err != nil {
		return err
	}
	all := filepath.Join(work, "all")
	for _, deb := range programs {
		if _, err := runIn(ctx, work, log, "dpkg-deb", "-x", deb, all); err != nil {
			return err
		}
	}
	if err := a.takePrograms(all, made.root()); err != nil {
		return err
	}
	return a.takeKernel(ctx, kernel, made, log)
}

// takeKernel keeps the kernel and those of its modules that a router has.
func (a arch) takeKernel(ctx context.Context, from string, made parts, log io.Writer) error {
	release, err := onlyMatch(filepath.Join(from, "lib/modules/*"))
	if err != nil {
		return err
	}
	image, err := onlyMatch(filepath.Join(from, "boot/vmlinu*"))
	if err != nil {
		return err
	}
	version := filepath.Base(release)
	if _, err := runIn(ctx, from, log, "depmod", "-b", from, version); err != nil {
		return err
	}
	wanted, err := routerModules(release)
	if err != nil {
		return err
	}
	to := filepath.Join(made.modules(), "lib/modules", version)
	for _, m := range append(wanted, "modules.order", "modules.builtin", "modules.builtin.modinfo") {
		if err := copyFile(filepath.Join(release, m), filepath.Join(to, m)); err != nil {
			return err
		}
	}
	if _, err := runIn(ctx, from, log, "depmod", "-b", made.modules(), version); err != nil {
		return err
	}
	return copyFile(image, made.kernel())
}

// routerModules are the paths of the modules that a router may load, with those
// that they need.
func routerModules(release string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(release, "modules.dep"))
	if err != nil {
		return nil, err
	}
	needs := map[string][]string{}
	var todo []string
	for _, line := range strings.Split(string(text), "\n") {
		name, deps, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		needs[name] = strings.Fields(deps)
		if ofRouter.MatchString(name) {
			todo = append(todo, name)
		}
	}
	var out []string
	seen := map[string]bool{}
	for len(todo) > 0 {
		m := todo[0]
		todo = todo[1:]
		if !seen[m] {
			seen[m] = true
			out = append(out, m)
			todo = append(todo, needs[m]...)
		}
	}
	return out, nil
}

// ofRouter matches the modules of a router by path and name.
var ofRouter = regexp.MustCompile(`/netfilter/(nf|nft)_[^/]*\.ko|` +
	`/(virtio_(net|blk|pci|console|mmio)|ata_piix|sd_mod|wireguard|bridge|veth|tun|jffs2|block2mtd|mtdblock|ext4|overlay|ipv6|crc32c_generic)\.ko`)

func onlyMatch(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%d files match %s", len(found), pattern)
	}
	return found[0], nil
}

// takePrograms keeps busybox, nft, the libraries that they load, and the loader
// under the name by which programs ask for it.
func (a arch) takePrograms(from, to string) error {
	for _, p := range []struct{ pattern, to string }{
		{"bin/busybox", "bin/busybox"}, {"usr/sbin/nft", "usr/sbin/nft"},
	} {
		if err := copyFile(filepath.Join(from, p.pattern), filepath.Join(to, p.to)); err != nil {
			return err
		}
	}
	for _, lib := range []string{"nftables", "nftnl", "mnl", "gmp", "jansson", "edit", "bsd", "md", "tinfo", "xtables", "c", "m", "gcc_s"} {
		found, err := onlyLibrary(from, "lib"+lib+".so.*")
		if err != nil {
			return err
		}
		if err := copyFile(found, filepath.Join(to, "lib", filepath.Base(found))); err != nil {
			return err
		}
	}
	loaders, err := filepath.Glob(filepath.Join(from, "lib*/ld*.so.*"))
	if err != nil || len(loaders) == 0 {
		return errors.New("no loader in libc6")
	}
	for _, l := range loaders {
		rel, _ := filepath.Rel(from, l)
		if err := copyFile(l, filepath.Join(to, rel)); err != nil {
			return err
		}
	}
	return nil
}

// onlyLibrary finds a library by the name that programs ask for, the shortest.
func onlyLibrary(from, name string) (string, error) {
	var best string
	for _, dir := range []string{"lib/*", "usr/lib/*"} {
		found, err := filepath.Glob(filepath.Join(from, dir, name))
		if err != nil {
			return "", err
		}
		for _, f := range found {
			if best == "" || len(filepath.Base(f)) < len(filepath.Base(best)) {
				best = f
			}
		}
	}
	if best == "" {
		return "", fmt.Errorf("no %s in the packages", name)
	}
	return best, nil
}

// copyFile copies what a name stands for, with its mode.
func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	st, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, st.Mode().Perm())
}
