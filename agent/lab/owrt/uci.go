package owrt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type option struct {
	name   string
	list   bool
	values []string
}

type section struct {
	typ, name string
	anonymous bool
	options   []option
}

type pkg struct {
	name     string
	sections []*section
}

func (p *pkg) find(name string) *section {
	for _, s := range p.sections {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (s *section) at(name string) int {
	return slices.IndexFunc(s.options, func(o option) bool { return o.name == name })
}

func (s *section) get(name string) []string {
	if s == nil {
		return nil
	}
	if i := s.at(name); i >= 0 {
		return s.options[i].values
	}
	return nil
}

func (s *section) last(name string) string {
	if v := s.get(name); len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// anonymousName is libuci's: its place and a hash of the type (Bernstein's,
// list.c).
func anonymousName(place int, typ string) string {
	hash := uint32(5381)
	for i := range len(typ) {
		hash = hash<<5 + hash + uint32(typ[i])
	}
	return fmt.Sprintf("cfg%02x%04x", place, hash%(1<<16))
}

// words splits one logical line as a shell would, comments left out; more is
// true where a quote goes on in the next line.
func words(text string) (out []string, more bool) {
	var w strings.Builder
	inWord, quoted := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted == '\'' && c == '\'', quoted == '"' && c == '"':
			quoted = 0
		case quoted == '\'':
			w.WriteByte(c)
		case c == '\\' && i+1 < len(text):
			i++
			w.WriteByte(text[i])
			inWord = true
		case quoted == '"':
			w.WriteByte(c)
		case c == '\'' || c == '"':
			quoted, inWord = c, true
		case c == ' ' || c == '\t' || c == '\n':
			if inWord {
				out = append(out, w.String())
				w.Reset()
			}
			inWord = false
		case c == '#' && !inWord:
			return out, false
		default:
			w.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		out = append(out, w.String())
	}
	return out, quoted != 0
}

func lines(r io.Reader) (all [][]string) {
	in := bufio.NewScanner(r)
	pending := ""
	for in.Scan() {
		text := pending + in.Text()
		w, more := words(text)
		if more {
			pending = text + "\n"
			continue
		}
		pending = ""
		if len(w) > 0 {
			all = append(all, w)
		}
	}
	return all
}

// load reads a package and what is staged for it in each of the folders.
func load(confdir, name string, staged ...string) (*pkg, error) {
	f, err := os.Open(filepath.Join(confdir, name))
	if err != nil {
		return nil, errors.New("Entry not found")
	}
	defer f.Close()
	p := &pkg{name: name}
	for _, w := range lines(f) {
		switch {
		case w[0] == "package":
		case w[0] == "config" && len(w) >= 2:
			s := &section{typ: w[1], anonymous: len(w) == 2}
			if s.anonymous {
				s.name = anonymousName(len(p.sections)+1, s.typ)
			} else {
				s.name = w[2]
			}
			p.sections = append(p.sections, s)
		case (w[0] == "option" || w[0] == "list") && len(w) == 3 && len(p.sections) > 0:
			s := p.sections[len(p.sections)-1]
			s.set(w[1], w[2], w[0] == "list")
		default:
			return nil, errors.New("Parse error")
		}
	}
	for _, dir := range staged {
		if f, err := os.Open(filepath.Join(dir, name)); err == nil {
			for _, w := range lines(f) {
				_ = p.change(w)
			}
			f.Close()
		}
	}
	return p, nil
}

func (s *section) set(name, value string, list bool) {
	i := s.at(name)
	switch {
	case i < 0:
		s.options = append(s.options, option{name, list, []string{value}})
	case list && s.options[i].list:
		s.options[i].values = append(s.options[i].values, value)
	case list:
		s.options[i] = option{name, true, append(s.options[i].values, value)}
	default:
		s.options[i] = option{name, false, []string{value}}
	}
}

// change carries out one command, or one staged line.
func (p *pkg) change(w []string) error {
	verb, arg := w[0], ""
	if len(w) > 1 {
		arg = w[1]
	} else { // a staged line: PREFIXpkg.section.option=value
		verb, arg = "set", w[0]
		for prefix, v := range map[string]string{"-": "delete", "|": "add_list"} {
			if rest, ok := strings.CutPrefix(arg, prefix); ok {
				verb, arg = v, rest
			}
		}
	}
	key, value, _ := strings.Cut(arg, "=")
	parts := strings.SplitN(key, ".", 3)
	if len(parts) < 2 || parts[0] != p.name {
		return errors.New("Invalid argument")
	}
	s := p.find(parts[1])
	switch {
	case verb == "set" && len(parts) == 2 && s == nil:
		p.sections = append(p.sections, &section{typ: value, name: parts[1]})
	case s == nil:
		return errors.New("Entry not found")
	case verb == "set" && len(parts) == 2:
		s.typ = value
	case verb == "delete" && len(parts) == 2:
		p.sections = slices.DeleteFunc(p.sections, func(o *section) bool { return o == s })
	case verb == "delete":
		i := s.at(parts[2])
		if i < 0 {
			return errors.New("Entry not found")
		}
		s.options = slices.Delete(s.options, i, i+1)
	case verb == "set" || verb == "add_list":
		s.set(parts[2], value, verb == "add_list")
	default:
		return errors.New("Invalid argument")
	}
	return nil
}

func (p *pkg) write(w io.Writer, header, names bool) {
	q := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	if header {
		fmt.Fprintf(w, "package %s\n", p.name)
	}
	for _, s := range p.sections {
		fmt.Fprintf(w, "\nconfig %s", s.typ)
		if !s.anonymous || names {
			fmt.Fprintf(w, " %s", q(s.name))
		}
		fmt.Fprintln(w)
		for _, o := range s.options {
			word := map[bool]string{false: "option", true: "list"}[o.list]
			for _, v := range o.values {
				fmt.Fprintf(w, "\t%s %s %s\n", word, o.name, q(v))
			}
		}
	}
	fmt.Fprintln(w)
}

// uci is the command line.
func (s system) uci(args []string, stdin io.Reader, stdout io.Writer) error {
	confdir, staged, names := s.path("etc/config"), []string{s.path("tmp/.uci")}, false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-q", "-N":
		case "-n":
			names = true
		case "-c":
			confdir, args = args[1], args[1:]
		case "-t":
			staged, args = append(staged, args[1]), args[1:]
		default:
			return fmt.Errorf("unknown flag %s", args[0])
		}
		args = args[1:]
	}
	switch {
	case len(args) == 2 && args[0] == "export":
		p, err := load(confdir, args[1], staged...)
		if err != nil {
			return err
		}
		p.write(stdout, true, names)
		return nil
	case len(args) == 1 && args[0] == "batch":
		loaded := map[string]*pkg{}
		for _, w := range lines(stdin) {
			if len(w) < 2 {
				continue
			}
			name, _, _ := strings.Cut(w[1], ".")
			if loaded[name] == nil {
				p, err := load(confdir, name, staged...)
				if err != nil {
					continue // as the real one: the exit status says nothing
				}
				loaded[name] = p
			}
			if w[0] != "commit" {
				_ = loaded[name].change(w)
				continue
			}
			var b strings.Builder
			loaded[name].write(&b, false, false)
			tmp := filepath.Join(confdir, "."+name+".uci-standin")
			if err := os.WriteFile(tmp, []byte(b.String()), 0o600); err != nil {
				return err
			}
			if err := os.Rename(tmp, filepath.Join(confdir, name)); err != nil {
				return err
			}
			for _, dir := range staged {
				_ = os.Remove(filepath.Join(dir, name))
			}
		}
		return nil
	}
	return fmt.Errorf("unknown command %v", args)
}
