package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// now is the time of every story.
var now = time.Date(2026, 11, 23, 19, 0, 0, 0, time.UTC)

// TestStories loads each story of testdata and compares what Load makes of it.
// A story is a sentence, the configuration, the tunnel files beside it, and
// what is expected; DIR stands for their folder.
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/*.story")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, path := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".story"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			input, want, _ := strings.Cut(string(text), "-- want --\n")
			unpack(t, dir, input)
			cfg, err := Load(filepath.Join(dir, "lanseal"), Options{})
			got := strings.ReplaceAll(describe(cfg, err), dir, "DIR")
			if *update {
				if err := os.WriteFile(path, []byte(input+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		})
	}
}

// unpack writes the parts "-- NAME [MODE] --" of a story.
func unpack(t *testing.T, dir, story string) {
	t.Helper()
	head, rest, _ := strings.Cut(story, "-- ")
	if !strings.HasSuffix(strings.TrimSpace(head), ".") {
		t.Fatal("a story begins with a sentence")
	}
	for _, part := range strings.Split(rest, "\n-- ") {
		header, body, _ := strings.Cut(part, " --\n")
		name, modeText, _ := strings.Cut(header, " ")
		mode := uint64(0o600)
		if modeText != "" {
			var err error
			if mode, err = strconv.ParseUint(modeText, 8, 32); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(body+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, os.FileMode(mode)); err != nil {
			t.Fatal(err)
		}
	}
}

func describe(c *Config, err error) string {
	var b strings.Builder
	if err != nil {
		b.WriteString("errors:\n" + indent(err.Error()))
	}
	if len(c.Warnings) > 0 {
		b.WriteString("warnings:\n" + indent(strings.Join(c.Warnings, "\n")))
	}
	p := c.PolicyAt(now)
	listen := "on the LAN"
	if c.WebUIListen.IsValid() {
		listen = c.WebUIListen.String()
	}
	fmt.Fprintf(&b, "enabled %t, kill switch %t, firewall %s, log %s, web %t %s\n",
		p.Enabled, p.KillSwitch, c.Firewall, c.LogLevel, c.WebUI, listen)
	fmt.Fprintf(&b, "lan %v %v, wan %v %v, via %v\n", c.LANNetworks, p.LAN, c.WANNetworks, p.WAN, p.Via)
	fmt.Fprintf(&b, "dns %s %v, bootstrap %v, block ipv6 %t dot %t doh %t, router direct %t\n",
		p.DNS, p.Resolvers, c.Bootstrap, p.BlockIPv6, p.BlockDoT, p.BlockDoH, p.RouterDirect)
	for i, e := range p.Exits {
		t := c.Tunnels[i]
		fmt.Fprintf(&b, "exit %d %s %q %s enabled %t, device %s foreign %t mtu %d\n\taddresses %v allowed %v resolvers %v\n",
			e.Number, e.Name, t.Label, t.Type, e.Enabled, e.Device, e.Foreign, e.MTU, e.Addresses, e.Allowed, e.Resolvers)
		if t.WireGuard != nil {
			for _, peer := range t.WireGuard.Peers {
				fmt.Fprintf(&b, "\tpeer %s psk %t endpoint %s keepalive %d\n", peer.PublicKey, peer.HasPresharedKey, peer.Endpoint, peer.Keepalive)
			}
		}
	}
	for i, d := range p.Devices {
		fmt.Fprintf(&b, "device %s %q %v %v via %v\n", d.Name, c.Devices[i].Label, d.MACs, d.IPs, d.Via)
	}
	for _, x := range p.Exceptions {
		fmt.Fprintf(&b, "exception %s devices %v to %v %s %v\n", x.Name, x.Devices, x.Dest, x.Proto, x.Ports)
	}
	for _, x := range c.Exceptions {
		if !x.InForce(now) {
			fmt.Fprintf(&b, "ended exception %s %s\n", x.Rule.Name, x.Until)
		}
	}
	if next := c.NextChange(now); !next.IsZero() {
		fmt.Fprintf(&b, "next change %s\n", next)
	}
	return b.String()
}

func indent(s string) string { return "\t" + strings.ReplaceAll(s, "\n", "\n\t") + "\n" }
