package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/lanseal/lanseal/"

// floors are the floors of the house: what a package's code, and what lies
// below it, may not import, each with the reason. A prefix that ends in "/..."
// stands for everything below; "third party" for every other module.
var floors = []struct{ pkg, never, because string }{
	{"rules", "os", "the plan is computed without looking at the machine"},
	{"rules", "os/exec", "the plan is computed without touching the machine"},
	{"rules", "net", "addresses are values: net/netip"},
	{"rules", "time", "the plan does not depend on when it is made"},
	{"rules", "context", "nothing here waits"},
	{"rules", "log", "what is wrong is returned, not told"},
	{"rules", "log/slog", "what is wrong is returned, not told"},
	{"rules", "sync", "values need no locks"},
	{"rules", "sync/atomic", "values need no locks"},
	{"rules", "math/rand", "the same input makes the same plan"},
	{"rules", "math/rand/v2", "the same input makes the same plan"},
	{"rules", "third party", "the proof reads nothing but this package"},
	{"rules", module + "agent/...", "floor 0 stands on nothing"},

	{"agent/config", module + "agent/kernel", "a configuration can be checked on any machine, without root"},
	{"agent/config", module + "agent/state", "wishes do not depend on the state"},
	{"agent/config", module + "agent/tunnel", "a file is read without starting what it describes"},
	{"agent/config", module + "webui", "the page asks the agent, not the other way round"},
	{"agent/config", "os/exec", "reading a configuration runs nothing"},
	{"agent/config", "third party", "what a user's file can reach stays small"},

	{"agent/state", "os", "every history can be replayed in a test"},
	{"agent/state", "net", "every history can be replayed in a test"},
	{"agent/state", "os/exec", "effects are values: others carry them out"},
	{"agent/state", "context", "nothing here waits"},
	{"agent/state", "sync", "values need no locks"},
	{"agent/state", "log/slog", "a note is an effect"},
	{"agent/state", "third party", "a pure function of values"},
	{"agent/state", module + "agent/...", "floor 1 stands on floor 0 alone"},

	{"webui", module + "agent/...", "the page knows the small interface that it defines, and no more"},
	{"webui", module + "rules", "the page shows what it is told"},
	{"webui", "os", "files are the agent's"},
	{"webui", "os/exec", "the page runs nothing"},
	{"agent/atomicfile", module + "agent/...", "a file is replaced, whatever is in it"},
	{"agent/crypt", module + "agent/...", "a hash is compared, whoever keeps it"},
	{"agent/crypt", "os", "a hash is compared, wherever it was read"},

	{"agent/kernel", module + "agent/config", "the door carries out plans, whoever wished for them"},
	{"agent/kernel", module + "agent/state", "the door carries out plans, whoever decided them"},
	{"agent/kernel", module + "agent/tunnel", "the door knows devices, not what is behind them"},
	{"agent/kernel", module + "webui", "the door is opened by the agent alone"},
	{"agent/kernel", "net/http", "the door speaks netlink and to nft"},

	{"agent/tunnel", module + "agent/config", "a driver is told what to do by its own types"},
	{"agent/tunnel", module + "agent/state", "a driver reports, others decide"},
	{"agent/tunnel", module + "agent/kernel", "a driver makes its device; what routes to it is the plan's"},
	{"agent/tunnel", module + "webui", "a driver answers to the agent alone"},

	{"agent/openwrt", module + "webui", "the guest of OpenWrt answers to the agent alone"},
	{"agent/openwrt", module + "agent/config", "it is told what is wanted by its own types"},
	{"agent/openwrt", module + "agent/kernel", "it is told what is wanted by its own types"},
	{"agent/openwrt", module + "agent/state", "it is told what is wanted by its own types"},
	{"agent/openwrt", module + "agent/store", "it is told what is wanted by its own types"},
	{"agent/openwrt", module + "agent/tunnel", "it is told what is wanted by its own types"},
	{"agent/openwrt", "third party", "it speaks ubus and uci by their own programs"},
	{"agent/store", module + "agent/kernel", "memory is not truth"},
	{"agent/store", module + "agent/...", "what is remembered does not depend on who remembers it"},
	{"agent/store", module + "rules", "memory knows no plans"},
	{"agent/store", "net", "addresses are values: net/netip"},
	{"agent/clock", module + "agent/...", "the time does not depend on who asks for it"},
	{"agent/clock", module + "rules", "the time knows no plans"},

	{"agent/lab", module + "agent", "the lab is a black box round the built binary"},
	{"agent/lab", module + "agent/config", "the lab is a black box round the built binary"},
	{"agent/lab", module + "agent/state", "the lab is a black box round the built binary"},
	{"agent/lab", module + "agent/kernel", "the lab is a black box round the built binary"},
	{"agent/lab", module + "agent/tunnel", "what tests the tunnel must not share its mistakes"},
	{"agent/lab", module + "rules", "what judges the plan must not read it"},

	{"*", "github.com/alecthomas/kong", "calls methods by name: the linker keeps everything, 6 MB"},
	{"*", "github.com/urfave/cli/...", "calls methods by name: the linker keeps everything, 6 MB"},
	{"*", "github.com/prometheus/client_golang/...", "2.4 MB for a few lines of text"},
	{"*", "text/template", "calls methods by name: the linker keeps everything"},
	{"*", "html/template", "calls methods by name: the linker keeps everything"},
	{"*", "plugin", "one static binary"},
	{"*", "C", "one static binary, for every target, without a C compiler"},
}

