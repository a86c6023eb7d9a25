package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoSection says that an edit names a section that is not there.
var ErrNoSection = errors.New("no such section")

// Set gives an option one value, in place where it is set already, else behind
// the section's last line. An empty value deletes the option, as uci does. A
// list of that name is replaced.
func (f *File) Set(section, option, value string) error {
	if value == "" {
		return f.Delete(section, option)
	}
	if err := checkEdit(option, value); err != nil {
		return err
	}
	sections := f.named(section)
	if len(sections) == 0 {
		return fmt.Errorf("setting %s.%s: %w", section, option, ErrNoSection)
	}
	found := f.find(sections, option)
	return f.edit("setting", section, option, []string{value}, func() {
		if n := len(found); n > 0 && found[n-1].kind == 'o' {
			// The last "option" line is the one in force.
			f.setValue(found[n-1], value)
			return
		}
		f.replace(sections, found, "option", option, []string{value})
	})
}

// SetList gives a list its values. The lines of values that stay, stay as they
// are. No values delete the list.
func (f *File) SetList(section, option string, values []string) error {
	if len(values) == 0 {
		return f.Delete(section, option)
	}
	if err := checkEdit(option, values...); err != nil {
		return err
	}
	sections := f.named(section)
	if len(sections) == 0 {
		return fmt.Errorf("setting %s.%s: %w", section, option, ErrNoSection)
	}
	found := f.find(sections, option)
	return f.edit("setting", section, option, values, func() {
		if len(found) == 0 {
			f.replace(sections, nil, "list", option, values)
			return
		}
		f.mergeList(found, option, values)
	})
}

