package apk

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Index makes packages.adb. A router finds a package beside it under the name
// NAME-VERSION.apk, without the architecture.
func Index(entries []Entry, description string, key *ecdsa.PrivateKey) ([]byte, error) {
	if len(entries) == 0 {
		return nil, errors.New("an index of nothing")
	}
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Info.Name, b.Info.Name) })
	d := newDatabase()
	var packages []value
	for i, e := range entries {
		if i > 0 && entries[i-1].Info.Name == e.Info.Name {
			// Two versions would have to be sorted by apk's rules for versions.
			return nil, fmt.Errorf("%s is listed twice", e.Info.Name)
		}
		if err := e.Info.check(); err != nil {
			return nil, err
		}
		slots := d.infoHead(e.Info)
		// mkndx copies the package's info, identity included, before it puts
		// the hash in its place. The copy stays, unused; so it does here.
		d.blob(e.Identity[:])
		if err := d.infoBody(e.Info, slots); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Info.Name, err)
		}
		slots[infoInstalledSize] = d.number(e.InstalledSize)
		slots[infoFileSize] = d.number(e.FileSize)
		slots[infoHashes] = d.blob(e.SHA256[:])
		packages = append(packages, d.object(slots))
	}
	root := []value{null, d.text(description), null, null}
	root[2] = d.list(packages)
	adb, err := d.finish(d.object(root))
	if err != nil {
		return nil, err
	}
	return container(schemaIndex, adb, key, nil)
}

// FileName is what a package is called beside its index.
func (i Info) FileName() string { return i.Name + "-" + i.Version + ".apk" }
