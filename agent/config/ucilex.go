package config

import (
	"bytes"
	"fmt"
	"strings"
)

// Parse reads UCI text as libuci does; path is for messages only. The File is
// never nil: lines that cannot be read are kept, named in the error (an
// [Errors]), and otherwise skipped.
//
// It is stricter than libuci in one thing: a ';' outside quotes is an error.
// libuci takes it for the end of a command, but loses the rest of the line
// after an unquoted word, so no two readers agree on such a line.
func Parse(path string, data []byte) (*File, error) {
	f := parse(path, bytes.Clone(data))
	return f, asError(f.problems)
}

// parse takes ownership of the data.
func parse(path string, data []byte) *File {
	x := &lexer{f: &File{path: path, raw: data}, data: data, line: 1}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		x.fail("the file starts with a byte order mark, which uci cannot read: save it as UTF-8 without one")
		x.pos = 3
	}
	for x.pos < len(data) {
		x.command()
	}
	for _, s := range x.f.sections {
		s.Options = effective(s.stmts)
	}
	return x.f
}

type lexer struct {
	f    *File
	data []byte
	pos  int
	line int // of pos
}

func (x *lexer) fail(format string, args ...any) {
	p := Problem{File: x.f.path, Line: x.line, Message: fmt.Sprintf(format, args...)}
	if s := x.section(); s != nil {
		p.Section = s.title()
	}
	x.f.problems = append(x.f.problems, p)
}

func (x *lexer) section() *Section {
	if n := len(x.f.sections); n > 0 {
		return x.f.sections[n-1]
	}
	return nil
}

// isSpace is C's isspace, as libuci uses it.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// skipSpaces stops at the end of the line.
func (x *lexer) skipSpaces() {
	for x.pos < len(x.data) && x.data[x.pos] != '\n' && isSpace(x.data[x.pos]) {
		x.pos++
	}
}

// skipLine goes behind the next newline.
func (x *lexer) skipLine() {
	if i := bytes.IndexByte(x.data[x.pos:], '\n'); i >= 0 {
		x.pos += i + 1
	} else {
		x.pos = len(x.data)
	}
	x.line++
}

func (x *lexer) command() {
	start, line := x.pos, x.line
	if start == 3 && line == 1 {
		start = 0 // the byte order mark belongs to the first line
	}
	x.skipSpaces()
	if x.pos >= len(x.data) || x.data[x.pos] == '\n' || x.data[x.pos] == '#' {
		x.skipLine()
		return
	}
	from := x.pos
	for x.pos < len(x.data) && !isSpace(x.data[x.pos]) {
		x.pos++
	}
	keyword := string(x.data[from:x.pos])
	st := statement{line: line, start: start}
	switch keyword {
	case "config", "c":
		st.kind = 'c'
	case "option", "o":
		st.kind = 'o'
	case "list", "l":
		st.kind = 'l'
	case "package", "p":
		st.kind = 'p'
	default:
		x.fail("unknown command %s%s; a line begins with 'config', 'option', 'list' or '#'",
			shown(keyword), didYouMean(keyword, []string{"config", "option", "list", "package"}))
		x.skipLine()
		return
	}
	problem := x.words(&st)
	if problem == "" {
		problem = st.check()
	}
	if problem == "" {
		st.end = x.pos
		x.take(st)
		return
	}
	// A quote that is closed lines below by the next value's opening quote
	// is the likely cause of what else is odd; say that, and go on with the
	// next line so that the rest is read as it was meant.
	if end := bytes.IndexByte(x.data[from:], '\n'); end >= 0 && from+end+1 < x.pos {
		problem = "the quote is not closed on this line"
	}
	x.pos, x.line, x.f.open = from, line, false
	x.broken(st, problem)
	x.skipLine()
}

// broken reports a statement that is not taken. A broken "config" line still
// opens a section, so that the options below it do not land in the one above.
func (x *lexer) broken(st statement, problem string) {
	if st.kind == 'c' {
		s := &Section{Line: st.line, header: st, broken: !validType(st.name())}
		s.Type, s.Name = st.name(), st.value()
		if len(st.words) == 0 {
			s.Type = "config"
		}
		i := bytes.IndexByte(x.data[x.pos:], '\n')
		s.header.end = x.pos + i + 1
		if i < 0 {
			s.header.end = len(x.data)
		}
		x.f.sections = append(x.f.sections, s)
	}
	x.fail("%s", problem)
}