// mergeList keeps the lines of the longest row of values that old and new have
// in common, so that comments beside them survive, and adds and removes the
// others around them.
func (f *File) mergeList(old []statement, option string, values []string) {
	type cut struct {
		from, to int
		text     string
	}
	same := func(i, j int) bool { return old[i].kind == 'l' && old[i].value() == values[j] }
	// common[i][j] is the length of the row in old[i:] and values[j:].
	common := make([][]int, len(old)+1)
	for i := range common {
		common[i] = make([]int, len(values)+1)
	}
	for i := range slices.Backward(old) {
		for j := range slices.Backward(values) {
			if same(i, j) {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var cuts []cut
	at, kept := old[0].start, false // where to add, and whether a line of the list stays right before it
	for i, j := 0, 0; i < len(old) || j < len(values); {
		switch {
		case i < len(old) && j < len(values) && same(i, j):
			at, kept = old[i].end, true
			i, j = i+1, j+1
		case j < len(values) && (i == len(old) || common[i][j+1] > common[i+1][j]):
			text := f.render(old[min(i, len(old)-1)], "list", option, values[j:j+1])
			if kept && at == len(f.raw) {
				text, kept = f.ending()+text, false
			}
			cuts = append(cuts, cut{at, at, text})
			j++
		default:
			cuts = append(cuts, cut{old[i].start, old[i].end, ""})
			at, kept = old[i].end, false
			i++
		}
	}
	raw := f.raw
	for _, c := range slices.Backward(cuts) {
		raw = splice(raw, c.from, c.to, c.text)
	}
	f.reparse(raw)
}

// Delete removes every line of an option or list. It is no error if there is
// none.
func (f *File) Delete(section, option string) error {
	sections := f.named(section)
	if len(sections) == 0 {
		return fmt.Errorf("deleting %s.%s: %w", section, option, ErrNoSection)
	}
	return f.edit("deleting", section, option, nil, func() {
		f.replace(sections, f.find(sections, option), "", option, nil)
	})
}

// AddSection appends a section, with an empty line above it. UCI knows one
// section per name, whatever the types.
func (f *File) AddSection(typ, name string) error {
	if !validType(typ) || strings.ContainsAny(typ, `'"\#;`) {
		return fmt.Errorf("adding a section: %q is no section type", typ)
	}
	if name != "" && !validName(name) {
		return fmt.Errorf("adding a section: %q is no section name: only letters, digits and _ are allowed", name)
	}
	if s := f.Section(name); s != nil {
		return fmt.Errorf("adding a section: there is one named '%s' already (line %d)", name, s.Line)
	}
	old, want, nl := *f, append(f.rest("", ""), headline(typ, name)), f.newline()
	var b bytes.Buffer
	b.Write(f.raw)
	b.WriteString(f.ending())
	if n := len(f.raw); n > 0 && !f.blankBefore(n) {
		b.WriteString(nl)
	}
	b.WriteString("config " + typ)
	if name != "" {
		b.WriteString(" " + quote(name))
	}
	b.WriteString(nl)
	f.reparse(b.Bytes())
	if !slices.Equal(f.rest("", ""), want) {
		return f.undo(old, "adding section "+name)
	}
	return nil
}

// DeleteSection removes the section's line and all up to its last option.
// Comments above the section and behind its last option stay; of the empty
// lines around it, the ones that would meet become one group less.
func (f *File) DeleteSection(section string) error {
	sections := f.named(section)
	if len(sections) == 0 {
		return fmt.Errorf("deleting section %s: %w", section, ErrNoSection)
	}
	raw := f.raw
	for _, s := range slices.Backward(sections) {
		start, end := s.header.start, s.header.end
		if n := len(s.stmts); n > 0 {
			end = s.stmts[n-1].end
		}
		if start == 0 || blankBefore(raw, start) {
			end = skipBlank(raw, end)
		}
		raw = splice(raw, start, end, "")
	}
	f.reparse(raw)
	return nil
}

// checkEdit refuses what libuci could not read back.
func checkEdit(option string, values ...string) error {
	if !validName(option) {
		return fmt.Errorf("%q is no option name: only letters, digits and _ are allowed", option)
	}
	for _, v := range values {
		for i := range len(v) {
			if c := v[i]; c < 32 && c != '\t' && c != '\n' && c != '\r' {
				return fmt.Errorf("option '%s': the value holds a control character", option)
			}
		}
	}
	return nil
}

// quote writes a value as uci does.
func quote(v string) string { return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'" }

// edit makes a change and undoes it if the file does not say then what it
// should: a quote that somebody left open may end in what is added behind it.
func (f *File) edit(doing, section, option string, want []string, change func()) error {
	old, rest := *f, f.rest(section, option)
	change()
	if !slices.Equal(f.GetList(section, option), want) || !slices.Equal(f.rest(section, option), rest) {
		return f.undo(old, doing+" "+section+"."+option)
	}
	return nil
}

func (f *File) undo(old File, doing string) error {
	*f = old
	if err := asError(f.problems); err != nil {
		return fmt.Errorf("%s: what is wrong in the file already stands in the way, put it right first: %w", doing, err)
	}
	return fmt.Errorf("%s: %s would be read otherwise than it was meant", doing, f.path)
}

// rest is what the file says, in order, but for one option.
func (f *File) rest(section, option string) []string {
	edited := f.named(section)
	var rest []string
	for _, s := range f.sections {
		rest = append(rest, headline(s.Type, s.Name))
		for _, st := range s.stmts {
			if st.name() != option || !slices.Contains(edited, s) {
				rest = append(rest, fmt.Sprintf("%c %q %q", st.kind, st.name(), st.value()))
			}
		}
	}
	return rest
}

func headline(typ, name string) string { return fmt.Sprintf("c %q %q", typ, name) }

// find returns every statement of an option, in order.
func (f *File) find(sections []*Section, option string) []statement {
	var found []statement
	for _, s := range sections {
		for _, st := range s.stmts {
			if st.name() == option {
				found = append(found, st)
			}
		}
	}
	return found
}

// setValue replaces the one word that is the value. Where there is none, the
// name is written anew with it: a backslash behind the name would take what
// follows for a part of it.
func (f *File) setValue(st statement, value string) {
	switch {
	case len(st.words) < 2:
		f.reparse(splice(f.raw, st.words[0].start, st.words[0].end, st.name()+" "+quote(value)))
	case st.value() != value:
		f.reparse(splice(f.raw, st.words[1].start, st.words[1].end, quote(value)))
	}
}

// replace removes the old lines and writes new ones where the first of them
// was, or at the end of the (first) section.
func (f *File) replace(sections []*Section, old []statement, command, option string, values []string) {
	if len(old) == 0 {
		if len(values) == 0 {
			return
		}
		last := sections[0].header
		if n := len(sections[0].stmts); n > 0 {
			last = sections[0].stmts[n-1]
		}
		f.insertAfter(last, command, option, values)
		return
	}
	raw := f.raw
	for _, st := range slices.Backward(old[1:]) {
		raw = splice(raw, st.start, st.end, "")
	}
	raw = splice(raw, old[0].start, old[0].end, f.render(old[0], command, option, values))
	f.reparse(raw)
}

func (f *File) insertAfter(st statement, command, option string, values []string) {
	text := f.render(st, command, option, values)
	if st.end == len(f.raw) {
		text = f.ending() + text
	}
	f.reparse(splice(f.raw, st.end, st.end, text))
}

// render makes lines that are indented as their neighbour is.
func (f *File) render(like statement, command, option string, values []string) string {
	indent := "\t"
	if like.kind == 'o' || like.kind == 'l' {
		line := f.raw[like.start:like.end]
		indent = string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
	}
	var b strings.Builder
	for _, v := range values {
		b.WriteString(indent + command + " " + option + " " + quote(v) + f.newline())
	}
	return b.String()
}

// ending is what the file needs behind it for the next line to be one of its
// own. It changes no value: a backslash at the end gets the line that it asks
// for, an empty one.
func (f *File) ending() string {
	if len(f.raw) == 0 {
		return ""
	}
	switch last := f.raw[len(f.raw)-1]; {
	case f.open && last == '\r':
		return " " + f.newline() // with a newline right behind it, the \r would be one
	case f.open && last == '\\':
		return f.newline() + f.newline()
	case f.open || last != '\n':
		return f.newline()
	}
	return ""
}

// newline is the file's own: CRLF if its first line ends so.
func (f *File) newline() string {
	if i := bytes.IndexByte(f.raw, '\n'); i > 0 && f.raw[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

func (f *File) reparse(raw []byte) {
	*f = *parse(f.path, raw)
}

func (f *File) blankBefore(at int) bool { return blankBefore(f.raw, at) }

// blankBefore says whether the line that ends at the offset is empty.
func blankBefore(raw []byte, at int) bool {
	if at == 0 || raw[at-1] != '\n' {
		return false
	}
	line := raw[:at-1]
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	return len(bytes.TrimSpace(line)) == 0
}

// skipBlank goes behind the empty lines that follow.
func skipBlank(raw []byte, at int) int {
	for {
		i := bytes.IndexByte(raw[at:], '\n')
		if i < 0 || len(bytes.TrimSpace(raw[at:at+i])) > 0 {
			return at
		}
		at += i + 1
	}
}

// splice returns new bytes; the old stay as they are.
func splice(raw []byte, from, to int, text string) []byte {
	out := make([]byte, 0, len(raw)-(to-from)+len(text))
	out = append(out, raw[:from]...)
	out = append(out, text...)
	return append(out, raw[to:]...)
}
