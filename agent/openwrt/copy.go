package openwrt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/lanseal/lanseal/agent/atomicfile"
)

// working is the package that private copies are called. uci knows nothing
// staged for it, so what somebody has staged for the real one and not
// committed is neither seen nor committed.
const working = "lansealwork"

// file is one configuration file as it was read.
type file struct {
	Config
	pkg   string
	bytes []byte // nil: there is no such file
}

// read reads one package, through uci's own eyes.
func (g *Guest) read(ctx context.Context, pkg string) (file, error) {
	data, err := os.ReadFile(g.path("etc/config", pkg))
	if errors.Is(err, fs.ErrNotExist) {
		return file{pkg: pkg}, nil
	}
	if err != nil {
		return file{pkg: pkg}, fmt.Errorf("reading /etc/config/%s: %w", pkg, err)
	}
	f := file{pkg: pkg, bytes: data}
	err = g.inCopy(data, func(dir string) error {
		out, err := g.run(ctx, "", "uci", "-q", "-n", "-c", dir, "-t", filepath.Join(dir, "delta"), "export", working)
		if err != nil {
			return err
		}
		f.Config, err = parseExport(string(out))
		return err
	})
	if err != nil {
		return file{pkg: pkg}, fmt.Errorf("reading /etc/config/%s: %w", pkg, err)
	}
	return f, nil
}

// edited is the file's text after the changes of a batch, as uci writes it.
func (g *Guest) edited(ctx context.Context, f file, to Config) (out []byte, err error) {
	err = g.inCopy(f.bytes, func(dir string) error {
		// Errors in a batch do not show in its exit status: what it made is
		// read back instead.
		if _, err := g.run(ctx, batch(working, f.Config, to)+"commit "+working+"\n", "uci", "-q", "-c", dir, "-t", filepath.Join(dir, "delta"), "batch"); err != nil {
			return err
		}
		if out, err = os.ReadFile(filepath.Join(dir, working)); err != nil {
			return err
		}
		text, err := g.run(ctx, "", "uci", "-q", "-n", "-c", dir, "-t", filepath.Join(dir, "delta"), "export", working)
		if err != nil {
			return err
		}
		made, err := parseExport(string(text))
		if err == nil && batch(working, made, to) != "" {
			err = errors.New("uci did not make the change that it was asked for")
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("changing /etc/config/%s: %w", f.pkg, err)
	}
	return out, nil
}

// inCopy runs f with a folder that holds a private copy, and removes it: a
// network file may hold passwords.
func (g *Guest) inCopy(data []byte, f func(dir string) error) error {
	if err := os.MkdirAll(g.state, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(g.state, "uci-") // 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "delta"), 0o700), os.WriteFile(filepath.Join(dir, working), data, 0o600)); err != nil {
		return err
	}
	return f(dir)
}

// errChanged says that somebody else was faster.
var errChanged = errors.New("somebody changed it at the same moment")

// swap puts new bytes in the place of a configuration file, under libuci's own
// lock, if it still is what was read.
func (g *Guest) swap(f file, data []byte) error {
	path := g.path("etc/config", f.pkg)
	lock, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer lock.Close() // unlocks
	if err := flock(lock, syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", path, err)
	}
	now, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	mine, errMine := lock.Stat()
	there, errThere := os.Stat(path)
	if string(now) != string(f.bytes) || errMine != nil || errThere != nil || !os.SameFile(mine, there) {
		return fmt.Errorf("writing %s: %w", path, errChanged)
	}
	return g.disk.replace(path, data, 0o600)
}

// flock waits for the lock.
func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// disk is the door through which files are changed.
type disk interface {
	replace(path string, data []byte, perm fs.FileMode) error
	remove(path string) error
}

// files is the disk of the machine.
type files struct{}

func (files) remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	atomicfile.SyncDir(filepath.Dir(path))
	return err
}

func (files) replace(path string, data []byte, perm fs.FileMode) error {
	return atomicfile.Write(path, data, perm)
}
