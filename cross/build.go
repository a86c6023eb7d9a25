package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// tags cut out parts of gin that call methods by name, which would make the
// linker keep everything (agent/house_test.go watches over it), and HTTP/2, which
// a page of 40 kB and a socket have no use for.
const tags = "nomsgpack,validator_novalidatefn,nethttpomithttp2"

// lean are the flags that keep the binary small: without inlining it is a sixth
// smaller when packed. What every packet goes through is inlined all the same.
// The Makefile has them too, and a test keeps them equal.
func lean() []string {
	return []string{"-gcflags=all=-l", "-gcflags=golang.org/x/crypto/...=", "-gcflags=golang.zx2c4.com/wireguard/...=",
		"-gcflags=encoding/binary=", "-gcflags=math/bits="}
}

func (j job) binary(t target) string { return filepath.Join(j.dist, "bin", t.name, "lanseal") }

// build builds every target.
func (j job) build() error {
	for _, t := range j.targets {
		fmt.Fprintf(j.out, "building %s\n", t.name)
		if err := compile(j.root, j.binary(t), j.version, t, nil); err != nil {
			return err
		}
	}
	return nil
}

// compile builds the agent of one source tree for one target. Nothing of the
// machine gets into the binary: no path, no revision, no identity of the build,
// no C library.
func compile(root, out, version string, t target, env []string) error {
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-tags", tags}, lean()...)
	cmd := exec.Command("go", append(args, "-ldflags", "-s -w -buildid= -X main.version="+version, "-o", out, "./agent")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+t.goarch,
		// What the machine may have set for itself does not count.
		"GOFLAGS=", "GOEXPERIMENT=", "GOAMD64=", "GOARM=", "GOARM64=", "GOMIPS=", "GO386=", "GORISCV64=")
	cmd.Env = append(append(cmd.Env, t.settings...), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", t.name, err, bytes.TrimSpace(text))
	}
	return nil
}

// check builds again from a copy of the source in another folder, with an empty
// cache, and compares with what is in dist.
func (j job) check() error {
	elsewhere, err := os.MkdirTemp("", "lanseal-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(elsewhere)
	source := filepath.Join(elsewhere, "another", "folder")
	if err := copySource(j.root, source); err != nil {
		return fmt.Errorf("copying the source: %w", err)
	}
	return j.compare(source, filepath.Join(elsewhere, "out"), []string{"GOCACHE=" + filepath.Join(elsewhere, "cache")})
}

func (j job) compare(source, out string, env []string) error {
	var differ []string
	for _, t := range j.targets {
		second := filepath.Join(out, t.name)
		if err := compile(source, second, j.version, t, env); err != nil {
			return err
		}
		a, err := os.ReadFile(j.binary(t))
		if err != nil {
			return err
		}
		b, err := os.ReadFile(second)
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			differ = append(differ, t.name)
			continue
		}
		fmt.Fprintf(j.out, "%-8s the same %d bytes twice\n", t.name, len(a))
	}
	if len(differ) > 0 {
		return fmt.Errorf("not reproducible: %s", strings.Join(differ, ", "))
	}
	return nil
}

// copySource copies what go build reads.
func copySource(from, to string) error {
	skip := []string{".git", "bin", "dist", "node_modules"}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && slices.Contains(skip, rel):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
}