// onlyDoor are libraries that have one door, such as those that change the
// machine's network, and who may use them.
var onlyDoor = map[string][]string{
	"github.com/coreos/go-iptables/iptables": {"agent/kernel"},
	"go.etcd.io/bbolt":                       {"agent/store"},
	"github.com/vishvananda/netlink":         {"agent/kernel", "agent/tunnel", "agent/lab"},
}

// outsized are files above the limit, each with the reason.
var outsized = map[string]string{}

// excused are tests that may end without a result, each with the reason.
var excused = map[string]string{}

const longestFile = 400 // lines, outside tests

// sourceFile is one parsed file of the tree.
type sourceFile struct {
	path, pkg string // below the root
	test      bool
	lines     int
	ast       *ast.File
}

func readHouse(t *testing.T) (*token.FileSet, []sourceFile) {
	t.Helper()
	set := token.NewFileSet()
	var all []sourceFile
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"bin", "dist", "node_modules", "testdata", ".git"}, d.Name()):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel("..", path)
		all = append(all, sourceFile{rel, filepath.Dir(rel), strings.HasSuffix(path, "_test.go"), bytes.Count(text, []byte("\n")), f})
		return nil
	})
	if err != nil || len(all) < 50 {
		t.Fatalf("reading the tree: %d files, %v", len(all), err)
	}
	return set, all
}

func imports(f sourceFile) (out []string) {
	for _, i := range f.ast.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		out = append(out, path)
	}
	return out
}

func covers(never, path string) bool {
	if below, ok := strings.CutSuffix(never, "/..."); ok {
		return path == below || strings.HasPrefix(path, below+"/")
	}
	if never == "third party" {
		first, _, _ := strings.Cut(path, "/")
		return strings.Contains(first, ".") && !strings.HasPrefix(path, module)
	}
	return path == never
}

// lives says whether a package is the floor's, or below it.
func lives(pkg, floor string) bool {
	return floor == "*" || pkg == floor || strings.HasPrefix(pkg, floor+"/")
}

func TestFloors(t *testing.T) {
	_, all := readHouse(t)
	for _, f := range all {
		if f.test {
			continue
		}
		for _, path := range imports(f) {
			for _, rule := range floors {
				inside := strings.HasPrefix(path, module+rule.pkg+"/") || path == module+rule.pkg
				if lives(f.pkg, rule.pkg) && covers(rule.never, path) && !inside {
					t.Errorf("%s imports %s: %s", f.path, path, rule.because)
				}
			}
			for library, may := range onlyDoor {
				if covers(library+"/...", path) && !slices.ContainsFunc(may, func(floor string) bool { return lives(f.pkg, floor) }) {
					t.Errorf("%s imports %s: it is the door of %v alone", f.path, path, may)
				}
			}
		}
	}
	for _, c := range []struct {
		never, path string
		want        bool
	}{{"third party", "golang.org/x/sys/unix", true}, {"third party", "net/netip", false}, {"third party", module + "rules", false},
		{module + "agent/...", module + "agent/kernel", true}, {"net", "net/netip", false}, {"os", "os", true}} {
		if covers(c.never, c.path) != c.want {
			t.Errorf("the test itself is wrong about %s and %s", c.never, c.path)
		}
	}
}

