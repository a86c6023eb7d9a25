package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// target is one static build.
type target struct {
	name, goarch string
	settings     []string // NAME=VALUE for go build
	archs        []string // OpenWrt's labels
}

// readTargets reads targets.tsv and refuses a label that two builds claim.
func readTargets(file string) ([]target, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []target
	claimed := map[string]string{}
	names := regexp.MustCompile(`^[a-z0-9]+$`)
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		fail := func(format string, args ...any) error {
			return fmt.Errorf("%s:%d: %s", file, n, fmt.Sprintf(format, args...))
		}
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 4 || !names.MatchString(f[0]) || !names.MatchString(f[1]) {
			return nil, fail("want name, goarch, settings, architectures, with one tab between")
		}
		t := target{name: f[0], goarch: f[1], archs: strings.Fields(f[3])}
		if f[2] != "-" {
			t.settings = strings.Fields(f[2])
		}
		for _, s := range t.settings {
			if !strings.HasPrefix(s, "GO") || !strings.Contains(s, "=") {
				return nil, fail("%q is no setting of go build", s)
			}
		}
		if len(t.archs) == 0 {
			return nil, fail("%s serves no architecture", t.name)
		}
		for _, key := range append([]string{"target " + t.name}, t.archs...) {
			if other := claimed[key]; other != "" {
				return nil, fail("%s is already served by %s", key, other)
			}
			claimed[key] = t.name
		}
		out = append(out, t)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s names no target", file)
	}
	return out, nil
}
