package owrt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Programs are the names under which [Main] answers.
func Programs() []string { return []string{"uci", "ubus"} }

// Main plays one of the programs, if the process was started as one, and does
// not return then. A test's TestMain calls it first.
func Main() {
	s := system{root: os.Getenv("LANSEAL_STANDIN_ROOT")}
	if s.root == "" {
		s.root = "/"
	}
	name := filepath.Base(os.Args[0])
	var err error
	switch {
	case filepath.Base(filepath.Dir(os.Args[0])) == "init.d":
		err = s.script(name, os.Args[1:])
	case name == "uci":
		err = s.uci(os.Args[1:], os.Stdin, os.Stdout)
	case name == "ubus":
		err = s.ubus(os.Args[1:], os.Stdout)
	default:
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Install puts the programs into a folder for PATH, and init scripts for the
// services into the root.
func Install(bin, root string, services ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	initd := filepath.Join(root, "etc/init.d")
	for _, dir := range []string{bin, initd} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, name := range Programs() {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	for _, name := range services {
		if err := os.Symlink(self, filepath.Join(initd, name)); err != nil {
			return err
		}
	}
	return nil
}

type system struct{ root string }

func (s system) path(elem ...string) string {
	return filepath.Join(append([]string{s.root}, elem...)...)
}

// told adds a line to the log of what was asked for.
func (s system) told(words ...string) error {
	f, err := os.OpenFile(s.path("run/standin.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, strings.Join(words, " "))
	return err
}
