package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// job is one run of the tool.
type job struct {
	root    string // of the module
	dist    string
	version string
	targets []target
	out     io.Writer
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "cross:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("cross", flag.ContinueOnError)
	version := fs.String("version", cmpOr(os.Getenv("VERSION"), "0.1.0"), "version to build: `X.Y.Z` or X.Y.Z-rcN")
	dist := fs.String("dist", "", "`FOLDER` to write into; empty: dist, beside go.mod")
	only := fs.String("only", "", "`NAMES` of targets, by commas; empty: all")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: cross build|check|size|ipk|apk|feed|packages [-version V] [-only TARGETS] [-dist FOLDER]")
		fs.PrintDefaults()
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		fs.Usage()
		return flag.ErrHelp
	}
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("what is %q?", fs.Arg(0))
	}
	root, err := findRoot()
	if err != nil {
		return err
	}
	j := job{root: root, dist: cmpOr(*dist, filepath.Join(root, "dist")), version: *version, out: out}
	if j.targets, err = readTargets(filepath.Join(root, "cross", "targets.tsv")); err != nil {
		return err
	}
	if *only != "" {
		if j.targets, err = pick(j.targets, strings.Split(*only, ",")); err != nil {
			return err
		}
	}
	if _, err := versionsOf(j.version); err != nil {
		return err
	}
	steps, ok := map[string][]func() error{
		"build":    {j.build},
		"check":    {j.build, j.check},
		"size":     {j.build, j.size},
		"ipk":      {j.build, j.ipks},
		"apk":      {j.build, j.apks},
		"feed":     {j.feeds},
		"packages": {j.build, j.ipks, j.apks, j.feeds},
	}[args[0]]
	if !ok {
		fs.Usage()
		return fmt.Errorf("no command %q", args[0])
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// findRoot is the module's folder, at or above the working directory.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run it inside the source tree: there is no go.mod here or above")
		}
		dir = filepath.Dir(dir)
	}
}

func pick(all []target, names []string) ([]target, error) {
	var out []target
	for _, n := range names {
		i := slices.IndexFunc(all, func(t target) bool { return t.name == n })
		if i < 0 {
			return nil, fmt.Errorf("no target %q in targets.tsv", n)
		}
		out = append(out, all[i])
	}
	return out, nil
}

// writeFile writes a file and the folders above it. It never writes into what is
// there, which may be the same file as one in a feed.
func writeFile(name string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", data, mode); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
