package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lanseal/lanseal/agent/atomicfile"
)

// ErrStale says that the file is not the one that the change was made for:
// somebody else changed it in the meantime.
var ErrStale = errors.New("the configuration has been changed in the meantime: read it again")

// Revision names the contents of a file. It changes with every byte.
func Revision(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// Change edits the configuration as [Edit] does, but only if what comes out is
// valid as a whole: else nothing is written and the error is an [Errors] with
// all that would be wrong. An empty revision takes the file as it is; any other
// must be that of the file, or the error is ErrStale. What the caller cannot
// live with beyond that, it says by valid. Change returns the new revision.
func Change(path, revision string, change func(*File) error, valid func(*Config) error) (string, error) {
	next := ""
	err := Edit(path, func(f *File) error {
		if revision != "" && revision != Revision(f.Bytes()) {
			return ErrStale
		}
		if err := change(f); err != nil {
			return err
		}
		l := &loader{path: path, opts: Options{TunnelDir: filepath.Dir(path)}, cfg: closed()}
		l.text(f.Bytes())
		next = Revision(f.Bytes())
		return errors.Join(asError(l.problems), valid(l.cfg))
	})
	return next, err
}

// ReplaceTunnel gives an existing tunnel file new contents, whole or not at
// all, after they have been understood.
func ReplaceTunnel(path string, content []byte) (warnings []string, err error) {
	if len(content) > maxFile {
		return nil, fmt.Errorf("replacing a tunnel's file: it is larger than %d bytes", maxFile)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("replacing a tunnel's file: %w", err)
	}
	if _, warnings, err = ParseWGQuick(filepath.Base(path), content); err != nil {
		return nil, err
	}
	return warnings, atomicfile.Write(path, content, 0o600)
}
