package main

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// fragments are the kernel's and busybox's configurations of what is built here.
//
//go:embed kernel
var fragments embed.FS

// recipe is raised when a change of this program makes older caches unusable.
const recipe = 3

// cacheDir is where kernels and programs are kept: "make clean" leaves it alone.
func cacheDir() string {
	if d := os.Getenv("LANSEAL_VM_CACHE"); d != "" {
		return d
	}
	if d := os.Getenv("XDG_CACHE_HOME"); d != "" {
		return filepath.Join(d, "lanseal-vm")
	}
	return "/var/cache/lanseal-vm"
}

// parts is one architecture's folder in the cache: "kernel", "modules/" with
// lib/modules of a Debian kernel, "root/" with the programs of the userland.
type parts string

func (p parts) kernel() string  { return filepath.Join(string(p), "kernel") }
func (p parts) modules() string { return filepath.Join(string(p), "modules") }
func (p parts) root() string    { return filepath.Join(string(p), "root") }

// parts is where the architecture's kernel and programs are or would be. The
// name changes with everything that goes into them but Debian's own updates:
// those are taken by removing the folder.
func (a arch) parts() parts {
	sum := sha256.New()
	fmt.Fprintln(sum, recipe, a.image, a.debian, a.tuple)
	if a.tuple != "" {
		for _, f := range []string{"mips.config", "busybox.config"} {
			text, err := fragments.ReadFile("kernel/" + f)
			if err != nil {
				panic(err) // it is part of this program
			}
			sum.Write(text)
		}
	}
	return parts(filepath.Join(cacheDir(), a.name+"-"+hex.EncodeToString(sum.Sum(nil))[:12]))
}

// cached says whether the architecture's folder is there; it is put in place
// whole.
func (a arch) cached() bool {
	_, err := os.Stat(a.parts().kernel())
	return err == nil
}

// fill gets or builds what is not cached yet.
func (a arch) fill(log *os.File) error {
	if a.cached() {
		return nil
	}
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(cacheDir(), "work-"+a.name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	made := parts(filepath.Join(work, "made"))
	for _, d := range []string{made.root(), made.modules()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	get := a.fromDebian
	if a.tuple != "" {
		get = a.build
	}
	if err := get(work, made, log); err != nil {
		return fmt.Errorf("%s: %w", a.name, err)
	}
	if err := os.Rename(string(made), string(a.parts())); err != nil && !a.cached() {
		return err
	}
	return nil
}
