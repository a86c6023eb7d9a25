package tree

import (
	"slices"
	"strings"
	"testing"
)

func paths(t Tree) (out []string) {
	for _, e := range t.Entries() {
		out = append(out, e.Path)
	}
	return out
}

// A directory is followed at once by what it holds, as tar --sort=name has it,
// though "." sorts before "/".
func TestOrderAndParents(t *testing.T) {
	tr, err := New(
		Entry{Path: "/etc/init.d/lanseal", Mode: 0o755},
		Entry{Path: "/etc/a/b", Mode: 0o644},
		Entry{Path: "/etc/a.b", Mode: 0o644},
		Entry{Path: "/usr/libexec/rpcd/luci.lanseal", Kind: Link, Target: "/usr/sbin/lanseal"},
		Entry{Path: "/etc/lanseal", Kind: Dir, Mode: 0o700},
	)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/etc", "/etc/a", "/etc/a/b", "/etc/a.b", "/etc/init.d", "/etc/init.d/lanseal", "/etc/lanseal",
		"/usr", "/usr/libexec", "/usr/libexec/rpcd", "/usr/libexec/rpcd/luci.lanseal"}
	if got := paths(tr); !slices.Equal(got, want) {
		t.Errorf("entries:\n%q\nwant\n%q", got, want)
	}
	if e, ok := tr.Find("/etc/lanseal"); !ok || e.Mode != 0o700 {
		t.Errorf("/etc/lanseal: %+v", e)
	}
	if e, ok := tr.Find("/usr/libexec"); !ok || e.Mode != 0o755 || e.Kind != Dir {
		t.Errorf("/usr/libexec: %+v", e)
	}
	if got, want := tr.Paths(), []string{"/etc/a.b", "/etc/a/b", "/etc/init.d/lanseal", "/usr/libexec/rpcd/luci.lanseal"}; !slices.Equal(got, want) {
		t.Errorf("paths: %q", got)
	}
	if got, want := tr.Dirs(), []string{"/etc", "/etc/a", "/etc/init.d", "/etc/lanseal", "/usr", "/usr/libexec", "/usr/libexec/rpcd"}; !slices.Equal(got, want) {
		t.Errorf("dirs: %q", got)
	}
	if got := tr.In("/etc"); len(got) != 4 || got[1].Name() != "a.b" {
		t.Errorf("in /etc: %+v", got)
	}
	more, err := tr.With(Entry{Path: "/lib/x", Mode: 0o644})
	if err != nil || len(more.Entries()) != len(tr.Entries())+2 {
		t.Errorf("with: %v, %d entries", err, len(more.Entries()))
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		entries []Entry
		want    string
	}{
		{[]Entry{{Path: "usr/x"}}, "not an absolute"},
		{[]Entry{{Path: "/usr/../x"}}, "not an absolute"},
		{[]Entry{{Path: "/usr/x/"}}, "not an absolute"},
		{[]Entry{{Path: "/"}}, "not an absolute"},
		{[]Entry{{Path: "/a b"}}, "a space"},
		{[]Entry{{Path: "/a\nb"}}, "a space"},
		{[]Entry{{Path: "/a", Mode: 0o100644}}, "permission bits"},
		{[]Entry{{Path: "/a", Kind: Link}}, "needs a target"},
		{[]Entry{{Path: "/a", Kind: Dir, Data: []byte("x")}}, "no content"},
		{[]Entry{{Path: "/a", Target: "/b"}}, "no target"},
		{[]Entry{{Path: "/a", Kind: 9}}, "no known kind"},
		{[]Entry{{Path: "/a"}, {Path: "/a"}}, "listed twice"},
		{[]Entry{{Path: "/a", Kind: Dir}, {Path: "/a", Kind: Dir, Mode: 0o700}}, "listed twice"},
		{[]Entry{{Path: "/a"}, {Path: "/a/b"}}, "no directory"},
	} {
		if _, err := New(c.entries...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.entries, err, c.want)
		}
	}
}
