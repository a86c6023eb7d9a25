package openwrt

import (
	"fmt"
	"slices"
	"strings"
)

// Config is one UCI package, as uci exports it: every section has an ID, the
// anonymous ones that which uci gives them.
type Config struct{ Sections []Section }

// Section is one section.
type Section struct {
	ID, Type string
	Options  []Option
}

// Option is an option with one value, or a list.
type Option struct {
	Name  string
	Value Value
}

// Value is what an option says. UCI holds a list of one apart from an option.
type Value struct {
	List   bool     `json:"list,omitempty"`
	Values []string `json:"values"`
}

func one(v string) *Value      { return &Value{Values: []string{v}} }
func list(vs ...string) *Value { return &Value{List: true, Values: vs} }
func (v *Value) same(o *Value) bool {
	if v == nil || o == nil {
		return v == o
	}
	return v.List == o.List && slices.Equal(v.Values, o.Values)
}

func (c Config) section(id string) *Section {
	for i := range c.Sections {
		if c.Sections[i].ID == id {
			return &c.Sections[i]
		}
	}
	return nil
}

// value is an option's value; with an empty option the section's type. It is
// nil where there is none.
func (c Config) value(section, option string) *Value {
	s := c.section(section)
	if s == nil {
		return nil
	}
	if option == "" {
		return one(s.Type)
	}
	return s.value(option)
}

func (s *Section) value(option string) *Value {
	for i := range s.Options {
		if s.Options[i].Name == option {
			return &s.Options[i].Value
		}
	}
	return nil
}

// get is the last word of an option, or "".
func (s *Section) get(option string) string {
	if v := s.value(option); v != nil && len(v.Values) > 0 {
		return v.Values[len(v.Values)-1]
	}
	return ""
}

// words are a list's values; an option that stands for a list has them
// separated by spaces.
func (s *Section) words(option string) []string {
	v := s.value(option)
	if v == nil {
		return nil
	}
	if v.List {
		return v.Values
	}
	return strings.Fields(s.get(option))
}

// yes reads a boolean as OpenWrt's scripts do.
func (s *Section) yes(option string, def bool) bool {
	switch s.get(option) {
	case "":
		return def
	case "1", "on", "true", "yes", "enabled":
		return true
	}
	return false
}

// set gives an option a value; nil removes it. With an empty option it is the
// section that comes, with its type, or goes.
func (c *Config) set(section, option string, v *Value) {
	i := slices.IndexFunc(c.Sections, func(s Section) bool { return s.ID == section })
	switch {
	case option == "" && v == nil:
		if i >= 0 {
			c.Sections = slices.Delete(c.Sections, i, i+1)
		}
		return
	case option == "":
		if i < 0 {
			c.Sections = append(c.Sections, Section{ID: section, Type: v.Values[0]})
		} else {
			c.Sections[i].Type = v.Values[0]
		}
		return
	case i < 0:
		return // an option of a section that is gone
	}
	s := &c.Sections[i]
	j := slices.IndexFunc(s.Options, func(o Option) bool { return o.Name == option })
	switch {
	case v == nil && j >= 0:
		s.Options = slices.Delete(s.Options, j, j+1)
	case v == nil:
	case j >= 0:
		s.Options[j].Value = *v
	default:
		s.Options = append(s.Options, Option{option, *v})
	}
}

// clone shares nothing that set changes.
func (c Config) clone() Config {
	out := Config{Sections: slices.Clone(c.Sections)}
	for i := range out.Sections {
		out.Sections[i].Options = slices.Clone(out.Sections[i].Options)
	}
	return out
}

// parseExport reads what "uci -n export" prints: quoted words, where a single
// quote in a value is '\” and a value may hold newlines.
func parseExport(text string) (Config, error) {
	var c Config
	for text != "" {
		words, rest, err := command(text)
		if err != nil {
			return Config{}, err
		}
		text = rest
		if len(words) == 0 {
			continue
		}
		switch {
		case words[0] == "package":
		case words[0] == "config" && len(words) == 3:
			c.Sections = append(c.Sections, Section{Type: words[1], ID: words[2]})
		case (words[0] == "option" || words[0] == "list") && len(words) == 3 && len(c.Sections) > 0:
			s := &c.Sections[len(c.Sections)-1]
			if v := s.value(words[1]); v != nil && words[0] == "list" && v.List {
				v.Values = append(v.Values, words[2])
				continue
			}
			s.Options = append(s.Options, Option{words[1], Value{List: words[0] == "list", Values: []string{words[2]}}})
		default:
			return Config{}, fmt.Errorf("reading uci's export: unexpected line %.60q", strings.Join(words, " "))
		}
	}
	return c, nil
}

// command takes the words of one command off the text.
func command(text string) (words []string, rest string, err error) {
	i := 0
	for i < len(text) && text[i] != '\n' {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		var w strings.Builder
		for i < len(text) && text[i] != ' ' && text[i] != '\t' && text[i] != '\n' {
			switch text[i] {
			case '\'':
				end := strings.IndexByte(text[i+1:], '\'')
				if end < 0 {
					return nil, "", fmt.Errorf("reading uci's export: a quote is not closed")
				}
				w.WriteString(text[i+1 : i+1+end])
				i += end + 2
			case '\\':
				if i+1 >= len(text) {
					return nil, "", fmt.Errorf("reading uci's export: it ends in a backslash")
				}
				w.WriteByte(text[i+1])
				i += 2
			default:
				w.WriteByte(text[i])
				i++
			}
		}
		words = append(words, w.String())
	}
	if i < len(text) {
		i++ // the newline
	}
	return words, text[i:], nil
}

// quote writes a word as uci's batch reads it.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// batch is the way from one configuration to another, as input for "uci
// batch".
func batch(pkg string, from, to Config) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, s := range from.Sections {
		if to.section(s.ID) == nil {
			line("delete %s.%s", pkg, s.ID)
		}
	}
	for _, s := range to.Sections {
		have := from.section(s.ID)
		if have == nil {
			line("set %s.%s=%s", pkg, s.ID, quote(s.Type))
			have = &Section{}
		}
		for _, o := range have.Options {
			if s.value(o.Name) == nil {
				line("delete %s.%s.%s", pkg, s.ID, o.Name)
			}
		}
		for _, o := range s.Options {
			old := have.value(o.Name)
			switch {
			case old.same(&o.Value):
			case !o.Value.List:
				if old != nil && old.List {
					line("delete %s.%s.%s", pkg, s.ID, o.Name)
				}
				line("set %s.%s.%s=%s", pkg, s.ID, o.Name, quote(o.Value.Values[0]))
			default:
				if old != nil {
					line("delete %s.%s.%s", pkg, s.ID, o.Name)
				}
				for _, v := range o.Value.Values {
					line("add_list %s.%s.%s=%s", pkg, s.ID, o.Name, quote(v))
				}
			}
		}
	}
	return b.String()
}
