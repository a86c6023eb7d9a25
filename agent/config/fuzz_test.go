package config

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lanseal/lanseal/rules"
)

// FuzzUCI promises: no panic; parsing changes no byte; what is set is what is
// read, every other value stays, and setting it again changes nothing. Only a
// file with something wrong in it may refuse an edit, and stays as it was then.
func FuzzUCI(f *testing.F) {
	for _, s := range []string{
		"", "config t s\n\toption a 'x'\n\tlist b y\n", "config t s\n option a \"x\\\n y\"\n list a z # c\r\n",
		"option a 'x\nconfig t s", "config t 's'\noption a b;c\n", "\xef\xbb\xbfconfig t s\noption a", "config t s\nconfig t s\noption a \\",
		"config t\noption a b\nconfig u\nlist a b\n", "config t s\nlist a\nlist a ''\noption a\n",
	} {
		f.Add([]byte(s), "it's \\ \" #;")
	}
	f.Fuzz(func(t *testing.T, data []byte, value string) {
		file, err := Parse("f", data)
		if !bytes.Equal(file.Bytes(), data) {
			t.Fatal("parsing changed the bytes")
		}
		if err != nil {
			for _, p := range Problems(err) {
				if p.Line < 1 || p.Line > bytes.Count(data, []byte("\n"))+1 || p.Message == "" {
					t.Fatalf("problem %+v", p)
				}
			}
		}
		value = strings.Map(printable, value)
		for _, s := range file.Sections() {
			if s.Name == "" || len(file.named(s.Name)) > 1 || value == "" {
				continue
			}
			before := allValues(file)
			refused := func(raw []byte, editErr error) bool {
				if editErr != nil && (err == nil || !bytes.Equal(raw, file.Bytes())) {
					t.Fatalf("%v, the file was %q, is %q", editErr, raw, file.Bytes())
				}
				return editErr != nil
			}
			if refused(file.Bytes(), file.Set(s.Name, "a", value)) {
				continue
			}
			if got := file.GetList(s.Name, "a"); !slices.Equal(got, []string{value}) {
				t.Fatalf("set %q, read %q of %q", value, got, file.Bytes())
			}
			list := []string{"1", value, "2"}
			if refused(file.Bytes(), file.SetList(s.Name, "a", list)) {
				continue
			}
			once := file.Bytes()
			if err := file.SetList(s.Name, "a", list); err != nil || !bytes.Equal(once, file.Bytes()) {
				t.Fatalf("%v, %q and %q", err, once, file.Bytes())
			}
			if got := file.GetList(s.Name, "a"); !slices.Equal(got, list) {
				t.Fatalf("set %q, read %q of %q", list, got, file.Bytes())
			}
			if refused(file.Bytes(), file.Delete(s.Name, "a")) {
				continue
			}
			if file.GetList(s.Name, "a") != nil {
				t.Fatalf("still there: %q", file.Bytes())
			}
			after := allValues(file)
			delete(before, s.Name+".a")
			if fmt.Sprint(before) != fmt.Sprint(after) {
				t.Fatalf("other values changed from %q to %q in %q", before, after, file.Bytes())
			}
		}
		before, was := allValues(file), file.Bytes()
		switch added := file.AddSection("t", "fuzzed"); {
		case added == nil:
			if s := file.Section("fuzzed"); s == nil || fmt.Sprint(before) != fmt.Sprint(allValues(file)) {
				t.Fatalf("a section added to %q gives %q", was, file.Bytes())
			}
		case err == nil && file.Section("fuzzed") == nil || !bytes.Equal(was, file.Bytes()):
			t.Fatalf("%v, the file was %q, is %q", added, was, file.Bytes())
		}
		for _, s := range file.Sections() {
			if n := len(file.Sections()); err == nil && s.Name != "" && len(file.named(s.Name)) == 1 {
				if err := file.DeleteSection(s.Name); err != nil || len(file.Sections()) != n-1 {
					t.Fatalf("%v deleting %q leaves %q", err, s.Name, file.Bytes())
				}
			}
		}
	})
}

