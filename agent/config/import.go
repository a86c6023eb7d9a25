package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lanseal/lanseal/agent/atomicfile"
	"github.com/lanseal/lanseal/rules"
)

// Imported says what Import made.
type Imported struct {
	Name     string // of the exit
	Label    string
	Type     string
	Server   string   // the first peer's address and port, as the file has them
	File     string   // the tunnel file that was written
	Warnings []string // what the provider's file says and lanseal ignores
}

// Recognise tells TypeWireGuard and TypeOpenVPN files apart by their contents;
// "" is neither.
func Recognise(content []byte) string {
	openvpn := 0
	for l := range strings.Lines(strings.TrimPrefix(string(content), "\ufeff")) {
		l = strings.ToLower(strings.TrimSpace(l))
		compact := strings.ReplaceAll(l, " ", "")
		if strings.HasPrefix(compact, "[interface]") || strings.HasPrefix(compact, "[peer]") {
			return TypeWireGuard
		}
		word, rest, _ := strings.Cut(strings.ReplaceAll(l, "\t", " "), " ")
		switch word {
		case "client", "tls-client", "<ca>", "<cert>", "<tls-crypt>", "<tls-auth>", "auth-user-pass", "remote-cert-tls":
			openvpn++
		case "remote", "proto", "dev":
			if strings.TrimSpace(rest) != "" && !strings.HasPrefix(strings.TrimSpace(rest), "=") {
				openvpn++
			}
		}
	}
	if openvpn >= 2 {
		return TypeOpenVPN
	}
	return ""
}

// Inspect says what Import would make of a file, but for the name and where the
// file goes, and writes nothing.
func Inspect(name string, content []byte) (Imported, error) {
	if len(content) > maxFile {
		return Imported{}, fmt.Errorf("importing a tunnel: the file is larger than %d bytes", maxFile)
	}
	shownName := strings.Map(printable, filepath.Base(name))
	switch Recognise(content) {
	case TypeOpenVPN:
		return Imported{}, fmt.Errorf("importing %s: this is an OpenVPN file, which this version does not support yet: ask the provider for a WireGuard file", shownName)
	case "":
		return Imported{}, fmt.Errorf("importing %s: this is neither a wg-quick file (with [Interface] and [Peer]) nor an OpenVPN file", shownName)
	}
	wg, warnings, err := ParseWGQuick(shownName, content)
	if err != nil {
		return Imported{}, err
	}
	return Imported{Label: labelFromHint(name), Type: TypeWireGuard, Server: wg.Peers[0].Endpoint.String(), Warnings: warnings}, nil
}

// Import adds a tunnel from a provider's file. A name that can be an exit's is
// taken as it is, and must be free; anything else, like a file's name, is a hint
// from which a free name is made. The tunnel file becomes
// tunnelDir/<name>.conf, 0600, and the section is added to the UCI file, which
// is made (switched off) if there is none. On any error nothing is changed.
func Import(configPath, tunnelDir, name string, content []byte) (Imported, error) {
	im, err := Inspect(name, content)
	if err != nil {
		return Imported{}, err
	}
	dir, err := filepath.Abs(tunnelDir)
	if err != nil {
		return Imported{}, fmt.Errorf("importing a tunnel: %w", err)
	}
	var undo []func()
	err = edit(configPath, true, func(f *File) error {
		if err := asError(f.problems); err != nil {
			return err
		}
		var err error
		if im.Name, err = freeName(f, dir, name); err != nil {
			return err
		}
		im.File = filepath.Join(dir, im.Name+".conf")
		if undo, err = writeTunnel(dir, im.File, content); err != nil {
			return err
		}
		return addTunnel(f, im)
	})
	if err != nil {
		for _, u := range slices.Backward(undo) {
			u()
		}
		return Imported{}, err
	}
	return im, nil
}

// addTunnel adds the section, and main before it if there is none.
func addTunnel(f *File, im Imported) error {
	if f.Section("main") == nil {
		if err := f.AddSection("lanseal", "main"); err != nil {
			return err
		}
		if err := f.Set("main", "enabled", "0"); err != nil {
			return err
		}
	}
	if err := f.AddSection("tunnel", im.Name); err != nil {
		return err
	}
	for _, o := range [][2]string{{"enabled", "1"}, {"label", im.Label}, {"type", im.Type}, {"file", im.File}} {
		if err := f.Set(im.Name, o[0], o[1]); err != nil {
			return err
		}
	}
	return nil
}

