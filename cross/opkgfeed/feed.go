package opkgfeed

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// File is one package of a feed.
type File struct {
	Name string // beside the index
	Data []byte
}

// Feed is what lies beside the packages.
type Feed struct{ Packages, PackagesGz, PackagesSig []byte }

// Make makes the index of the files and signs it.
func Make(files []File, key Key) (Feed, error) {
	index, err := Packages(files)
	if err != nil {
		return Feed{}, err
	}
	index = pad(index)
	var gz bytes.Buffer
	w, err := gzip.NewWriterLevel(&gz, gzip.BestCompression)
	if err != nil {
		return Feed{}, err
	}
	if _, err := w.Write(index); err != nil {
		return Feed{}, err
	}
	if err := w.Close(); err != nil {
		return Feed{}, err
	}
	return Feed{index, gz.Bytes(), key.Sign(index)}, nil
}

// Packages is the index: the control file of every package, without the fields
// that a router has no use for, and with name, size and hash of the file.
func Packages(files []File) ([]byte, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	var out bytes.Buffer
	for _, f := range files {
		control, err := Control(f.Data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		described := false
		skip := false
		for line := range strings.Lines(control) {
			switch {
			case strings.HasPrefix(line, " "):
			case dropped(line):
				skip = true
			default:
				skip = false
			}
			if skip {
				continue
			}
			if strings.HasPrefix(line, "Description:") {
				described = true
				fmt.Fprintf(&out, "Filename: %s\nSize: %d\nSHA256sum: %x\n", f.Name, len(f.Data), sha256.Sum256(f.Data))
			}
			out.WriteString(line)
		}
		if !described {
			return nil, fmt.Errorf("%s: the control file has no description", f.Name)
		}
		out.WriteString("\n")
	}
	return out.Bytes(), nil
}

func dropped(line string) bool {
	return slices.ContainsFunc([]string{"Maintainer", "LicenseFiles", "Source", "Require"}, func(field string) bool {
		return strings.HasPrefix(line, field) // "Source" is SourceName and SourceDateEpoch too
	})
}

// pad adds two empty lines at the two lengths where the SHA-512 of an older
// usign is wrong: it hashes 64 bytes of signature and key before the message,
// and fails when the last block of 128 ends just below where the length goes.
// The build system pads the same way.
func pad(index []byte) []byte {
	if r := (64 + len(index)) % 128; r == 110 || r == 111 {
		return append(slices.Clone(index), "\n\n"...)
	}
	return index
}

// Control is the control file of a package, found as the build system's script
// for indexes finds it: under ./control.tar.gz and ./control.
func Control(ipk []byte) (string, error) {
	inner, err := member(ipk, "./control.tar.gz")
	if err != nil {
		return "", err
	}
	control, err := member(inner, "./control")
	if err != nil {
		return "", err
	}
	if len(control) == 0 || control[len(control)-1] != '\n' || bytes.Contains(control, []byte("\n\n")) {
		return "", errors.New("the control file is not a block of lines")
	}
	return string(control), nil
}

const longest = 256 << 20 // of one member, against a file that unpacks to anything

func member(tgz []byte, name string) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(tgz))
	if err != nil {
		return nil, err
	}
	for r := tar.NewReader(io.LimitReader(z, longest)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("no %s", name)
		}
		if err != nil {
			return nil, err
		}
		if h.Name == name {
			return io.ReadAll(r)
		}
	}
}
