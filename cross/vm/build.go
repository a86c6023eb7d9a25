package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// kernelSource is Debian's package of the kernel's source: a long-term kernel
// that OpenWrt uses as well.
const kernelSource = "linux-source-6.12"

// build makes a kernel and a userland from Debian's sources with its cross
// compiler, for a processor that Debian has no packages for. It takes a core
// some minutes, politely.
func (a arch) build(work string, made parts, log *os.File) error {
	for _, f := range []func(string, parts, *os.File) error{a.buildPrograms, a.buildKernel} {
		if err := f(work, made, log); err != nil {
			return err
		}
	}
	return nil
}

func (a arch) buildKernel(work string, made parts, log *os.File) error {
	ctx := context.Background()
	p, err := aptFor(ctx, filepath.Join(work, "apt"), "amd64", "deb", log)
	if err != nil {
		return err
	}
	if _, err := p.run(ctx, "apt-get", "download", kernelSource); err != nil {
		return err
	}
	deb, err := onlyMatch(filepath.Join(p.dir, "down", "*.deb"))
	if err != nil {
		return err
	}
	// By way of a file: the archive within the package is packed by itself.
	if _, err := runIn(ctx, work, log, "dpkg-deb", "-x", deb, "source"); err != nil {
		return err
	}
	packed, err := onlyMatch(filepath.Join(work, "source/usr/src/*.tar.xz"))
	if err != nil {
		return err
	}
	if _, err := runIn(ctx, work, log, "tar", "-xJf", packed); err != nil {
		return err
	}
	tree := filepath.Join(work, kernelSource)
	fragment, err := writeFragment(work, "mips.config")
	if err != nil {
		return err
	}
	vars := []string{"ARCH=mips", "CROSS_COMPILE=" + a.tuple + "-",
		"KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_USER=lanseal", "KBUILD_BUILD_HOST=lanseal"}
	if err := makeIn(ctx, tree, log, append(vars, "KCONFIG_ALLCONFIG="+fragment, "allnoconfig")...); err != nil {
		return err
	}
	if err := wanted(fragment, filepath.Join(tree, ".config")); err != nil {
		return err
	}
	if err := makeIn(ctx, tree, log, append(vars, "vmlinux")...); err != nil {
		return err
	}
	_, err = runIn(ctx, tree, log, a.tuple+"-strip", "-s", "-o", made.kernel(), "vmlinux")
	return err
}

// buildPrograms builds busybox and iptables, static.
func (a arch) buildPrograms(work string, made parts, log *os.File) error {
	ctx := context.Background()
	p, err := aptFor(ctx, filepath.Join(work, "apt-src"), "amd64", "deb-src", log)
	if err != nil {
		return err
	}
	if _, err := p.run(ctx, "apt-get", "source", "--download-only", "busybox", "iptables"); err != nil {
		return err
	}
	unpack := func(name string) (string, error) {
		packed, err := onlyMatch(filepath.Join(p.dir, "down", name+"_*.orig.tar.*[^c]"))
		if err != nil {
			return "", err
		}
		if _, err := runIn(ctx, work, log, "tar", "-xf", packed); err != nil {
			return "", err
		}
		return onlyMatch(filepath.Join(work, name+"-*"))
	}

	tree, err := unpack("busybox")
	if err != nil {
		return err
	}
	fragment, err := writeFragment(work, "busybox.config")
	if err != nil {
		return err
	}
	// Its old configurator knows no fragments.
	if err := makeIn(ctx, tree, log, "allnoconfig"); err != nil {
		return err
	}
	if err := overrule(filepath.Join(tree, ".config"), fragment); err != nil {
		return err
	}
	if _, err := runIn(ctx, tree, log, "sh", "-c", "yes '' | make oldconfig"); err != nil {
		return err
	}
	if err := wanted(fragment, filepath.Join(tree, ".config")); err != nil {
		return err
	}
	if err := makeIn(ctx, tree, log, "CROSS_COMPILE="+a.tuple+"-", "busybox"); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(tree, "busybox"), filepath.Join(made.root(), "bin/busybox")); err != nil {
		return err
	}

	if tree, err = unpack("iptables"); err != nil {
		return err
	}
	if _, err := runIn(ctx, tree, log, "./configure", "--host="+a.tuple, "--enable-static", "--disable-shared",
		"--disable-nftables", "--disable-connlabel", "--disable-devel"); err != nil {
		return err
	}
	if err := makeIn(ctx, tree, log, "LDFLAGS=-all-static"); err != nil {
		return err
	}
	to := filepath.Join(made.root(), "usr/sbin/xtables-legacy-multi")
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	_, err = runIn(ctx, tree, log, a.tuple+"-strip", "-s", "-o", to, "iptables/xtables-legacy-multi")
	return err
}

func makeIn(ctx context.Context, dir string, log *os.File, args ...string) error {
	_, err := runIn(ctx, dir, log, append([]string{"nice", "-n", "19", "make", fmt.Sprintf("-j%d", runtime.NumCPU())}, args...)...)
	return err
}

// writeFragment puts one of the configurations into a file.
func writeFragment(dir, name string) (string, error) {
	text, err := fragments.ReadFile("kernel/" + name)
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, name)
	return to, os.WriteFile(to, text, 0o644)
}

var setting = regexp.MustCompile(`(?m)^(CONFIG_\w+)=(.*)$`)

// overrule replaces settings of a configuration by a fragment's.
func overrule(config, fragment string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	more, err := os.ReadFile(fragment)
	if err != nil {
		return err
	}
	for _, s := range setting.FindAllStringSubmatch(string(more), -1) {
		line := s[0]
		if s[2] == "n" {
			line = "# " + s[1] + " is not set"
		}
		old := regexp.MustCompile(`(?m)^(# ` + s[1] + ` is not set|` + s[1] + `=.*)\n`)
		text = append(old.ReplaceAll(text, nil), line+"\n"...)
	}
	return os.WriteFile(config, text, 0o644)
}

// wanted says what of a fragment did not come to be, because something that it
// depends on is missing: a kernel without it would fail a test in an obscure way.
func wanted(fragment, config string) error {
	want, err := os.ReadFile(fragment)
	if err != nil {
		return err
	}
	have, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	var missing []string
	for _, s := range setting.FindAllStringSubmatch(string(want), -1) {
		if s[2] != "n" && !strings.Contains("\n"+string(have), "\n"+s[0]+"\n") {
			missing = append(missing, s[0])
		}
	}
	if missing != nil {
		return fmt.Errorf("%s is not in force: %s", filepath.Base(fragment), strings.Join(missing, " "))
	}
	return nil
}
