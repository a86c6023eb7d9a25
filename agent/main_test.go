package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lanseal/lanseal/agent/lab"
	"github.com/lanseal/lanseal/agent/lab/owrt"
)

func TestMain(m *testing.M) {
	lab.Main()
	owrt.Main()
	status := m.Run()
	if dir, err := builtIn(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(status)
}

// built makes the product once, for all tests of this package that run it.
var built = sync.OnceValues(func() (string, error) {
	dir, err := builtIn()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "lanseal")
	cmd := exec.Command("go", "build", "-o", path, ".")
	if cmd.Env = os.Environ(); !strings.Contains(os.Getenv("GOFLAGS"), "-race") { // the detector needs cgo
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the product: %w: %s", err, out)
	}
	return path, nil
})

var builtIn = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "lanseal-agent-") })

// product is the path of the binary under test.
func product(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
