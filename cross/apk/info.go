package apk

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Info is what the package manager knows of a package without its files.
type Info struct {
	Name, Version, Description, Arch, License, Origin, Maintainer, URL string

	// Depends and Provides are "name", or "name", one of = < <= > >= ~ and a
	// version; "!name" is a conflict.
	Depends, Provides []string
	Tags              []string
}

// The slots of an info object.
const (
	infoName = iota + 1
	infoVersion
	infoHashes
	infoDescription
	infoArch
	infoLicense
	infoOrigin
	infoMaintainer
	infoURL
	_ // commit
	_ // build time
	infoInstalledSize
	infoFileSize
	_ // provider priority
	infoDepends
	infoProvides
	_ // replaces
	_ // install-if
	_ // recommends
	_ // layer
	infoTags
	infoSlots
)

const versionPattern = `[0-9]+(\.[0-9]+)*[a-z]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*(~[0-9a-f]+)?(-r[0-9]+)?`

// parsers are the patterns of what apk accepts; made once for each use, there
// are no globals.
type parsers struct{ name, version, dependency, tag *regexp.Regexp }

func newParsers() parsers {
	return parsers{
		name:       regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]*$`),
		version:    regexp.MustCompile(`^` + versionPattern + `$`),
		dependency: regexp.MustCompile(`^(!?)([A-Za-z0-9/][A-Za-z0-9+._:,/-]*)(?:([<>=~]+)(` + versionPattern + `))?$`),
		tag:        regexp.MustCompile(`^[A-Za-z0-9_+,.:/=-]+$`),
	}
}

// CheckVersion says whether apk takes a version: 0.1.0-r1, 0.2.0_rc1-r1.
func CheckVersion(v string) error {
	if !newParsers().version.MatchString(v) {
		return fmt.Errorf("%q is no version for apk: want X.Y.Z-rN or X.Y.Z_rc1-rN", v)
	}
	return nil
}

func (i Info) check() error {
	p := newParsers()
	if !p.name.MatchString(i.Name) {
		return fmt.Errorf("%q is no name of a package", i.Name)
	}
	if err := CheckVersion(i.Version); err != nil {
		return err
	}
	if i.Arch == "" {
		return fmt.Errorf("%s has no architecture", i.Name)
	}
	for _, t := range i.Tags {
		if !p.tag.MatchString(t) {
			return fmt.Errorf("%q is no tag", t)
		}
	}
	return nil
}

// dependency is one constraint on one name.
type dependency struct {
	name, version string
	match         uint64
}

// The bits of a match.
const (
	matchEqual    = 1
	matchLess     = 2
	matchGreater  = 4
	matchFuzzy    = 8
	matchConflict = 16
	matchAny      = matchEqual | matchLess | matchGreater
)

func byName(a, b dependency) int { return strings.Compare(a.name, b.name) }

// dependencies parses. Two different constraints on one name are refused: their
// order would depend on apk's comparison of versions.
func dependencies(texts []string) ([]dependency, error) {
	p := newParsers()
	var out []dependency
	for _, text := range texts {
		m := p.dependency.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("%q is no dependency", text)
		}
		d := dependency{name: m[2], version: m[4]}
		for _, c := range m[3] {
			d.match |= map[rune]uint64{'=': matchEqual, '<': matchLess, '>': matchGreater, '~': matchFuzzy | matchEqual}[c]
		}
		if m[3] == "" {
			d.match = matchAny
		} else if d.match == matchLess|matchGreater || d.match == matchAny {
			return nil, fmt.Errorf("%q: no comparison %q", text, m[3])
		}
		if m[1] != "" {
			d.match |= matchConflict
		}
		switch at := slices.IndexFunc(out, func(have dependency) bool { return have.name == d.name }); {
		case at < 0:
			out = append(out, d)
		case out[at] != d:
			return nil, fmt.Errorf("two constraints on %q", d.name)
		}
	}
	return out, nil
}

// dependencyList stores constraints in the order given, as apk parses them, and
// lists them sorted.
func (d *database) dependencyList(texts []string) (value, error) {
	all, err := dependencies(texts)
	if err != nil {
		return null, err
	}
	stored := map[string]value{}
	for _, dep := range all {
		stored[dep.name] = d.dependency(dep)
	}
	slices.SortFunc(all, byName)
	var items []value
	for _, dep := range all {
		items = append(items, stored[dep.name])
	}
	return d.list(items), nil
}

func (d *database) dependency(dep dependency) value {
	slots := make([]value, 4)
	slots[1] = d.text(dep.name)
	if dep.match != matchAny { // a bare conflict too has no version, but a match
		slots[2] = d.text(dep.version)
		if dep.match != matchEqual {
			slots[3] = d.number(dep.match)
		}
	}
	return d.object(slots)
}

// infoHead stores what comes before the hashes.
func (d *database) infoHead(i Info) []value {
	slots := make([]value, infoSlots)
	slots[infoName] = d.text(i.Name)
	slots[infoVersion] = d.text(i.Version)
	return slots
}

// infoBody stores what comes after the hashes; sizes are the caller's.
func (d *database) infoBody(i Info, slots []value) (err error) {
	slots[infoDescription] = d.text(i.Description)
	slots[infoArch] = d.text(i.Arch)
	slots[infoLicense] = d.text(i.License)
	slots[infoOrigin] = d.text(i.Origin)
	slots[infoMaintainer] = d.text(i.Maintainer)
	slots[infoURL] = d.text(i.URL)
	if slots[infoDepends], err = d.dependencyList(i.Depends); err != nil {
		return fmt.Errorf("depends: %w", err)
	}
	if slots[infoProvides], err = d.dependencyList(i.Provides); err != nil {
		return fmt.Errorf("provides: %w", err)
	}
	var tags []value
	for _, t := range i.Tags {
		tags = append(tags, d.text(t))
	}
	slots[infoTags] = d.list(tags)
	return nil
}
