package store

import (
	"errors"
	"os"
	"path/filepath"
)

// disk is what becomes of files that are written whole. The tests' one stops
// at any step.
type disk interface {
	// Write makes a file of the content, and returns when it is on the disk.
	Write(path string, content []byte) error
	Rename(from, to string) error
	// SyncDir makes a rename last.
	SyncDir(dir string) error
}

type osDisk struct{}

func (osDisk) Write(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// replace puts a whole file in the place of another. A file of a try that was
// cut off has the same name as the next try's, so they do not pile up.
func replace(d disk, path string, content []byte) error {
	fresh := path + ".new"
	if err := d.Write(fresh, content); err != nil {
		_ = os.Remove(fresh) // a full disk
		return err
	}
	if err := d.Rename(fresh, path); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}

// setAside keeps a damaged file for whoever wants to look, one of each.
func setAside(d disk, path string) error {
	if err := d.Rename(path, path+".damaged"); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}
