package owrt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
	err := s.call(os.Args, os.Stdin, os.Stdout)
	if errors.Is(err, errOther) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

var errOther = errors.New("none of the programs")

// Call plays one of the programs within this process.
func Call(root, stdin string, argv ...string) ([]byte, error) {
	var out bytes.Buffer
	err := system{root}.call(argv, strings.NewReader(stdin), &out)
	return out.Bytes(), err
}

func (s system) call(argv []string, stdin io.Reader, stdout io.Writer) (err error) {
	name := filepath.Base(argv[0])
	switch {
	case filepath.Base(filepath.Dir(argv[0])) == "init.d":
		err = s.script(name, argv[1:])
	case name == "uci":
		err = s.uci(argv[1:], stdin, stdout)
	case name == "ubus":
		err = s.ubus(argv[1:], stdout)
	default:
		return errOther
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
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