func (x *lexer) take(st statement) {
	switch st.kind {
	case 'p':
		x.f.pkg, x.f.pkgLine = st.name(), st.line
	case 'c':
		x.f.sections = append(x.f.sections, &Section{Type: st.name(), Name: st.value(), Line: st.line, header: st})
	default:
		if s := x.section(); s != nil {
			s.stmts = append(s.stmts, st)
			return
		}
		x.f.problems = append(x.f.problems, Problem{File: x.f.path, Line: st.line, Option: st.name(),
			Message: "stands before the first section: put a line like config lanseal 'main' above it"})
	}
}

// check says what is wrong with the words of a statement, or nothing.
func (s statement) check() string {
	command := map[byte]string{'c': "config", 'o': "option", 'l': "list", 'p': "package"}[s.kind]
	limit := 2
	if s.kind == 'p' {
		limit = 1
	}
	switch {
	case s.name() == "" && s.kind == 'c':
		return "'config' needs a section type: config tunnel 'se'"
	case s.name() == "":
		return "'" + command + "' needs a name: " + command + " NAME 'VALUE'"
	case len(s.words) > limit && s.kind == 'c':
		return "too many words: a section line is config TYPE 'NAME'"
	case len(s.words) > limit:
		return "too many words: put a value with spaces in quotes: " + command + " NAME 'VALUE'"
	case s.kind == 'c' && !validType(s.name()):
		return "section type " + shown(s.name()) + ": only printable characters without spaces are allowed"
	case s.kind == 'c' && s.value() != "" && !validName(s.value()):
		return "section name " + shown(s.value()) + ": only letters, digits and _ are allowed"
	case (s.kind == 'o' || s.kind == 'l') && !validName(s.name()):
		return command + " name " + shown(s.name()) + ": only letters, digits and _ are allowed"
	case s.kind == 'p' && !validName(strings.ReplaceAll(s.name(), "-", "_")):
		return "package name " + shown(s.name()) + ": only letters, digits, - and _ are allowed"
	}
	return ""
}

// validName is libuci's rule for names of sections and options.
func validName(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '_' {
			return false
		}
	}
	return s != ""
}

func validType(s string) bool {
	for i := range len(s) {
		if s[i] < 33 || s[i] > 126 {
			return false
		}
	}
	return s != ""
}

// words reads the arguments up to the end of the line and leaves pos behind its
// newline. It returns what is wrong, or nothing.
func (x *lexer) words(st *statement) string {
	for {
		x.skipSpaces()
		if x.pos >= len(x.data) {
			return ""
		}
		switch x.data[x.pos] {
		case '\n', '#':
			x.skipLine()
			return ""
		}
		from := x.pos
		text, problem := x.word()
		if problem != "" {
			return problem
		}
		st.words = append(st.words, word{text: text, start: from, end: x.pos})
	}
}

// word reads quoted and unquoted pieces up to a space, a comment or the end.
func (x *lexer) word() (string, string) {
	var b strings.Builder
	for x.pos < len(x.data) {
		c := x.data[x.pos]
		switch {
		case isSpace(c) || c == '#':
			return b.String(), ""
		case c == 0:
			return "", "a NUL byte"
		case c == ';':
			return "", "a ';' outside quotes: put the value in quotes, and every option on its own line"
		case c == '\'' || c == '"':
			if problem := x.quoted(&b, c); problem != "" {
				return "", problem
			}
		case c == '\\':
			x.escape(&b)
		default:
			b.WriteByte(c)
			x.pos++
		}
	}
	return b.String(), ""
}

// quoted reads up to the closing quote. Between single quotes a backslash is a
// backslash; a newline belongs to the value in both kinds.
func (x *lexer) quoted(b *strings.Builder, quote byte) string {
	x.pos++
	for x.pos < len(x.data) {
		c := x.data[x.pos]
		switch {
		case c == quote:
			x.pos++
			return ""
		case c == 0:
			return "a NUL byte"
		case c == '\\' && quote == '"':
			x.escape(b)
			continue
		case c == '\n':
			x.line++
		}
		b.WriteByte(c)
		x.pos++
	}
	return "the quote is not closed on this line"
}

// escape reads a backslash: it makes the next character plain, and joins the
// next line when it is the last on its own.
func (x *lexer) escape(b *strings.Builder) {
	x.pos++
	rest := x.data[x.pos:]
	switch {
	case len(rest) == 0:
	case rest[0] == '\n':
		x.pos++
		x.line++
	case bytes.HasPrefix(rest, []byte("\r\n")):
		x.pos += 2
		x.line++
	default:
		b.WriteByte(rest[0])
		x.pos++
	}
	x.f.open = x.pos == len(x.data) && (len(rest) == 0 || rest[0] == '\n' || rest[0] == '\r')
}