// FuzzWGQuick promises: no panic; no message holds a secret, wherever in the
// file it stands; a file that is accepted is complete.
func FuzzWGQuick(f *testing.F) {
	for _, s := range []string{
		testTunnel, "[Interface]\nPrivateKey = " + testPrivate[:20] + "\n" + testPrivate[20:], "PrivateKey " + testPrivate,
		"[Peer]\nPresharedKey=" + testShared + "\nEndpoint=[::1]:1\nAllowedIPs=::1/129", "[Interface]\nJc=1\nFoo=bar\nAddress=" + testPrivate,
		"[Interface]\nMTU=" + testPrivate + "\nDNS=a.b,1.1.1.1\n[X]\n" + testPrivate + "=1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		wg, warnings, err := ParseWGQuick("f", data)
		said := strings.Join(warnings, "\n")
		if err != nil {
			said += err.Error()
		}
		// Whatever decodes as a key, anywhere in the file, may be one.
		for _, word := range bytes.FieldsFunc(data, func(r rune) bool { return r <= ' ' || r == '#' || r == ',' }) {
			for i := 0; i+44 <= len(word); i++ {
				if raw, err := base64.StdEncoding.DecodeString(string(word[i : i+44])); err == nil && len(raw) == 32 &&
					strings.Contains(said, string(word[i:i+44])) {
					t.Fatalf("a key is in the messages: %s", said)
				}
			}
		}
		for l := range strings.Lines(string(data)) {
			key, value, ok := strings.Cut(strings.TrimSpace(l), "=")
			key = strings.ToLower(strings.TrimSpace(key))
			value, _, _ = strings.Cut(value, "#")
			value = strings.TrimSpace(value)
			if ok && (key == "privatekey" || key == "presharedkey") && len(value) >= 40 && strings.Contains(said, value) {
				t.Fatalf("the value of %s is in the messages: %s", key, said)
			}
		}
		if (wg == nil) != (err != nil) {
			t.Fatalf("tunnel %v, error %v", wg, err)
		}
		if wg != nil && (wg.PrivateKey.IsZero() || len(wg.Addresses) == 0 || len(wg.Peers) == 0) {
			t.Fatalf("incomplete: %v", wg)
		}
		Recognise(data)
	})
}

// FuzzLoad promises: no panic; whatever the file says, the policy names nothing
// that is not there; an error never leaves enabled and killswitch off unless the
// file says so.
func FuzzLoad(f *testing.F) {
	stories, _ := filepath.Glob("testdata/*.story")
	for _, path := range stories {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "-- lanseal --\n")
		uci, _, _ := strings.Cut(rest, "\n-- ")
		f.Add([]byte(uci), []byte(testTunnel))
	}
	f.Add([]byte("config lanseal main\nconfig tunnel se\noption file se.conf\n"), []byte("[Interface]\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, uci, tunnel []byte) {
		if bytes.Contains(uci, []byte("/dev/")) {
			t.Skip()
		}
		path := filepath.Join(dir, fmt.Sprintf("lanseal%d", os.Getpid()))
		for name, data := range map[string][]byte{path: uci, filepath.Join(dir, "se.conf"): tunnel} {
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := Load(path, Options{})
		p := c.PolicyAt(now)
		exits := map[string]bool{rules.ViaBlock: true, rules.ViaDirect: true}
		devices, numbers := map[string]bool{}, map[int]bool{}
		if len(c.Tunnels) != len(p.Exits) || len(c.Devices) != len(p.Devices) {
			t.Fatal("the lists do not match")
		}
		for i, e := range p.Exits {
			tun := c.Tunnels[i]
			if exits[e.Name] || numbers[e.Number] || e.Number < 1 || e.Number > rules.MaxExits || !ValidExitName(e.Name) ||
				e.Device == "" || len(e.Device) > 15 || tun.Name != e.Name || tun.Enabled != e.Enabled || tun.Device != e.Device {
				t.Fatalf("exit %+v, tunnel %+v", e, tun)
			}
			if e.Enabled && tun.Type == TypeWireGuard && tun.WireGuard == nil {
				t.Fatalf("an enabled exit without a tunnel: %+v", e)
			}
			exits[e.Name], numbers[e.Number] = true, true
		}
		checkVia := func(via []string) {
			if len(via) == 0 {
				t.Fatal("an empty via")
			}
			for _, v := range via {
				if err == nil && !exits[v] {
					t.Fatalf("via %q", via)
				}
			}
		}
		checkVia(p.Via)
		for _, d := range p.Devices {
			devices[d.Name] = true
			checkVia(d.Via)
		}
		for _, x := range p.Exceptions {
			if len(x.Dest) == 0 || len(x.Ports) > 0 && x.Proto != "tcp" && x.Proto != "udp" {
				t.Fatalf("exception %+v", x)
			}
			for _, d := range x.Devices {
				if err == nil && !devices[d] {
					t.Fatalf("exception %+v", x)
				}
			}
		}
		for _, d := range slices.Concat(p.LAN, p.WAN) {
			if deviceProblem(d) != "" {
				t.Fatalf("device %q", d)
			}
		}
		if err != nil {
			for _, q := range Problems(err) {
				if q.File == "" || q.Message == "" || !bytes.Contains(slices.Concat(uci, tunnel), []byte("%")) && strings.Contains(q.String(), "%!") {
					t.Fatalf("problem %q", q)
				}
			}
		}
		if (!p.Enabled || !p.KillSwitch) && !bytes.Contains(uci, []byte("enabled")) && !bytes.Contains(uci, []byte("killswitch")) &&
			!bytes.ContainsAny(uci, "'\"\\") {
			t.Fatal("open without being told so")
		}
	})
}
