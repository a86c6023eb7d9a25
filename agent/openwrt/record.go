package openwrt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// record is what lanseal has changed and what was there before. It is written
// before the change, so that a crash at any moment leaves either the file as
// it was found or a record that says how it was.
type record struct {
	Files map[string]*fileRecord `json:"files,omitempty"` // by package
	Made  []string               `json:"made,omitempty"`  // files of lanseal's own, outside /etc/config
	Due   []string               `json:"due,omitempty"`   // services that have not heard of a change yet
}

// fileRecord is the record of one configuration file.
type fileRecord struct {
	// Found is the whole file as it was before lanseal's first change, as long
	// as nobody else has changed it since; nil afterwards.
	Found []byte `json:"found,omitempty"`
	// Left are hashes of the file as lanseal has left it, or was about to: two
	// only between a record and its change.
	Left []string `json:"left"`
	// Changes are lanseal's; between a record and its change those before and
	// those after it.
	Changes []Change `json:"changes"`
}

// Change is one option of lanseal's, or with an empty Option one section.
type Change struct {
	Section string `json:"section"`
	Option  string `json:"option,omitempty"`
	Before  *Value `json:"before,omitempty"` // nil: it was not there
	After   *Value `json:"after,omitempty"`  // nil: lanseal took it away
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (g *Guest) recordPath() string { return filepath.Join(g.persist, "openwrt.json") }

// readRecord reads the record; none is an empty one.
func (g *Guest) readRecord() (record, error) {
	r := record{Files: map[string]*fileRecord{}}
	data, err := os.ReadFile(g.recordPath())
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return record{}, fmt.Errorf("reading what was changed (%s): %w", g.recordPath(), err)
	}
	if r.Files == nil {
		r.Files = map[string]*fileRecord{}
	}
	return r, nil
}

// writeRecord keeps the record; an empty one is no file.
func (g *Guest) writeRecord(r record) error {
	if len(r.Files) == 0 && len(r.Made) == 0 && len(r.Due) == 0 {
		return g.disk.remove(g.recordPath())
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(g.recordPath()); err == nil && string(old) == string(data) {
		return nil
	}
	if err := os.MkdirAll(g.persist, 0o755); err != nil {
		return err
	}
	return g.disk.replace(g.recordPath(), data, 0o600)
}

// theirs is the configuration as it would be without lanseal: its changes
// undone, where they still stand as it made them. What somebody has changed
// since is theirs; kept names it.
func theirs(now Config, changes []Change) (out Config, kept []string) {
	out = now.clone()
	for _, c := range changes {
		if c.Option != "" && out.section(c.Section) == nil {
			continue
		}
		switch value := now.value(c.Section, c.Option); {
		case value.same(c.After):
			out.set(c.Section, c.Option, c.Before)
		case value.same(c.Before): // not made yet, or undone already
		case !slices.ContainsFunc(changes, func(o Change) bool {
			return o.Section == c.Section && o.Option == c.Option && value.same(o.After)
		}):
			kept = append(kept, keyName(c))
		}
	}
	return out, kept
}

func (c Change) same(o Change) bool {
	return c.Section == o.Section && c.Option == o.Option && c.Before.same(o.Before) && c.After.same(o.After)
}

func keyName(c Change) string {
	if c.Option == "" {
		return c.Section
	}
	return c.Section + "." + c.Option
}

// changes are the differences between what is theirs and what lanseal wants.
func changes(theirs, wanted Config) []Change {
	var out []Change
	add := func(section, option string) {
		before, after := theirs.value(section, option), wanted.value(section, option)
		if !before.same(after) {
			out = append(out, Change{section, option, before, after})
		}
	}
	for _, s := range wanted.Sections {
		add(s.ID, "")
		old := theirs.section(s.ID)
		if old == nil {
			continue // goes with its section
		}
		for _, o := range s.Options {
			add(s.ID, o.Name)
		}
		for _, o := range old.Options {
			if s.value(o.Name) == nil {
				add(s.ID, o.Name)
			}
		}
	}
	return out
}