func TestHouseRules(t *testing.T) {
	set, all := readHouse(t)
	skips := map[string]bool{}
	for _, f := range all {
		product := !f.test && !lives(f.pkg, "agent/lab") && !lives(f.pkg, "cross")
		if reason := outsized[f.path]; !f.test && (f.lines > longestFile) != (reason != "") {
			t.Errorf("%s has %d lines; at most %d, or a reason in this test (%q)", f.path, f.lines, longestFile, reason)
		}
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if fn.Name.Name == "init" && fn.Recv == nil {
				t.Errorf("%s: init: what happens before main cannot be seen, ordered or tested", set.Position(fn.Pos()))
			}
			asksLab := false
			ast.Inspect(fn, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && strings.Contains(l.Value, "LANSEAL_LAB") {
					asksLab = true
				}
				return true
			})
			ast.Inspect(fn, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					on, _ := n.X.(*ast.Ident)
					if product && on != nil && on.Name == "time" && n.Sel.Name == "Sleep" {
						t.Errorf("%s: time.Sleep: timers are events", set.Position(n.Pos()))
					}
					if slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, n.Sel.Name) && !asksLab && !strings.HasPrefix(fn.Name.Name, "Fuzz") {
						if where := f.path + " " + fn.Name.Name; excused[where] != "" {
							skips[where] = true
						} else {
							t.Errorf("%s: a test that cannot run fails under LANSEAL_LAB=require, and never passes by skipping", set.Position(n.Pos()))
						}
					}
				case *ast.ChanType, *ast.GoStmt, *ast.SelectStmt:
					if product && (f.pkg == "rules" || f.pkg == "agent/state") {
						t.Errorf("%s: a pure function of values has no channels and no goroutines", set.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
	for where := range excused {
		if !skips[where] {
			t.Errorf("%s is excused and need not be", where)
		}
	}
}

// tags are those of every build; without them gin's parts call methods by name.
const tags = "nomsgpack,validator_novalidatefn,nethttpomithttp2"

// The binaries keep within the budget of a router's flash, which stands in
// cross/size.go.
func TestSize(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		if os.Getenv("LANSEAL_LAB") == "require" {
			t.Fatal("xz is not installed: xz-utils")
		}
		t.Skip("xz is not installed: xz-utils")
	}
	t.Parallel()
	cmd := exec.Command("go", "run", "../cross", "size", "-only", "amd64,arm64,mipsle,mips", "-dist", t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("\n%s", out)
}

// One reachable call of a method by a name known only at run time makes the
// linker keep every exported method of everything: 6 MB.
func TestNoMethodIsCalledByName(t *testing.T) {
	t.Parallel()
	found := func(dir string) (marks []string) {
		cmd := exec.Command("go", "build", "-tags", tags, "-ldflags", "-s -w -dumpdep", "-o", os.DevNull, ".")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("building in %s: %v\n%.2000s", dir, err, out)
		}
		if !bytes.Contains(out, []byte("main.main")) {
			t.Fatal("the linker did not say what it keeps")
		}
		for line := range bytes.Lines(out) {
			if bytes.Contains(line, []byte("<ReflectMethod>")) && len(marks) < 10 {
				marks = append(marks, strings.TrimSpace(string(line)))
			}
		}
		return marks
	}
	bad := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module bad\n\ngo 1.26\n",
		"main.go": "package main\n\nimport (\n\t\"os\"\n\t\"reflect\"\n)\n\nfunc main() { reflect.ValueOf(os.Stdout).MethodByName(os.Args[0]).Call(nil) }\n",
	} {
		if err := os.WriteFile(filepath.Join(bad, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(found(bad)) == 0 {
		t.Error("the linker does not mark a program that does it, so its silence says nothing")
	}
	if marks := found("."); len(marks) > 0 {
		t.Errorf("methods are called by name in:\n%s", strings.Join(marks, "\n"))
	}
}
