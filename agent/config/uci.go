package config

import (
	"slices"
	"strconv"
	"strings"
)

// File is a UCI file: its bytes, and what they say. The bytes are the truth;
// every edit splices them and reads them again, so what an edit does not
// concern cannot change.
type File struct {
	path     string
	raw      []byte
	pkg      string // of the "package" line, if there is one
	pkgLine  int
	sections []*Section
	problems []Problem
	open     bool // a backslash takes the file's last newline, or would take one that is added
}

// Section is one "config" line with what follows it, up to the next.
type Section struct {
	Type    string
	Name    string // empty: anonymous
	Line    int
	Options []Option // as libuci merges them, in the order of first appearance

	header statement
	stmts  []statement // "option" and "list" lines
	broken bool        // the "config" line could not be read; reported
}

// Option is the effective value of an option or list.
type Option struct {
	Name   string
	List   bool
	Values []string // none: set to the empty string, which UCI holds equal to not set
	Lines  []int    // of each value
	Line   int      // where the option is first given
}

// statement is one command of the file. It owns whole physical lines: more than
// one where a quoted value or a backslash continues.
type statement struct {
	kind       byte // 'c' config, 'o' option, 'l' list, 'p' package
	line       int
	start, end int // byte offsets of the lines, newline included
	words      []word
}

// word is one argument, unquoted, and where its quoted form is.
type word struct {
	text       string
	start, end int
}

func (s statement) name() string {
	if len(s.words) > 0 {
		return s.words[0].text
	}
	return ""
}

func (s statement) value() string {
	if len(s.words) > 1 {
		return s.words[1].text
	}
	return ""
}

// Path is the name under which the file was parsed.
func (f *File) Path() string { return f.path }

// Bytes is the file's text: what was parsed, if nothing was edited. The caller
// must not change it.
func (f *File) Bytes() []byte { return f.raw }

// Sections are the file's sections in order. Two of one name are two here,
// although libuci makes one of them.
func (f *File) Sections() []*Section { return f.sections }

// Section finds a section by name, or by "@type[i]" as uci writes anonymous
// ones (negative i counts from the end). It is nil if there is none.
func (f *File) Section(ref string) *Section {
	if ss := f.named(ref); len(ss) > 0 {
		return ss[0]
	}
	return nil
}

// named returns every section that libuci would merge under the reference.
func (f *File) named(ref string) []*Section {
	if ref == "" {
		return nil
	}
	var found []*Section
	typ, index, ok := anonymousRef(ref)
	for _, s := range f.sections {
		if ok && s.Type == typ || !ok && s.Name == ref {
			found = append(found, s)
		}
	}
	if !ok {
		return found
	}
	if index < 0 {
		index += len(found)
	}
	if index < 0 || index >= len(found) {
		return nil
	}
	return found[index : index+1]
}

func anonymousRef(ref string) (typ string, index int, ok bool) {
	if !strings.HasPrefix(ref, "@") || !strings.HasSuffix(ref, "]") {
		return "", 0, false
	}
	typ, num, found := strings.Cut(ref[1:len(ref)-1], "[")
	index, err := strconv.Atoi(num)
	return typ, index, found && err == nil
}

// Get is the value of an option, or "" if it is not set; the last value of a
// list.
func (f *File) Get(section, option string) string {
	values := f.GetList(section, option)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// GetList is the values of a list, or the one value of an option.
func (f *File) GetList(section, option string) []string {
	var stmts []statement
	for _, s := range f.named(section) {
		stmts = append(stmts, s.stmts...)
	}
	for _, o := range effective(stmts) {
		if o.Name == option {
			return slices.Clone(o.Values)
		}
	}
	return nil
}

// Option finds an option of the section, or nil.
func (s *Section) Option(name string) *Option {
	for i := range s.Options {
		if s.Options[i].Name == name {
			return &s.Options[i]
		}
	}
	return nil
}

// title is how messages call the section.
func (s *Section) title() string {
	if s.Name == "" {
		return s.Type + " (without a name)"
	}
	return s.Type + " '" + s.Name + "'"
}

// effective merges statements as libuci does: an option overrides what came
// before it, a list adds to it, an option with an empty value unsets it.
func effective(stmts []statement) []Option {
	var options []Option
	at := map[string]int{}
	for _, s := range stmts {
		i, ok := at[s.name()]
		if !ok {
			i = len(options)
			at[s.name()] = i
			options = append(options, Option{Name: s.name(), Line: s.line})
		}
		o := &options[i]
		switch {
		case s.kind == 'l':
			o.List = true
			o.Values = append(o.Values, s.value())
			o.Lines = append(o.Lines, s.line)
		case s.value() == "":
			o.List, o.Values, o.Lines, o.Line = false, nil, nil, s.line
		default:
			o.List, o.Values, o.Lines, o.Line = false, []string{s.value()}, []int{s.line}, s.line
		}
	}
	return options
}
