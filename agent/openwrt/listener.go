package openwrt

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// foreignResolver names the program that answers on port 53 of the router and
// is not dnsmasq, as AdGuard Home does; empty if there is none. Its upstream
// is its own affair.
func (g *Guest) foreignResolver() string {
	var inodes []string
	for _, table := range []string{"udp", "udp6"} {
		text, err := os.ReadFile(g.path("proc/net", table))
		if err == nil {
			inodes = append(inodes, listeners(string(text))...)
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob(g.path("proc/[0-9]*/fd/*"))
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		if err != nil || !strings.HasPrefix(to, "socket:[") || !slices.Contains(inodes, strings.Trim(to[len("socket:"):], "[]")) {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(fd)), "comm"))
		if name := strings.TrimSpace(string(comm)); err == nil && name != "dnsmasq" {
			return name
		}
	}
	return ""
}

// listeners are the inodes of sockets bound to port 53 of /proc/net/udp, those
// on loopback alone left out.
func listeners(table string) []string {
	const portDNS = ":0035"
	var out []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || !strings.HasSuffix(f[1], portDNS) {
			continue
		}
		words, err := hex.DecodeString(strings.TrimSuffix(f[1], portDNS))
		if err != nil || len(words)%4 != 0 {
			continue
		}
		for i := 0; i < len(words); i += 4 { // printed as numbers of the machine's own byte order
			binary.BigEndian.PutUint32(words[i:], binary.NativeEndian.Uint32(words[i:]))
		}
		if a, ok := netip.AddrFromSlice(words); ok && !a.Unmap().IsLoopback() {
			out = append(out, f[9])
		}
	}
	return out
}
