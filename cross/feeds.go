package main

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lanseal/lanseal/cross/apk"
	"github.com/lanseal/lanseal/cross/apk/read"
	"github.com/lanseal/lanseal/cross/opkgfeed"
)

// signers sign what a router installs.
type signers struct {
	opkg opkgfeed.Key
	apk  *ecdsa.PrivateKey
}

// Files below dist/keys. The public halves lie in the feeds, under the names
// that a router wants: opkg's is its fingerprint.
const (
	opkgSecret = "opkg.sec"
	apkSecret  = "apk.pem"
	apkPublic  = "lanseal.pem"
)

// keys reads the keys, or makes them on first use.
func (j job) keys() (signers, error) {
	dir := filepath.Join(j.dist, "keys")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return signers{}, err
	}
	text, err := j.secret(filepath.Join(dir, opkgSecret), func() ([]byte, error) {
		key, err := opkgfeed.NewKey()
		return key.Secret(), err
	})
	if err != nil {
		return signers{}, err
	}
	var out signers
	if out.opkg, err = opkgfeed.ParseSecret(text); err != nil {
		return out, fmt.Errorf("%s: %w", opkgSecret, err)
	}
	text, err = j.secret(filepath.Join(dir, apkSecret), func() ([]byte, error) {
		key, err := apk.NewKey()
		if err != nil {
			return nil, err
		}
		return apk.MarshalKey(key)
	})
	if err != nil {
		return out, err
	}
	if out.apk, err = apk.ParseKey(text); err != nil {
		return out, fmt.Errorf("%s: %w", apkSecret, err)
	}
	return out, nil
}

// secret reads a file, or makes it. It never overwrites one: routers know the
// key.
func (j job) secret(name string, make func() ([]byte, error)) ([]byte, error) {
	text, err := os.ReadFile(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if text, err = make(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(j.out, "made a new key: %s\n", name)
	_, err = f.Write(text)
	return text, errors.Join(err, f.Close())
}

// feeds makes a folder for each architecture and package manager from the
// packages in dist, and indexes and signs it.
func (j job) feeds() error {
	v, err := versionsOf(j.version)
	if err != nil {
		return err
	}
	keys, err := j.keys()
	if err != nil {
		return err
	}
	for _, t := range j.targets {
		for _, arch := range t.archs {
			if err := j.opkgFeed(v, arch, keys); err != nil {
				return fmt.Errorf("feed of opkg for %s: %w", arch, err)
			}
			if err := j.apkFeed(v, arch, keys); err != nil {
				return fmt.Errorf("feed of apk for %s: %w", arch, err)
			}
		}
	}
	public, err := apk.MarshalPublic(&keys.apk.PublicKey)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(j.dist, "feed", "apk", apkPublic), public, 0o644); err != nil {
		return err
	}
	name := filepath.Join(j.dist, "feed", "opkg", keys.opkg.Public().Fingerprint())
	if err := writeFile(name, keys.opkg.Public().Text(), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(j.out, "feeds: %s\n", filepath.Join(j.dist, "feed"))
	return nil
}

// opkgFeed writes dist/feed/opkg/ARCH anew.
func (j job) opkgFeed(v versions, arch string, keys signers) error {
	dir := filepath.Join(j.dist, "feed", "opkg", arch)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	var files []opkgfeed.File
	for _, p := range []product{agentProduct(), luciProduct()} {
		name := p.ipkName(v, arch)
		data, err := j.place(name, filepath.Join(dir, name), p)
		if err != nil {
			return err
		}
		if data != nil {
			files = append(files, opkgfeed.File{Name: name, Data: data})
		}
	}
	feed, err := opkgfeed.Make(files, keys.opkg)
	if err != nil {
		return err
	}
	if err := keys.opkg.Public().Verify(feed.Packages, feed.PackagesSig); err != nil {
		return err
	}
	for name, data := range map[string][]byte{"Packages": feed.Packages, "Packages.gz": feed.PackagesGz, "Packages.sig": feed.PackagesSig} {
		if err := writeFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// apkFeed writes dist/feed/apk/ARCH anew.
func (j job) apkFeed(v versions, arch string, keys signers) error {
	dir := filepath.Join(j.dist, "feed", "apk", arch)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	var entries []apk.Entry
	for _, p := range []product{agentProduct(), luciProduct()} {
		info := apk.Info{Name: p.name, Version: v.apk}
		data, err := j.place(p.apkName(v, arch), filepath.Join(dir, info.FileName()), p)
		if err != nil {
			return err
		}
		if data == nil {
			continue
		}
		e, err := entryOf(data)
		if err != nil {
			return fmt.Errorf("%s: %w", p.apkName(v, arch), err)
		}
		entries = append(entries, e)
	}
	index, err := apk.Index(entries, "", keys.apk)
	if err != nil {
		return err
	}
	back, err := read.ReadIndex(index)
	if err == nil {
		err = back.VerifiedBy(&keys.apk.PublicKey)
	}
	if err != nil {
		return fmt.Errorf("reading the index again: %w", err)
	}
	return writeFile(filepath.Join(dir, "packages.adb"), index, 0o644)
}

// entryOf is what an index says of a package, from the package itself.
func entryOf(data []byte) (apk.Entry, error) {
	p, err := read.ReadPackage(data)
	if err != nil {
		return apk.Entry{}, err
	}
	i := p.Info
	return apk.Entry{
		Info: apk.Info{
			Name: i.Name, Version: i.Version, Description: i.Description, Arch: i.Arch, License: i.License, Origin: i.Origin,
			Maintainer: i.Maintainer, URL: i.URL, Depends: i.Depends, Provides: i.Provides, Tags: i.Tags,
		},
		InstalledSize: i.InstalledSize, FileSize: uint64(len(data)), Identity: [20]byte(i.Hashes), SHA256: p.SHA256(),
	}, nil
}

// place puts a package of dist into a feed, as the same file where the disk can
// do that. A missing LuCI app is none: nil.
func (j job) place(name, to string, p product) ([]byte, error) {
	from := filepath.Join(j.dist, name)
	data, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) && p.noarch {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return nil, err
	}
	if os.Link(from, to) == nil {
		return data, nil
	}
	return data, writeFile(to, data, 0o644)
}
