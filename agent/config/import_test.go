package config

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const testTunnel = "[Interface]\nPrivateKey = " + testPrivate + "\nAddress = 10.0.0.2\nPostUp = reboot\n" +
	"[Peer]\nPublicKey = " + testPublic + "\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 192.0.2.1:51820\n"

// tree is every file under a folder, with its mode and text.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		text := ""
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(data)
		}
		files[rel] = info.Mode().String() + "\n" + text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(files, ".")
	return files
}

func TestImportIntoNothing(t *testing.T) {
	dir := t.TempDir()
	tunnels := filepath.Join(dir, "tunnels")
	got, err := Import(filepath.Join(dir, "lanseal"), tunnels, "Mullvad-SE-Stockholm.conf", []byte(testTunnel))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(tunnels, "mullvad_se_s.conf")
	want := Imported{Name: "mullvad_se_s", Label: "Mullvad SE Stockholm", Type: "wireguard", Server: "192.0.2.1:51820", File: file, Warnings: []string{
		"Mullvad-SE-Stockholm.conf:4: [Interface] PostUp: is ignored: lanseal sets its own marks and routes, and never runs a command of a tunnel file"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{
		"lanseal": "-rw-------\nconfig lanseal 'main'\n\toption enabled '0'\n\nconfig tunnel 'mullvad_se_s'\n\toption enabled '1'\n" +
			"\toption label 'Mullvad SE Stockholm'\n\toption type 'wireguard'\n\toption file '" + file + "'\n",
		"tunnels":                   "drwx------\n",
		"tunnels/mullvad_se_s.conf": "-rw-------\n" + testTunnel,
	}, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
	c, err := Load(filepath.Join(dir, "lanseal"), Options{})
	if err != nil || len(c.Policy.Exits) != 1 || c.Policy.Enabled {
		t.Errorf("what was imported does not load: %v, %+v", err, c.Policy)
	}
}

func TestImportKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lanseal")
	const before = "# mine\nconfig lanseal main\n\toption enabled 1 # on\n\nconfig device 'se'\n\tlist ip 192.168.1.9\n"
	if err := os.WriteFile(path, []byte(before), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "se_2.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Import(path, dir, "/tmp/se.conf", []byte(testTunnel))
	if err != nil || got.Name != "se_3" {
		t.Fatalf("%v, %+v", err, got)
	}
	after := tree(t, dir)["lanseal"]
	if !strings.HasPrefix(after, "-rw-r-----\n"+before+"\nconfig tunnel 'se_3'\n") {
		t.Error(after)
	}
}

func TestImportRefusesAndChangesNothing(t *testing.T) {
	const good = "config lanseal main\nconfig tunnel 'se'\n\toption enabled 0\n"
	var many strings.Builder
	for i := range 120 {
		many.WriteString("config tunnel t" + strings.Repeat("x", i%5) + string(rune('a'+i%26)) + "\n")
	}
	tests := []struct{ name, config, exit, content, want string }{
		{"openvpn", good, "a.ovpn", "client\ndev tun\nremote a.example 1194\n", "importing a.ovpn: this is an OpenVPN file, which this version does not support yet: ask the provider for a WireGuard file"},
		{"neither", good, "a.conf", "hello", "importing a.conf: this is neither a wg-quick file (with [Interface] and [Peer]) nor an OpenVPN file"},
		{"broken tunnel", good, "a.conf", "[Interface]\n[Peer]\n", "a.conf:1: [Interface] PrivateKey: is missing"},
		{"taken name", good, "se", testTunnel, "adding a tunnel: the name 'se' is taken: tunnel 'se' has it, on line 2 of "},
		{"reserved name", good, "block", testTunnel, "adding a tunnel: the name 'block' is taken: the word has a meaning of its own"},
		{"taken file", good, "us", testTunnel, "adding a tunnel: the name 'us' is taken: there is a file "},
		{"broken configuration", good + "option\n", "de", testTunnel, "lanseal:4: tunnel 'se': 'option' needs a name"},
		{"too many", many.String(), "de", testTunnel, "adding a tunnel: there are 120 already, which is the most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"lanseal": tt.config, "us.conf": "x"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before := tree(t, dir)
			_, err := Import(filepath.Join(dir, "lanseal"), dir, tt.exit, []byte(tt.content))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
			if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("no folder to write to", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		before := tree(t, dir)
		if _, err := Import(filepath.Join(dir, "lanseal"), filepath.Join(dir, "file", "x"), "se", []byte(testTunnel)); err == nil {
			t.Error("no error")
		}
		if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestUniqueName(t *testing.T) {
	for hint, want := range map[string]string{
		"Mullvad-SE-Stockholm.conf": "mullvad_se_s", "se.conf": "se", "-": "tunnel", "": "tunnel", "01-de.CONF": "t01_de",
		`C:\Users\me\us east.conf`: "us_east", "Ünïcode.conf": "n_code", "___": "tunnel", "a__b--c": "a_b_c", "abcdefghijk-x": "abcdefghijk", "x.conf.conf": "x_conf",
	} {
		got, err := UniqueName(hint, func(string) bool { return false })
		if err != nil || got != want || !ValidExitName(got) {
			t.Errorf("%q: %q, %v, want %q", hint, got, err, want)
		}
	}
	taken := map[string]bool{}
	for range 150 {
		name, err := UniqueName("Mullvad-SE-Stockholm.conf", func(s string) bool { return taken[s] })
		if err != nil || taken[name] || !ValidExitName(name) {
			t.Fatalf("%q, %v", name, err)
		}
		taken[name] = true
	}
	if !taken["mullvad_se_2"] || !taken["mullvad_100"] {
		t.Error(taken)
	}
	if _, err := UniqueName("a", func(string) bool { return true }); err == nil {
		t.Error("no error when every name is taken")
	}
}

func TestSetEnabled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lanseal")
	if err := SetEnabled(path, false); err == nil {
		t.Error("switching off what is not there is no error")
	}
	for _, tt := range []struct{ before, after string }{
		{"config lanseal main\n\toption enabled \"1\" # x\n", "config lanseal main\n\toption enabled '0' # x\n"},
		{"config lanseal main\n\tlist via se\n", "config lanseal main\n\tlist via se\n\toption enabled '0'\n"},
		{"config device tv\n", "config device tv\n\nconfig lanseal 'main'\n\toption enabled '0'\n"},
		{"", "config lanseal 'main'\n\toption enabled '0'\n"},
		{"garbage\nconfig lanseal main\n\toption enabled 'yes'\noption x '\n", "garbage\nconfig lanseal main\n\toption enabled '0'\noption x '\n"},
		{"config lanseal main\n\toption enabled 1\nconfig lanseal main\n\toption enabled 1\n", "config lanseal main\n\toption enabled 1\nconfig lanseal main\n\toption enabled '0'\n"},
	} {
		if err := os.WriteFile(path, []byte(tt.before), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := SetEnabled(path, false); err != nil {
			t.Error(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != tt.after {
			t.Errorf("%v: got %q, want %q", err, got, tt.after)
		}
		if c, _ := Load(path, Options{}); c.Policy.Enabled {
			t.Errorf("still on: %q", got)
		}
	}
}

// TestEditsAtTheSameTime has many writers; the lock lets none of their changes
// get lost.
func TestEditsAtTheSameTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lanseal")
	if err := os.WriteFile(path, []byte("config lanseal main\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				err := Edit(path, func(f *File) error {
					return f.SetList("main", "via", append(f.GetList("main", "via"), string(rune('a'+i))))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	data, _ := os.ReadFile(path)
	f, err := Parse(path, data)
	if n := len(f.GetList("main", "via")); n != 80 || err != nil {
		t.Errorf("%d changes of 80 arrived, %v", n, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
