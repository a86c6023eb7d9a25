package config

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseReadsAsLibuci(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"quotes join", `option a 'x'"y"z`, "xyz"},
		{"single quotes keep backslashes", `option a 'x\y'`, `x\y`},
		{"double quotes drop them", `option a "x\"\y\\"`, `x"y\`},
		{"a quote as uci writes it", `option a 'it'\''s'`, "it's"},
		{"plain backslash", `option a x\ y\#`, "x y#"},
		{"comment behind a word", `option a x#y`, "x"},
		{"comment behind a quote", `option a '#x' # y`, "#x"},
		{"backslash newline", "option a x\\\ny", "xy"},
		{"backslash newline in quotes", "option a \"x\\\r\ny\"", "xy"},
		{"newline in quotes", "option a 'x\ny'", "x\ny"},
		{"CRLF", "option a x\r\n", "x"},
		{"short command", "o a x", "x"},
		{"the last option counts", "option a x\noption a y", "y"},
		{"an option replaces a list", "list a x\noption a y", "y"},
		{"a list adds to an option", "option a x\nlist a y", "x|y"},
		{"an empty option unsets", "option a x\noption a ''", ""},
		{"no value unsets", "option a x\noption a", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse("f", []byte("config t s\n"+tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(f.GetList("s", "a"), "|"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	tests := []struct{ in, want string }{
		{"option a b", "f:1: option 'a': stands before the first section: put a line like config lanseal 'main' above it"},
		{"\xef\xbb\xbfconfig t s", "f:1: the file starts with a byte order mark, which uci cannot read: save it as UTF-8 without one"},
		{"config t s\n\n option a 'x\n option b y", "f:3: t 's': the quote is not closed on this line"},
		{"config t s\n option a \x00", "f:2: t 's': a NUL byte"},
		{"config t s u", "f:1: t 's': too many words: a section line is config TYPE 'NAME'"},
		{"config\tt\x7f s", "f:1: t\x7f 's': section type \"t\\x7f\": only printable characters without spaces are allowed"},
		{"package", "f:1: 'package' needs a name: package NAME 'VALUE'"},
		{"package a/b", "f:1: package name \"a/b\": only letters, digits, - and _ are allowed"},
		{"conf t", `f:1: unknown command "conf" (did you mean "config"?); a line begins with 'config', 'option', 'list' or '#'`},
	}
	for _, tt := range tests {
		f, err := Parse("f", []byte(tt.in))
		if err == nil || err.Error() != tt.want {
			t.Errorf("Parse(%q)\n got %v\nwant %s", tt.in, err, tt.want)
		}
		if string(f.Bytes()) != tt.in {
			t.Errorf("Parse(%q) changed the bytes", tt.in)
		}
	}
}

func TestEditTouchesOnlyItsLines(t *testing.T) {
	const in = `# top
config lanseal 'main'   # on
	option enabled '1'  # why
  list via se
  # between
  list via no
  list via us

# about tv
config device 'tv'
	list mac 'aa:bb:cc:dd:ee:ff'
# tail

config device
	option label x`
	tests := []struct {
		name string
		edit func(*File) error
		want string // of the lines that differ: -old, +new
	}{
		{"set keeps the comment", func(f *File) error { return f.Set("main", "enabled", "0") },
			"-\toption enabled '1'  # why\n+\toption enabled '0'  # why\n"},
		{"set to the same value", func(f *File) error { return f.Set("main", "enabled", "1") }, ""},
		{"set adds behind the last", func(f *File) error { return f.Set("main", "dns", "it's") },
			"+  option dns 'it'\\''s'\n"},
		{"set replaces a list", func(f *File) error { return f.Set("main", "via", "block") },
			"-  list via se\n+  option via 'block'\n-  list via no\n-  list via us\n"},
		{"set nothing deletes", func(f *File) error { return f.Set("main", "enabled", "") },
			"-\toption enabled '1'  # why\n"},
		{"list without its middle", func(f *File) error { return f.SetList("main", "via", []string{"se", "us"}) },
			"-  list via no\n"},
		{"list without its head", func(f *File) error { return f.SetList("main", "via", []string{"no", "us"}) },
			"-  list via se\n"},
		{"list with a new tail", func(f *File) error { return f.SetList("main", "via", []string{"se", "no", "us", "de"}) },
			"+  list via 'de'\n"},
		{"list with a new head", func(f *File) error { return f.SetList("main", "via", []string{"de", "se", "no", "us"}) },
			"+  list via 'de'\n"},
		{"list with another middle", func(f *File) error { return f.SetList("main", "via", []string{"se", "de", "us"}) },
			"-  list via no\n+  list via 'de'\n"},
		{"list from an option", func(f *File) error { return f.SetList("main", "enabled", []string{"a", "b"}) },
			"-\toption enabled '1'  # why\n+\tlist enabled 'a'\n+\tlist enabled 'b'\n"},
		{"new list", func(f *File) error { return f.SetList("tv", "ip", []string{"192.0.2.1"}) },
			"+\tlist ip '192.0.2.1'\n"},
		{"empty list deletes", func(f *File) error { return f.SetList("tv", "mac", nil) },
			"-\tlist mac 'aa:bb:cc:dd:ee:ff'\n"},
		{"anonymous section", func(f *File) error { return f.Set("@device[-1]", "label", "y") },
			"-\toption label x\n+\toption label 'y'\n"},
		{"the last line gets its newline", func(f *File) error { return f.Set("@device[1]", "ip", "y") },
			"+\toption ip 'y'\n"},
		{"new section", func(f *File) error { return f.AddSection("tunnel", "se") },
			"+\n+config tunnel 'se'\n"},
		{"section gone, comments stay", func(f *File) error { return f.DeleteSection("tv") },
			"-config device 'tv'\n-\tlist mac 'aa:bb:cc:dd:ee:ff'\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse("f", []byte(in))
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.edit(f); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, lineDiff(in, string(f.Bytes()))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A last line that a backslash continues, or that has no newline, is no part of
// what is added behind it.
func TestEditBehindAnOpenEnd(t *testing.T) {
	set := func(f *File) error { return f.Set("s", "b", "y") }
	list := func(f *File) error { return f.SetList("s", "b", []string{"y"}) }
	longer := func(f *File) error { return f.SetList("s", "a", []string{"x", "y"}) }
	section := func(f *File) error { return f.AddSection("t", "u") }
	own := func(f *File) error { return f.Set("s", "a", "y") }
	tests := []struct {
		name, in string
		edit     func(*File) error
		want     string
	}{
		{"backslash behind a name", "c t s\no a\\", own, "c t s\no a 'y'"},
		{"backslash and newline behind a name", "c t s\no a\\\n", own, "c t s\no a 'y'"},
		{"backslash behind the value", "c t s\no a x\\", own, "c t s\no a 'y'"},
		{"backslash for a value", "c t s\no a \\", own, "c t s\no a 'y'"},
		{"no newline, option", "c t s\no a x", set, "c t s\no a x\noption b 'y'\n"},
		{"backslash, option", "c t s\no a x\\", set, "c t s\no a x\\\n\noption b 'y'\n"},
		{"backslash and newline, option", "c t s\no a x\\\n", set, "c t s\no a x\\\n\noption b 'y'\n"},
		{"backslash and CRLF, option", "c t s\r\no a x\\\r\n", set, "c t s\r\no a x\\\r\n\r\noption b 'y'\r\n"},
		{"backslash and CR, option", "c t s\no a x\\\r", set, "c t s\no a x\\\r \noption b 'y'\n"},
		{"two backslashes, option", "c t s\no a x\\\\", set, "c t s\no a x\\\\\noption b 'y'\n"},
		{"quoted backslash, option", "c t s\no a 'x\\'", set, "c t s\no a 'x\\'\noption b 'y'\n"},
		{"comment with a backslash, option", "c t s\no a x # c\\", set, "c t s\no a x # c\\\noption b 'y'\n"},
		{"backslash, list", "c t s\no a x\\", list, "c t s\no a x\\\n\nlist b 'y'\n"},
		{"backslash, longer list", "c t s\nl a x\\", longer, "c t s\nl a x\\\n\nlist a 'y'\n"},
		{"backslash and newline, longer list", "c t s\nl a x\\\n", longer, "c t s\nl a x\\\n\nlist a 'y'\n"},
		{"backslash behind the section", "c t s\\", set, "c t s\\\n\n\toption b 'y'\n"},
		{"backslash, section", "c t s\no a x\\", section, "c t s\no a x\\\n\n\nconfig t 'u'\n"},
		{"backslash and newline, section", "c t s\no a x\\\n", section, "c t s\no a x\\\n\n\nconfig t 'u'\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse("f", []byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.edit(f); err != nil {
				t.Fatal(err)
			}
			if got := string(f.Bytes()); got != tt.want {
				t.Errorf("\n got %q\nwant %q", got, tt.want)
			}
			if err := asError(f.problems); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is added behind a quote that is open must not close it unseen.
func TestEditRefusesToCloseAQuote(t *testing.T) {
	const in = "config t s\noption a \"x\noption c y\n"
	f, _ := Parse("f", []byte(in))
	err := f.Set("s", "b", `"'`)
	if err == nil || !strings.Contains(err.Error(), "f:2: t 's': the quote is not closed on this line") {
		t.Errorf("error %v", err)
	}
	if string(f.Bytes()) != in {
		t.Errorf("a refused edit left %q", f.Bytes())
	}
}

func TestEditRefuses(t *testing.T) {
	f, _ := Parse("f", []byte("config device tv\n"))
	before := bytes.Clone(f.Bytes())
	for name, err := range map[string]error{
		"set in no section":    f.Set("se", "a", "b"),
		"list in no section":   f.SetList("se", "a", []string{"b"}),
		"delete in no section": f.Delete("se", "a"),
		"delete no section":    f.DeleteSection("se"),
		"a name that is taken": f.AddSection("tunnel", "tv"),
		"a bad section name":   f.AddSection("tunnel", "a-b"),
		"a bad section type":   f.AddSection("a b", "c"),
		"a bad option name":    f.Set("tv", "a b", "c"),
		"a control character":  f.Set("tv", "a", "\x00"),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if !bytes.Equal(before, f.Bytes()) {
		t.Error("a refused edit changed the file")
	}
}

// TestRandomEditsKeepTheRest edits random files at random. After each edit the
// edited value is what was set, every other value is what it was, and every line
// that remains was there before or belongs to the edit.
func TestRandomEditsKeepTheRest(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		f, err := Parse("f", []byte(randomUCI(r)))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for range 8 {
			before := string(f.Bytes())
			values := allValues(f)
			names := sectionNames(f)
			section, option := names[r.IntN(len(names))], fmt.Sprintf("o%d", r.IntN(4))
			key := section + "." + option
			value := strings.Repeat("v' \"#;\\", r.IntN(3)) + fmt.Sprint(r.IntN(100))
			switch r.IntN(3) {
			case 0:
				err = f.Set(section, option, value)
				values[key] = []string{value}
			case 1:
				list := slices.Clone(values[key])
				if len(list) > 0 && r.IntN(2) == 0 {
					list = slices.Delete(list, 0, 1)
				}
				list = slices.Insert(list, r.IntN(len(list)+1), value)
				err = f.SetList(section, option, list)
				values[key] = list
			default:
				err = f.Delete(section, option)
				delete(values, key)
			}
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if diff := cmp.Diff(values, allValues(f)); diff != "" {
				t.Fatalf("seed %d, %s:\n%s\n%s", seed, key, diff, lineDiff(before, string(f.Bytes())))
			}
			for l := range strings.Lines(lineDiff(before, string(f.Bytes()))) {
				if !strings.Contains(l, option) {
					t.Fatalf("seed %d, %s: another line changed: %q\n%q\n%q", seed, key, l, before, f.Bytes())
				}
			}
		}
	}
}

func randomUCI(r *rand.Rand) string {
	nl := []string{"\n", "\r\n"}[r.IntN(2)]
	var b strings.Builder
	filler := func() {
		for range r.IntN(3) {
			b.WriteString([]string{"", "# comment", "\t  ", "  # it's \"odd\"; \\"}[r.IntN(4)] + nl)
		}
	}
	filler()
	for s := range 1 + r.IntN(3) {
		fmt.Fprintf(&b, "config %s s%d%s%s", []string{"t", "'u'"}[r.IntN(2)], s, []string{"", " # c"}[r.IntN(2)], nl)
		for range r.IntN(5) {
			filler()
			b.WriteString([]string{"", "\t", "    "}[r.IntN(3)])
			b.WriteString([]string{"option", "list"}[r.IntN(2)])
			fmt.Fprintf(&b, " o%d ", r.IntN(4))
			b.WriteString([]string{"x", "'a b'", `"q\"q"`, `'it'\''s'`, "''", "1 # c"}[r.IntN(6)])
			b.WriteString(nl)
		}
		filler()
	}
	text := b.String()
	if r.IntN(3) == 0 {
		text = strings.TrimSuffix(text, nl)
	}
	return text
}

func sectionNames(f *File) []string {
	var names []string
	for _, s := range f.Sections() {
		names = append(names, s.Name)
	}
	return names
}

func allValues(f *File) map[string][]string {
	values := map[string][]string{}
	for _, s := range f.Sections() {
		for _, o := range s.Options {
			if len(o.Values) > 0 {
				values[s.Name+"."+o.Name] = slices.Clone(o.Values)
			}
		}
	}
	return values
}

// lineDiff is the lines that differ, "-" before the old, "+" before the new. A
// missing last newline counts for nothing.
func lineDiff(old, new string) string {
	a := strings.Split(strings.TrimSuffix(old, "\n"), "\n")
	b := strings.Split(strings.TrimSuffix(new, "\n"), "\n")
	for i := range a {
		a[i] = strings.TrimSuffix(a[i], "\r")
	}
	for i := range b {
		b[i] = strings.TrimSuffix(b[i], "\r")
	}
	// The longest common subsequence, from behind.
	n := make([][]int, len(a)+1)
	for i := range n {
		n[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				n[i][j] = n[i+1][j+1] + 1
			} else {
				n[i][j] = max(n[i+1][j], n[i][j+1])
			}
		}
	}
	var out strings.Builder
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && n[i+1][j] >= n[i][j+1]:
			out.WriteString("-" + a[i] + "\n")
			i++
		default:
			out.WriteString("+" + b[j] + "\n")
			j++
		}
	}
	return out.String()
}
