package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/lanseal/lanseal/agent/atomicfile"
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
	return atomicfile.Write(path, f.Bytes(), 0o600)
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
