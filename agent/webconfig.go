package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/webui"
)

// webConfig reads and changes the UCI file for the web UI.
type webConfig struct{ *web }

// Read returns the sections as UCI has them.
func (w webConfig) Read() ([]webui.Section, string, error) {
	cfg, err := config.Load(w.a.g.config, config.Options{})
	if cfg.File == nil {
		if _, statErr := os.Stat(w.a.g.config); errors.Is(statErr, os.ErrNotExist) {
			return nil, config.Revision(nil), nil // the first import makes it
		}
		return nil, "", err
	}
	var out []webui.Section
	for _, s := range cfg.File.Sections() {
		sec := webui.Section{Type: s.Type, Name: s.Name, Options: map[string][]string{}}
		for _, o := range s.Options {
			sec.Options[o.Name] = o.Values
		}
		out = append(out, sec)
	}
	return out, config.Revision(cfg.File.Bytes()), nil
}

// Change makes all edits or none, and brings the configuration in force.
func (w webConfig) Change(ctx context.Context, revision string, edits []webui.Edit) (string, error) {
	next, err := config.Change(w.a.g.config, revision, func(f *config.File) error {
		for _, e := range edits {
			if err := applyEdit(f, e); err != nil {
				return err
			}
		}
		return nil
	}, needsLAN)
	switch {
	case errors.Is(err, config.ErrStale):
		return "", webui.ErrStale
	case len(allProblems(err)) > 0:
		return "", invalid(allProblems(err), edits)
	case err != nil:
		return "", err
	}
	w.tell("user", "", "by the web UI: "+inWords(edits))
	return next, w.Reload(ctx)
}

// allProblems gathers those of errors that were joined.
func allProblems(err error) []config.Problem {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []config.Problem
		for _, e := range many.Unwrap() {
			out = append(out, config.Problems(e)...)
		}
		return out
	}
	return config.Problems(err)
}

// tell notes what a user did, on the loop.
func (w *web) tell(kind, exit, text string) {
	w.a.onLoop(w.ctx, func() { w.a.note(kind, exit, text) })
}

func applyEdit(f *config.File, e webui.Edit) error {
	if e.Delete {
		return f.DeleteSection(e.Name)
	}
	if e.Add {
		if f.Section(e.Name) != nil {
			return config.ErrStale // somebody else made it in the meantime
		}
		if err := f.AddSection(e.Type, e.Name); err != nil {
			return err
		}
	}
	names := make([]string, 0, len(e.Set))
	for name := range e.Set {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		vs := e.Set[name]
		var err error
		switch {
		case len(vs) == 0:
			if err = f.Delete(e.Name, name); errors.Is(err, config.ErrNoSection) {
				return config.ErrStale
			}
		case slices.Contains(e.Lists, name):
			err = f.SetList(e.Name, name, vs)
		default:
			err = f.Set(e.Name, name, vs[0])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// invalid names the option as the field, and the section too where it is not
// one of those that were to be changed.
func invalid(problems []config.Problem, edits []webui.Edit) webui.Invalid {
	var out webui.Invalid
	for _, p := range problems {
		_, name, _ := strings.Cut(p.Section, "'")
		name = strings.TrimSuffix(name, "'")
		field, text := p.Option, p.Message
		if !slices.ContainsFunc(edits, func(e webui.Edit) bool { return e.Name == name }) {
			field, text = name+"."+p.Option, p.Section+": "+p.Message
		}
		out = append(out, webui.Problem{Error: text, Field: strings.Trim(field, ".")})
	}
	return out
}

func inWords(edits []webui.Edit) string {
	var said []string
	for _, e := range edits {
		names := []string{}
		for name := range e.Set {
			names = append(names, name)
		}
		slices.Sort(names)
		switch {
		case e.Delete:
			said = append(said, fmt.Sprintf("%s '%s' removed", e.Type, e.Name))
		case e.Add:
			said = append(said, fmt.Sprintf("%s '%s' added", e.Type, e.Name))
		default:
			said = append(said, fmt.Sprintf("%s '%s': %s", e.Type, e.Name, strings.Join(names, ", ")))
		}
	}
	return strings.Join(said, "; ")
}

// webTunnels keeps the providers' files.
type webTunnels struct{ *web }

func (w webTunnels) dir() string { return filepath.Join(w.a.g.persist, "tunnels") }

// Import adds a tunnel.
func (w webTunnels) Import(ctx context.Context, name, label string, content []byte) (webui.Imported, error) {
	made, err := config.Import(w.a.g.config, w.dir(), name, content)
	if err != nil {
		return webui.Imported{}, fileProblems(err)
	}
	if label != "" && label != made.Label {
		if _, err := config.Change(w.a.g.config, "", func(f *config.File) error { return f.Set(made.Name, "label", label) }, noMore); err == nil {
			made.Label = label
		}
	}
	w.tell("user", made.Name, "by the web UI: tunnel '"+made.Name+"' added")
	return webui.Imported{Name: made.Name, Label: made.Label, Type: made.Type, Warnings: append([]string{}, made.Warnings...)}, w.Reload(ctx)
}

func noMore(*config.Config) error { return nil }

// fileProblems are about the provider's file, or about the name.
func fileProblems(err error) error {
	var out webui.Invalid
	for _, p := range config.Problems(err) {
		where := strings.TrimSpace(p.Section + " " + p.Option)
		if p.Line > 0 {
			where = fmt.Sprintf("line %d: %s", p.Line, where)
		}
		out = append(out, webui.Problem{Error: strings.TrimSpace(where + ": " + p.Message), Field: "content"})
	}
	if out == nil {
		field := "content"
		if strings.Contains(err.Error(), "the name '") {
			field = "name"
		}
		out = webui.Invalid{{Error: err.Error(), Field: field}}
	}
	return out
}

// Replace gives a tunnel another file of its provider's.
func (w webTunnels) Replace(ctx context.Context, name string, content []byte) ([]string, error) {
	cfg, _ := config.Load(w.a.g.config, config.Options{})
	t := cfg.Tunnel(name)
	if t == nil || t.File == "" {
		return nil, webui.ErrNoExit
	}
	warnings, err := config.ReplaceTunnel(t.File, content)
	if err != nil {
		return nil, fileProblems(err)
	}
	w.tell("user", name, "by the web UI: the file of tunnel '"+name+"' replaced")
	return warnings, w.Reload(ctx)
}

// Remove forgets a file in the folder of the tunnels, if nothing names it.
func (w webTunnels) Remove(path string) error {
	if path == "" || filepath.Dir(path) != w.dir() {
		return nil // not lanseal's to remove
	}
	cfg, _ := config.Load(w.a.g.config, config.Options{})
	if slices.ContainsFunc(cfg.Tunnels, func(t config.Tunnel) bool { return t.File == path }) {
		return nil
	}
	return os.Remove(path)
}
