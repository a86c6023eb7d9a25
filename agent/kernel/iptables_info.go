package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// getInfo is IPT_SO_GET_INFO and IP6T_SO_GET_INFO
// (linux/netfilter_ipv4/ip_tables.h).
const getInfo = 64

// getInfoSize is struct ipt_getinfo: the table's name in 32 bytes, valid hooks,
// 5 entry points, 5 underflows, the number of entries and their size, all
// 32 bits in host byte order, and alike for both families.
const (
	getInfoSize    = 32 + 4*(1+5+5+1+1)
	getInfoEntries = getInfoSize - 8
)

// Fingerprint changes when rules are added to or removed from a table of the
// legacy iptables, which sends no events. It costs a few system calls and runs
// no program; a rule that is replaced by one of the same size escapes it and is
// found by the next full comparison. It may be called at any time. Empty for
// iptables over nf_tables, which does send events.
func (t *IPTables) Fingerprint() (string, error) {
	if t.nft {
		return "", nil
	}
	var b strings.Builder
	for _, f := range []struct {
		domain, level int
		names         string
	}{
		{unix.AF_INET, unix.IPPROTO_IP, "/proc/thread-self/net/ip_tables_names"},
		{unix.AF_INET6, unix.IPPROTO_IPV6, "/proc/thread-self/net/ip6_tables_names"},
	} {
		// Asking for a table makes it: ask only for those that are there.
		names, err := os.ReadFile(f.names)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("listing the tables: %w", err)
		}
		there := strings.Fields(string(names))
		slices.Sort(there)
		if len(there) == 0 {
			continue
		}
		sums, err := tableSizes(f.domain, f.level, there)
		if err != nil {
			return "", err
		}
		b.WriteString(sums)
	}
	return b.String(), nil
}

func tableSizes(domain, level int, tables []string) (string, error) {
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return "", fmt.Errorf("opening a raw socket: %w", err)
	}
	defer unix.Close(fd)
	var b strings.Builder
	for _, table := range tables {
		if !slices.Contains(removalOrder, table) {
			continue // table security
		}
		info := make([]byte, getInfoSize)
		copy(info[:31], table)
		if err := getsockopt(fd, level, getInfo, info); err != nil {
			return "", fmt.Errorf("asking for table %s: %w", table, err)
		}
		entries := binary.NativeEndian.Uint32(info[getInfoEntries:])
		size := binary.NativeEndian.Uint32(info[getInfoEntries+4:])
		fmt.Fprintf(&b, "%d %s %d %d\n", level, bytes.TrimRight(info[:32], "\x00"), entries, size)
	}
	return b.String(), nil
}

// getsockopt passes a structure in and out, which x/sys has no call for.
func getsockopt(fd, level, option int, value []byte) error {
	size := uint32(len(value)) // socklen_t
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&value[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
