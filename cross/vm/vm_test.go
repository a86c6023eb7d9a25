package main

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

func TestMain(m *testing.M) {
	lab.Main()
	os.Exit(m.Run())
}

// testWriter shows the table as it grows.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

// A router with a real kernel leaks nothing: from before its first init script,
// through every restart that OpenWrt knows, to shutdown and the next boot; and
// without lanseal the same wire shows the leak.
func TestT12RouterWithItsOwnKernel(t *testing.T) {
	picked, err := pickArches("x86_64,mips")
	if err != nil {
		t.Fatal(err)
	}
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range picked {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel() // QEMU takes one core, and nothing here is measured
			err := lab.Usable()
			if err == nil && !a.cached() {
				err = errors.New("no kernel: run make vm-kernels")
			}
			if err != nil && os.Getenv("LANSEAL_LAB") == "require" {
				t.Fatalf("LANSEAL_LAB=require: %v", err)
			}
			if err != nil {
				t.Skipf("%v; LANSEAL_LAB=require makes this a failure", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
			defer cancel()
			ipk, err := packageFor(ctx, root, a, testWriter{t})
			if err != nil {
				t.Fatal(err)
			}
			if err := play(ctx, a, ipk, root, true, testWriter{t}); err != nil {
				t.Error(err)
			}
		})
	}
}
