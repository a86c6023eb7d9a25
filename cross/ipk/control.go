package ipk

import (
	"fmt"
	"regexp"
	"strings"
)

// Control is the package's description of itself. The order of the fields in
// the file is that of the build system.
type Control struct {
	Package, Version             string
	Depends, Conflicts, Provides []string
	Source, SourceName           string
	License, LicenseFiles        string
	Section, URL, Maintainer     string
	Architecture                 string
	Description                  string // lines; the first one is the title
	SourceDateEpoch              int64
	installedSize                int64
}

func (c Control) check() error {
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`).MatchString(c.Package) {
		return fmt.Errorf("%q is no name of a package", c.Package)
	}
	if !regexp.MustCompile(`^[0-9][A-Za-z0-9.+~-]*$`).MatchString(c.Version) {
		return fmt.Errorf("%q is no version of a package", c.Version)
	}
	if !regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`).MatchString(c.Architecture) {
		return fmt.Errorf("%q is no architecture", c.Architecture)
	}
	for _, one := range []string{c.Source, c.SourceName, c.License, c.LicenseFiles, c.Section, c.URL, c.Maintainer} {
		if strings.ContainsAny(one, "\n\r") {
			return fmt.Errorf("%q has more than one line", one)
		}
	}
	for _, d := range append(append(append([]string{}, c.Depends...), c.Conflicts...), c.Provides...) {
		if !regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]*( \((=|<<|<=|>=|>>) [A-Za-z0-9.+~-]+\))?$`).MatchString(d) {
			return fmt.Errorf("%q is no dependency", d)
		}
	}
	return nil
}

// String is the control file.
func (c Control) String() string {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	field("Package", c.Package)
	field("Version", c.Version)
	field("Depends", strings.Join(c.Depends, ", "))
	field("Conflicts", strings.Join(c.Conflicts, ", "))
	field("Provides", strings.Join(c.Provides, ", "))
	field("Source", c.Source)
	field("SourceName", c.SourceName)
	field("License", c.License)
	field("LicenseFiles", c.LicenseFiles)
	field("Section", c.Section)
	field("SourceDateEpoch", fmt.Sprint(c.SourceDateEpoch))
	field("URL", c.URL)
	field("Maintainer", c.Maintainer)
	field("Architecture", c.Architecture)
	field("Installed-Size", fmt.Sprint(c.installedSize))
	// A line without a space at its begin would be the next field; an empty
	// one, the next package.
	lines := []string{}
	for line := range strings.SplitSeq(c.Description, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	field("Description", strings.Join(lines, "\n "))
	return b.String()
}

// FileName is what opkg's feeds call the file.
func (c Control) FileName() string {
	return c.Package + "_" + c.Version + "_" + c.Architecture + ".ipk"
}
