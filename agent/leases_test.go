package main

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func TestReadLeases(t *testing.T) {
	dir := t.TempDir()
	path, pipe := filepath.Join(dir, "leases"), filepath.Join(dir, "pipe")
	text := "1764032400 AA:bb:cc:dd:ee:ff 192.168.1.50 tv 01:aa\n1764032400 aa:bb:cc:dd:ee:00 192.168.1.51 * *\nduid 00:01:00\n1764032400 12345 fd00::5 laptop 00:01:00:01:aa\nnonsense\n\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	got := readLeases([]string{"/nonexistent", dir, pipe, path})
	if len(got) != 2 || got[0].mac != "aa:bb:cc:dd:ee:ff" || got[0].hostname != "tv" || got[1].hostname != "" {
		t.Errorf("%+v", got)
	}
}

// The leases are where OpenWrt's configuration says that dnsmasq keeps them.
func TestLeaseFiles(t *testing.T) {
	const usual = "/tmp/dhcp.leases"
	for name, c := range map[string]struct {
		dhcp string // /etc/config/dhcp; empty: there is none
		want []string
	}{
		"no OpenWrt":        {"", usualLeases()},
		"as installed":      {"config dnsmasq\n\toption leasefile '/tmp/dhcp.leases'\n", []string{usual}},
		"moved to flash":    {"config dnsmasq\n\toption domain 'lan'\n\toption leasefile '/etc/dhcp.leases'\n\nconfig odhcpd 'odhcpd'\n\toption leasefile '/tmp/hosts/odhcpd'\n", []string{"/etc/dhcp.leases"}},
		"two instances":     {"config dnsmasq 'lan'\n\toption leasefile '/tmp/b'\nconfig dnsmasq 'guest'\n\toption leasefile \"/tmp/a\"\n", []string{"/tmp/a", "/tmp/b"}},
		"one says nothing":  {"config dnsmasq\n\toption leasefile '/tmp/b'\nconfig dnsmasq 'guest'\n", append([]string{"/tmp/b"}, usualLeases()...)},
		"the last word":     {"config dnsmasq\n\toption leasefile '/tmp/a'\n\toption leasefile '/tmp/b'\n", []string{"/tmp/b"}},
		"no dnsmasq":        {"config odhcpd 'odhcpd'\n\toption leasefile '/tmp/hosts/odhcpd'\n", usualLeases()},
		"a line is damaged": {"config dnsmasq\n\toption 'unended\n\toption leasefile '/tmp/a'\n", []string{"/tmp/a"}},
	} {
		path := filepath.Join(t.TempDir(), "dhcp")
		if c.dhcp != "" {
			if err := os.WriteFile(path, []byte(c.dhcp), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(c.want)
		got := leaseFiles(path)
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
