package main

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/lanseal/lanseal/agent/config"
)

// Bounds of what is read of a DHCP server's memory.
const (
	mostLeases     = 4096
	mostLeaseBytes = 1 << 20
)

// dhcpConfig is where OpenWrt says how dnsmasq is to run.
const dhcpConfig = "/etc/config/dhcp"

// usualLeases are where dnsmasq remembers who asked for an address unless it
// is told otherwise: OpenWrt's, Debian's.
func usualLeases() []string { return []string{"/tmp/dhcp.leases", "/var/lib/misc/dnsmasq.leases"} }

// leaseFiles are those that option 'leasefile' of OpenWrt's dnsmasq sections
// names, and the usual ones where one names none.
func leaseFiles(dhcpConfig string) []string {
	text, err := os.ReadFile(dhcpConfig)
	if err != nil {
		return usualLeases()
	}
	var paths []string
	f, _ := config.Parse(dhcpConfig, text) // lines that nobody can read are OpenWrt's business
	for _, s := range f.Sections() {
		if s.Type != "dnsmasq" {
			continue
		}
		if o := s.Option("leasefile"); o != nil && len(o.Values) > 0 {
			paths = append(paths, o.Values[len(o.Values)-1])
		} else {
			paths = append(paths, usualLeases()...)
		}
	}
	if len(paths) == 0 {
		return usualLeases()
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// lease is what a DHCP server knows of a device.
type lease struct {
	mac, hostname string
	ip            netip.Addr
}

// readLeases reads dnsmasq's format: expiry, MAC, address, name, client id. A
// path that is no plain file is left alone: a pipe would be waited for.
func readLeases(paths []string) []lease {
	var out []lease
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(io.LimitReader(f, mostLeaseBytes)); lines.Scan() && len(out) < mostLeases; {
			fields := strings.Fields(lines.Text())
			if len(fields) < 4 {
				continue
			}
			ip, err := netip.ParseAddr(fields[2])
			if err != nil || strings.Count(fields[1], ":") != 5 {
				continue // IPv6 leases name a client by its DUID
			}
			l := lease{mac: strings.ToLower(fields[1]), ip: ip}
			if fields[3] != "*" {
				l.hostname = fields[3]
			}
			out = append(out, l)
		}
		f.Close()
	}
	return out
}
