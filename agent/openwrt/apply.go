package openwrt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// packages are the configuration files that lanseal may change.
var packages = [...]string{"network", "dhcp", "firewall"}

// apply brings one file to what lanseal wants of it: want is given the file as
// it would be without lanseal. It says whether the file changed, and what of
// lanseal's somebody had changed.
func (g *Guest) apply(ctx context.Context, r *record, f file, want func(Config) Config) (changed bool, notes []string, err error) {
	for range 3 { // somebody may write at the same moment
		changed, notes, err = g.applyOnce(ctx, r, f, want)
		if !errors.Is(err, errChanged) {
			break
		}
		if f, err = g.read(ctx, f.pkg); err != nil {
			break
		}
	}
	return changed, notes, err
}

func (g *Guest) applyOnce(ctx context.Context, r *record, f file, want func(Config) Config) (changed bool, notes []string, err error) {
	pkg := f.pkg
	if f.bytes == nil {
		return false, nil, nil
	}
	old := r.Files[pkg]
	if old == nil {
		old = &fileRecord{Found: f.bytes}
	}
	without, kept := theirs(f.Config, old.Changes)
	for _, k := range kept {
		notes = append(notes, fmt.Sprintf("/etc/config/%s: somebody else has changed %s, which counts as theirs now", pkg, k))
	}
	wanted := want(without)
	next := &fileRecord{Found: old.Found, Changes: changes(without, wanted)}
	if string(f.bytes) != string(old.Found) && !slices.Contains(old.Left, hash(f.bytes)) {
		next.Found = nil
	}

	var data []byte
	switch {
	case len(next.Changes) == 0 && next.Found != nil:
		data = next.Found
	case batch(working, f.Config, wanted) == "":
		data = f.bytes
	default:
		if data, err = g.edited(ctx, f, wanted); err != nil {
			return false, notes, err
		}
	}
	next.Left = []string{hash(data)}
	if changed = string(data) != string(f.bytes); changed {
		between := &fileRecord{Found: next.Found, Left: append(slices.Clone(old.Left), next.Left...), Changes: slices.Clone(next.Changes)}
		for _, c := range old.Changes {
			if !slices.ContainsFunc(next.Changes, c.same) {
				between.Changes = append(between.Changes, c)
			}
		}
		r.Due = addNew(r.Due, pkg)
		if err := g.writeFileRecord(r, pkg, between); err != nil {
			return false, notes, err
		}
		if err := g.swap(f, data); err != nil {
			return false, notes, err
		}
	}
	if len(next.Changes) > 0 {
		return changed, notes, g.writeFileRecord(r, pkg, next)
	}
	if len(old.Changes) > 0 && next.Found == nil {
		notes = append(notes, fmt.Sprintf("/etc/config/%s has been changed by others meanwhile: lanseal's own options were undone, the rest stays", pkg))
	}
	return changed, notes, g.writeFileRecord(r, pkg, nil)
}

func (g *Guest) writeFileRecord(r *record, pkg string, f *fileRecord) error {
	if f == nil {
		delete(r.Files, pkg)
	} else {
		r.Files[pkg] = f
	}
	if err := g.writeRecord(*r); err != nil {
		return fmt.Errorf("recording the change of /etc/config/%s: %w", pkg, err)
	}
	return nil
}

// asIs wants nothing of a file: it is restored.
func asIs(c Config) Config { return c }

// ownFile writes a file of lanseal's own outside /etc/config, or removes it
// where text is empty; it is recorded first, and that the service is to hear
// of it.
func (g *Guest) ownFile(r *record, path, text, service string) error {
	now, err := os.ReadFile(path)
	switch {
	case err != nil && !os.IsNotExist(err):
		return err
	case text == "" && err != nil:
		return nil
	case err == nil && string(now) == text:
		return nil
	}
	r.Due = addNew(r.Due, service)
	if text != "" {
		r.Made = addNew(r.Made, path)
	}
	if err := g.writeRecord(*r); err != nil {
		return fmt.Errorf("recording %s: %w", path, err)
	}
	if text == "" {
		return g.disk.remove(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return g.disk.replace(path, []byte(text), 0o644)
}