// writeTunnel makes the tunnel file, which must not exist, and says how to undo
// it. Creating it exclusively reserves the name before the contents come.
func writeTunnel(dir, path string, content []byte) (undo []func(), err error) {
	defer func() {
		if err != nil {
			for _, u := range slices.Backward(undo) {
				u()
			}
			undo = nil
		}
	}()
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the folder of the tunnel files: %w", err)
		}
		undo = append(undo, func() { _ = os.Remove(dir) })
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return undo, fmt.Errorf("making the tunnel file: %w", err)
	}
	undo = append(undo, func() { _ = os.Remove(path) })
	if err := f.Close(); err != nil {
		return undo, err
	}
	return undo, atomicfile.Write(path, content, 0o600)
}

// freeName picks the exit's name.
func freeName(f *File, dir, hint string) (string, error) {
	tunnels := 0
	for _, s := range f.sections {
		if s.Type == "tunnel" {
			tunnels++
		}
	}
	if tunnels >= rules.MaxExits {
		return "", fmt.Errorf("adding a tunnel: there are %d already, which is the most", tunnels)
	}
	taken := func(name string) string {
		if name == rules.ViaDirect || name == rules.ViaBlock || name == "main" {
			return "the word has a meaning of its own"
		}
		if s := f.Section(name); s != nil {
			return fmt.Sprintf("%s has it, on line %d of %s", s.title(), s.Line, f.path)
		}
		if _, err := os.Lstat(filepath.Join(dir, name+".conf")); !errors.Is(err, fs.ErrNotExist) {
			return "there is a file " + filepath.Join(dir, name+".conf")
		}
		return ""
	}
	if ValidExitName(hint) {
		if why := taken(hint); why != "" {
			return "", fmt.Errorf("adding a tunnel: the name '%s' is taken: %s", hint, why)
		}
		return hint, nil
	}
	return UniqueName(hint, func(name string) bool { return taken(name) != "" })
}

// UniqueName makes a name that fits [a-z][a-z0-9_]{0,11} of any hint, like
// "mullvad_se_s" of "Mullvad-SE-Stockholm.conf", with a number behind it until it
// is not taken.
func UniqueName(hint string, taken func(string) bool) (string, error) {
	base := nameFromHint(hint)
	if !taken(base) {
		return base, nil
	}
	for n := 2; n < 1000; n++ {
		suffix := "_" + strconv.Itoa(n)
		name := strings.TrimRight(base[:min(len(base), 12-len(suffix))], "_") + suffix
		if !taken(name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("finding a name: '%s' and all like it are taken", base)
}

// stem is a file's name without folders and without its ending.
func stem(hint string) string {
	if i := strings.LastIndexAny(hint, `/\`); i >= 0 {
		hint = hint[i+1:]
	}
	for _, ext := range []string{".conf", ".ovpn", ".txt", ".wg"} {
		if n := len(hint) - len(ext); n >= 0 && strings.EqualFold(hint[n:], ext) {
			return hint[:n]
		}
	}
	return hint
}

func nameFromHint(hint string) string {
	var b []byte
	for _, c := range []byte(strings.ToLower(stem(hint))) {
		if !isAlnum(c) {
			c = '_'
		}
		if c == '_' && (len(b) == 0 || b[len(b)-1] == '_') {
			continue
		}
		b = append(b, c)
	}
	if len(b) > 0 && (b[0] < 'a' || b[0] > 'z') {
		b = append([]byte("t"), b...)
	}
	name := strings.TrimRight(string(b[:min(len(b), 12)]), "_")
	if name == "" {
		return "tunnel"
	}
	return name
}

// labelFromHint is the file's name as a person would write it.
func labelFromHint(hint string) string {
	label := strings.Map(printable, strings.ToValidUTF8(stem(hint), ""))
	label = strings.Join(strings.FieldsFunc(label, func(r rune) bool { return r == '-' || r == '_' || r == ' ' }), " ")
	if len(label) > maxLabel {
		label = strings.ToValidUTF8(label[:maxLabel], "")
	}
	return label
}

// printable drops control characters, for strings.Map.
func printable(r rune) rune {
	if r < 32 || r == 127 {
		return -1
	}
	return r
}

// SetEnabled changes main.enabled and nothing else. It works on a file that is
// otherwise broken, so that lanseal can always be switched off.
func SetEnabled(path string, on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	return Edit(path, func(f *File) error {
		if f.Section("main") == nil {
			if err := f.AddSection("lanseal", "main"); err != nil {
				return err
			}
		}
		return f.Set("main", "enabled", value)
	})
}
