package read

import (
	"errors"
	"fmt"
	"strings"
)

// Info is what is known of a package without its files.
type Info struct {
	Name, Version, Description, Arch, License, Origin, Maintainer, URL string

	Hashes        []byte // in a package its identity, in an index the SHA-256 of its database
	InstalledSize uint64
	FileSize      uint64 // in an index
	Depends       []string
	Provides      []string
	Tags          []string
}

func readInfo(v value) (Info, error) {
	o := v.object("info")
	i := Info{
		Name: o.text(1), Version: o.text(2), Hashes: o.bytes(3), Description: o.text(4), Arch: o.text(5),
		License: o.text(6), Origin: o.text(7), Maintainer: o.text(8), URL: o.text(9),
		InstalledSize: o.numberOr(12, 0), FileSize: o.numberOr(13, 0),
	}
	var err error
	if i.Depends, err = constraints(o.list(15)); err != nil {
		return i, fmt.Errorf("depends: %w", err)
	}
	if i.Provides, err = constraints(o.list(16)); err != nil {
		return i, fmt.Errorf("provides: %w", err)
	}
	for _, t := range o.list(21) {
		b, err := t.bytes()
		o.fail(21, err)
		i.Tags = append(i.Tags, string(b))
	}
	if o.err == nil && (i.Name == "" || i.Version == "") {
		o.err = errors.New("a package without a name or a version")
	}
	return i, o.err
}

// constraints are printed as apk prints them, and must be sorted by name, for
// apk searches them by halves.
func constraints(items []value) (out []string, err error) {
	before := ""
	for _, item := range items {
		o := item.object("dependency")
		name, version := o.text(1), o.text(2)
		match := o.numberOr(3, 1)
		if o.err != nil {
			return nil, o.err
		}
		if name == "" || name < before {
			return nil, fmt.Errorf("%q after %q", name, before)
		}
		before = name
		var text strings.Builder
		if match&16 != 0 {
			text.WriteString("!")
		}
		text.WriteString(name)
		if version != "" {
			ops := map[uint64]string{1: "=", 2: "<", 3: "<=", 4: ">", 5: ">=", 6: "><", 9: "~", 8: "~", 11: "<~", 13: ">~"}
			op, ok := ops[match&15]
			if !ok {
				return nil, fmt.Errorf("%q: comparison %d", name, match)
			}
			text.WriteString(op + version)
		}
		out = append(out, text.String())
	}
	return out, nil
}
