package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// The budget of a router's flash: raw is what RAM and an overlay without
// compression see, xz about what squashfs makes of it, ipk what has to fit beside
// the installed package for a moment.
const (
	mostRaw = 13_000_000
	mostXZ  = 3_100_000
	// Where flash is small, which is MIPS:
	mostIPK       = 4_500_000
	mostInstalled = 14_000_000
)

// size prints raw, xz and gz of every binary, and fails over the budget.
func (j job) size() error {
	fmt.Fprintf(j.out, "%-8s %10s %10s %10s\n", "target", "raw", "xz -9e", "gz -9")
	var over []string
	for _, t := range j.targets {
		raw, err := os.ReadFile(j.binary(t))
		if err != nil {
			return err
		}
		xz := exec.Command("xz", append(filter(t.goarch), "--stdout", j.binary(t))...)
		xz.Stderr = os.Stderr
		packed, err := xz.Output()
		if err != nil {
			return fmt.Errorf("xz (Debian: xz-utils): %w", err)
		}
		gz, err := gzipped(raw)
		if err != nil {
			return err
		}
		note := ""
		if len(raw) > mostRaw || len(packed) > mostXZ {
			note = "  over the budget"
			over = append(over, t.name)
		}
		fmt.Fprintf(j.out, "%-8s %10d %10d %10d%s\n", t.name, len(raw), len(packed), gz, note)
	}
	if len(over) > 0 {
		return fmt.Errorf("%s: more than %d bytes raw or %d xz", strings.Join(over, ", "), mostRaw, mostXZ)
	}
	return nil
}

// filter is how OpenWrt's images are packed: for x86 and 32-bit arm by xz's
// filter for their jumps (include/image.mk, BCJ_FILTER).
func filter(goarch string) []string {
	switch goarch {
	case "amd64", "386":
		return []string{"--x86", "--lzma2=preset=9e"}
	case "arm":
		return []string{"--arm", "--lzma2=preset=9e"}
	}
	return []string{"-9e"}
}

func gzipped(raw []byte) (int, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(raw); err != nil {
		return 0, err
	}
	err = w.Close()
	return out.Len(), err
}
