package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// labsDir holds one folder per living lab, with its owner's identity.
const labsDir = "/run/lanseal-lab"

// claim makes the lab's folder and records whose it is: the process id and its
// start time, because ids come again.
func claim(dir string) error {
	err := os.MkdirAll(dir, 0o755)
	for tries := 0; errors.Is(err, os.ErrNotExist) && tries < 100; tries++ {
		err = os.MkdirAll(dir, 0o755) // another lab, closing, has just removed the folder of all labs
	}
	if err != nil {
		return err
	}
	pid := os.Getpid()
	// Renamed into place, so that no other lab's sweep reads half of it.
	tmp := filepath.Join(dir, "owner.new")
	if err := os.WriteFile(tmp, fmt.Appendf(nil, "%d %s\n", pid, startTime(pid)), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, "owner"))
}

// startTime is field 22 of /proc/PID/stat, empty when there is no such process.
func startTime(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	if f := strings.Fields(rest); len(f) > 19 && f[0] != "Z" && f[0] != "X" {
		return f[19]
	}
	return ""
}

// Sweep removes what labs of dead processes left: processes inside their
// namespaces, the namespaces' names, their folders.
func Sweep() {
	dirs, _ := filepath.Glob(labsDir + "/lanseal-*")
	for _, dir := range dirs {
		if b, err := os.ReadFile(filepath.Join(dir, "owner")); err == nil {
			pid, start, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
			if n, _ := strconv.Atoi(pid); start != "" && startTime(n) == start {
				continue
			}
		} else if st, err := os.Stat(dir); err == nil && time.Since(st.ModTime()) < time.Minute {
			continue // being made or removed just now
		}
		sweepLab(dir)
	}
	_ = os.Remove(labsDir)
}

func sweepLab(dir string) {
	names, _ := filepath.Glob(filepath.Join(netnsDir, filepath.Base(dir)+"-*"))
	inodes := map[uint64]bool{}
	for _, n := range names {
		var fs unix.Statfs_t
		var st unix.Stat_t
		// Not yet or no longer pinned, it is a plain file: no namespace.
		if unix.Statfs(n, &fs) == nil && fs.Type == unix.NSFS_MAGIC && unix.Stat(n, &st) == nil {
			inodes[st.Ino] = true
		}
	}
	killInside(inodes)
	for _, n := range names {
		unpin(n)
	}
	_ = os.RemoveAll(dir)
}

// killInside kills every process whose network namespace is one of ours, which
// also finds children that a lanseal or a dnsmasq left behind, and waits until
// they are gone.
func killInside(inodes map[uint64]bool) {
	if len(inodes) == 0 {
		return
	}
	deadline := time.Now().Add(3 * time.Second)
	for time.Now().Before(deadline) {
		found := pidsInside(inodes)
		if len(found) == 0 {
			return
		}
		for _, pid := range found {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func pidsInside(inodes map[uint64]bool) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err != nil {
			continue // gone, or a zombie, which has no namespaces
		}
		n, _ := strconv.ParseUint(strings.Trim(strings.TrimPrefix(link, "net:"), "[]"), 10, 64)
		if inodes[n] {
			pids = append(pids, pid)
		}
	}
	return pids
}
