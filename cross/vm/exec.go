package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lanseal/lanseal/agent/lab"
)

// execMemory is more than a router's, for test binaries.
const execMemory = "256"

// execIn runs a program of the architecture in a guest, in a copy of the
// working directory, and returns its exit status: what "go test -exec" asks of
// a runner. A guest that is gone or hangs is an error, so a failure.
func execIn(ctx context.Context, root string, a arch, argv []string, out io.Writer) (int, error) {
	if !a.cached() {
		return 0, fmt.Errorf("%s: no kernel in %s: run make vm-kernels", a.name, cacheDir())
	}
	program, err := os.ReadFile(argv[0])
	if err != nil {
		return 0, err
	}
	im, err := newImage(root, a, nil)
	if err != nil {
		return 0, err
	}
	im.file("exec/program", program, true)
	here, err := fs.Sub(os.DirFS("."), ".")
	if err != nil {
		return 0, err
	}
	if err := im.copyBelow("exec/here", here); err != nil {
		return 0, err
	}
	packed, err := im.pack()
	if err != nil {
		return 0, err
	}
	l, err := lab.New(lab.Options{External: true})
	if err != nil {
		return 0, err
	}
	defer l.Close()
	m, err := newMachine(l, a, packed)
	if err != nil {
		return 0, err
	}
	defer m.Off()
	ctx, cancel := context.WithTimeout(ctx, playTime)
	defer cancel()
	if err := m.On("-m", execMemory); err != nil {
		return 0, err
	}
	if err := m.Wait(ctx); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, m.Console())
	}
	quoted := make([]string, len(argv)-1)
	for i, arg := range argv[1:] {
		// Go's cache of test results has no meaning in there.
		if strings.HasPrefix(arg, "-test.testlogfile=") {
			arg = "-test.testlogfile="
		}
		quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	env := ""
	if v := os.Getenv("LANSEAL_LAB"); v != "" {
		env = "LANSEAL_LAB=" + v + " "
	}
	said, status, err := m.Order(ctx, "cd /exec/here && "+env+"/exec/program "+strings.Join(quoted, " "))
	fmt.Fprintln(out, said)
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, m.Console())
	}
	return status, nil
}

// execCommand is "vm exec ARCH PROGRAM ARGUMENT…".
func execCommand(ctx context.Context, root string, args []string, out io.Writer) (int, error) {
	if len(args) < 2 {
		return 0, fmt.Errorf("usage: vm exec ARCH PROGRAM [ARGUMENT…]")
	}
	picked, err := pickArches(args[0])
	if err != nil {
		return 0, err
	}
	path, err := filepath.Abs(args[1])
	if err != nil {
		return 0, err
	}
	return execIn(ctx, root, picked[0], append([]string{path}, args[2:]...), out)
}
