package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/lanseal/lanseal/agent/lab"
)

func main() {
	lab.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "vm:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("vm", flag.ContinueOnError)
	names := fs.String("arch", "", "`NAMES` of architectures, by commas; empty: all")
	short := fs.Bool("short", false, "leave out what takes longest")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: vm kernels|cached|run [-arch NAMES] [-short]\n       vm exec ARCH PROGRAM [ARGUMENT…]")
		fs.PrintDefaults()
	}
	if len(args) == 0 {
		fs.Usage()
		return flag.ErrHelp
	}
	root, err := findRoot()
	if err != nil {
		return err
	}
	if args[0] == "exec" { // its flags are the program's
		status, err := execCommand(ctx, root, args[1:], out)
		if err == nil && status != 0 {
			err = fmt.Errorf("exit status %d", status)
		}
		return err
	}
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	picked, err := pickArches(*names)
	if err != nil {
		return err
	}
	switch args[0] {
	case "kernels":
		return kernels(picked, out)
	case "cached":
		return missing(picked)
	case "run":
		return runAll(ctx, root, picked, *short, out)
	}
	fs.Usage()
	return fmt.Errorf("no command %q", args[0])
}

// missing names what the cache lacks.
func missing(picked []arch) error {
	var err error
	for _, a := range picked {
		if !a.cached() {
			err = errors.Join(err, fmt.Errorf("no kernel for %s", a.name))
		}
	}
	return err
}

// kernels fills the cache, with a log beside it.
func kernels(picked []arch, out io.Writer) error {
	var err error
	for _, a := range picked {
		if a.cached() {
			fmt.Fprintf(out, "%s: in %s\n", a.name, a.parts())
			continue
		}
		if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
			return err
		}
		name := filepath.Join(cacheDir(), a.name+".log")
		log, lerr := os.Create(name)
		if lerr != nil {
			return lerr
		}
		fmt.Fprintf(out, "%s: getting %s; see %s\n", a.name, a.is, name)
		err = errors.Join(err, a.fill(log), log.Close())
	}
	return err
}

func runAll(ctx context.Context, root string, picked []arch, short bool, out io.Writer) error {
	if err := lab.Usable(); err != nil {
		return err
	}
	var err error
	for _, a := range picked {
		ipk, berr := packageFor(ctx, root, a, io.Discard)
		if berr == nil {
			berr = play(ctx, a, ipk, root, short, out)
		}
		err = errors.Join(err, berr)
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

// findRoot is the module's folder, at or above the working directory.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, serr := os.Stat(filepath.Join(dir, "go.mod")); serr == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run it inside the source tree: there is no go.mod here or above")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}
