package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxFile is more than any honest configuration or tunnel file has.
const maxFile = 1 << 20

// readRegular reads a file and its permission bits. It does not wait on a pipe
// and does not fill the memory of a router.
func readRegular(path string) ([]byte, fs.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, err
	case !info.Mode().IsRegular():
		return nil, 0, errors.New("it is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return data, info.Mode().Perm(), err
}

// cause is an error without the path that fs.PathError repeats.
func cause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// WriteFileAtomic replaces a file whole: after a power cut there is the old one
// or the new one. An existing file's mode and owner stay; a new one gets perm. A
// symbolic link stays, and what it names is replaced.
func WriteFileAtomic(path string, data []byte, perm fs.FileMode) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	uid, gid := -1, -1
	if info, err := os.Stat(path); err == nil {
		perm = info.Mode().Perm()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(st.Uid), int(st.Gid)
		}
	}
	dir := filepath.Dir(path)
	// The name is libuci's own pattern: uci does not take a file that begins
	// with a dot for a configuration.
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".uci-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	if uid >= 0 && (uid != os.Geteuid() || gid != os.Getegid()) {
		_ = tmp.Chown(uid, gid) // not root: the file becomes ours, as with any editor
	}
	if err = tmp.Chmod(perm); err != nil {
		return err
	}
	if _, err = tmp.Write(data); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	// Without this the rename itself may be lost. Some file systems cannot;
	// the new file is in place all the same.
	if d, openErr := os.Open(dir); openErr == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

// Edit changes a UCI file: it takes libuci's lock, reads, lets change work on
// the File, and writes it back whole if anything differs. An error of change
// leaves the file as it was. Lines that cannot be read are no error here and
// stay; a file that does not exist is one.
func Edit(path string, change func(*File) error) error {
	return edit(path, false, change)
}

func edit(path string, create bool, change func(*File) error) (err error) {
	lock, made, err := lockFile(path, create)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && made {
			_ = os.Remove(path)
		}
		_ = lock.Close() // unlocks
	}()
	data, _, err := readRegular(path)
	if err != nil {
		return fmt.Errorf("reading %s: %s", path, cause(err))
	}
	f := parse(path, data)
	if err := change(f); err != nil {
		return err
	}
	if bytes.Equal(f.Bytes(), data) && !made {
		return nil
	}
	return WriteFileAtomic(path, f.Bytes(), 0o600)
}

// lockFile locks as libuci does: flock on the file itself. Since the file is
// replaced by whoever holds the lock, the lock counts only if the path still
// names the locked file afterwards.
func lockFile(path string, create bool) (f *os.File, made bool, err error) {
	for {
		f, err = os.OpenFile(path, os.O_RDWR, 0)
		if create && errors.Is(err, fs.ErrNotExist) {
			f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
			made = err == nil
			if errors.Is(err, fs.ErrExist) {
				continue
			}
		}
		if err != nil {
			return nil, false, fmt.Errorf("opening %s for a change: %s", path, cause(err))
		}
		err = flock(f)
		if err != nil && !errors.Is(err, syscall.ENOSYS) {
			_ = f.Close()
			return nil, made, fmt.Errorf("locking %s: %w", path, err)
		}
		mine, errMine := f.Stat()
		now, errNow := os.Stat(path)
		if errMine == nil && errNow == nil && os.SameFile(mine, now) {
			return f, made, nil
		}
		_ = f.Close()
		made = false
	}
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
