package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/lanseal/lanseal/cross/apk"
	"github.com/lanseal/lanseal/cross/apk/read"
	"github.com/lanseal/lanseal/cross/ipk"
	"github.com/lanseal/lanseal/cross/tree"
)

// release counts packages of one version, for apk, whose versions end in it.
const release = 1

// versions are one version in the two languages: a pre-release sorts before its
// release with "~" for opkg and with "_" for apk.
type versions struct{ ipk, apk string }

func versionsOf(v string) (versions, error) {
	m := regexp.MustCompile(`^([0-9]+(?:\.[0-9]+){1,3})(?:[-_~](alpha|beta|rc)([0-9]+))?$`).FindStringSubmatch(v)
	if m == nil {
		return versions{}, fmt.Errorf("version %q: want X.Y.Z or X.Y.Z-rcN", v)
	}
	out := versions{m[1], m[1]}
	if m[2] != "" {
		out.ipk += "~" + m[2] + m[3]
		out.apk += "_" + m[2] + m[3]
	}
	out.apk += fmt.Sprintf("-r%d", release)
	return out, apk.CheckVersion(out.apk)
}

func (p product) ipkName(v versions, arch string) string {
	if p.noarch {
		arch = "all"
	}
	return p.name + "_" + v.ipk + "_" + arch + ".ipk"
}

// apkName is the name in dist. In a feed it has no architecture: apk derives the
// name that it downloads from name and version alone.
func (p product) apkName(v versions, arch string) string {
	if p.noarch {
		arch = "noarch"
	}
	return p.name + "-" + v.apk + "_" + arch + ".apk"
}

// eachPackage calls do for every package: the agent for every architecture, and
// the LuCI app once, when there is one. The tree is the same for all
// architectures of a target.
func (j job) eachPackage(do func(p product, t tree.Tree, small bool, archs []string) error) error {
	if _, err := os.Stat(filepath.Join(j.root, "openwrt", "files")); err != nil {
		fmt.Fprintln(j.out, "note: there is no openwrt/files, so the packages hold the binary alone")
	}
	for _, t := range j.targets {
		files, err := agentTree(j.root, j.binary(t))
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if err := do(agentProduct(), files, strings.HasPrefix(t.goarch, "mips"), t.archs); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	files, ok, err := luciTree(j.root)
	if err != nil || !ok {
		return err
	}
	return do(luciProduct(), files, false, []string{""})
}

// ipks writes every .ipk into dist.
func (j job) ipks() error {
	v, err := versionsOf(j.version)
	if err != nil {
		return err
	}
	return j.eachPackage(func(p product, t tree.Tree, small bool, archs []string) error {
		data, err := ipk.PackData(t, 0)
		if err != nil {
			return err
		}
		for _, arch := range archs {
			if p.noarch {
				arch = "all"
			}
			file, err := ipk.Build(ipk.Package{
				Control: ipk.Control{
					Package: p.name, Version: v.ipk, Depends: p.depends, Source: p.name, SourceName: p.name, License: p.license,
					LicenseFiles: "LICENSE", Section: p.section, URL: homepage, Maintainer: maintainer, Architecture: arch,
					Description: p.title + "\n" + p.description,
				},
				Data: data, Conffiles: p.conffiles, PostInst: p.postinst, PreRm: p.prerm, PostRm: p.postrm,
			})
			if err != nil {
				return fmt.Errorf("%s: %w", arch, err)
			}
			name := p.ipkName(v, arch)
			if small && (len(file) > mostIPK || data.InstalledSize() > mostInstalled) {
				return fmt.Errorf("%s has %d bytes and %d installed; at most %d and %d fit", name, len(file), data.InstalledSize(), mostIPK, mostInstalled)
			}
			fmt.Fprintf(j.out, "%9d %s\n", len(file), name)
			if err := writeFile(filepath.Join(j.dist, name), file, 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

// apks writes every .apk into dist, signed, and reads each again.
func (j job) apks() error {
	v, err := versionsOf(j.version)
	if err != nil {
		return err
	}
	keys, err := j.keys()
	if err != nil {
		return err
	}
	return j.eachPackage(func(p product, t tree.Tree, _ bool, archs []string) error {
		t, err := withLists(t, p)
		if err != nil {
			return err
		}
		for _, arch := range archs {
			if p.noarch {
				arch = "noarch"
			}
			file, _, err := apk.Build(apk.Package{
				Info: apk.Info{
					Name: p.name, Version: v.apk, Description: p.title, Arch: arch, License: p.license, Origin: p.name,
					Maintainer: maintainer, URL: homepage, Depends: slices.Concat(p.depends, p.apkDepends), Provides: []string{p.name + "-any"},
					Tags: []string{"openwrt:section=" + p.section},
				},
				Tree: t, Scripts: scripts(p),
			}, keys.apk)
			if err != nil {
				return fmt.Errorf("%s: %w", arch, err)
			}
			name := p.apkName(v, arch)
			back, err := read.ReadPackage(file)
			if err == nil {
				err = back.VerifiedBy(&keys.apk.PublicKey)
			}
			if err != nil {
				return fmt.Errorf("reading %s again: %w", name, err)
			}
			fmt.Fprintf(j.out, "%9d %s\n", len(file), name)
			if err := writeFile(filepath.Join(j.dist, name), file, 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}
