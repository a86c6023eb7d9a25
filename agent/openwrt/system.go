package openwrt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Guest is lanseal's place on one OpenWrt system. Its methods run one at a
// time, in whatever process: see lock.
type Guest struct {
	root    string // "/", or a scratch root in tests
	state   string // RAM
	persist string // flash
	disk    disk   // whatever outlives a turn is written by it
	run     runner // and whatever is asked or told goes by it

	release Release
	done    string   // the fingerprint of what the last turn left, if it succeeded
	last    Report   // and what it said
	waiting bool     // for a dnsmasq that others are starting: look again, though nothing else has changed
	made    []string // files of lanseal's own that it left
}

// Find says whether the machine is OpenWrt, with the programs that lanseal
// speaks to.
func Find(root, state, persist string) (*Guest, bool) {
	text, err := os.ReadFile(filepath.Join(root, "etc/openwrt_release"))
	if err != nil {
		return nil, false
	}
	for _, name := range []string{"ubus", "uci"} {
		if _, err := exec.LookPath(name); err != nil {
			return nil, false
		}
	}
	return &Guest{root: root, state: state, persist: persist, disk: files{}, run: execute, release: parseRelease(string(text))}, true
}

// path is a file of the system.
func (g *Guest) path(elem ...string) string {
	return filepath.Join(append([]string{g.root}, elem...)...)
}

// Release is a version of OpenWrt as far as behaviour depends on it; the zero
// value is a snapshot, taken for newer than every release.
type Release struct{ Year, Month int }

// before says whether the release is older than another.
func (r Release) before(year, month int) bool {
	return r.Year != 0 && (r.Year < year || r.Year == year && r.Month < month)
}

// parseRelease reads DISTRIB_RELEASE='23.05.5' of /etc/openwrt_release.
func parseRelease(text string) Release {
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "DISTRIB_RELEASE=")
		if !ok {
			continue
		}
		year, rest, _ := strings.Cut(strings.Trim(value, `'"`), ".")
		month, _, _ := strings.Cut(rest, ".")
		month, _, _ = strings.Cut(month, "-")
		y, errY := strconv.Atoi(year)
		m, errM := strconv.Atoi(month)
		if errY == nil && errM == nil {
			return Release{y, m}
		}
	}
	return Release{}
}

// mostOutput bounds what is kept of a program's output.
const mostOutput = 4 << 20

// runner is the door to other programs.
type runner func(ctx context.Context, stdin string, argv ...string) ([]byte, error)

// execute runs a program to its end and returns what it printed.
func execute(ctx context.Context, stdin string, argv ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		what := filepath.Base(argv[0])
		if len(argv) > 1 {
			what += " " + argv[1]
		}
		var ended *exec.ExitError
		if text := strings.TrimSpace(errs.String()); text != "" && errors.As(err, &ended) {
			return nil, fmt.Errorf("%s: %w: %s", what, err, firstLine(text))
		}
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if len(out) > mostOutput {
		return nil, fmt.Errorf("%s: more than %d bytes", argv[0], mostOutput)
	}
	return out, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// service runs an init script, if there is one.
func (g *Guest) service(ctx context.Context, name, action string) error {
	script := g.path("etc/init.d", name)
	if _, err := os.Stat(script); err != nil {
		return nil
	}
	_, err := g.run(ctx, "", script, action)
	return err
}
