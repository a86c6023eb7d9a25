package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// pin binds a namespace to a name, as `ip netns add` does.
func pin(ns, path string) error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	// Shared, so that an unmount here reaches every mount namespace that holds
	// a copy; otherwise those would keep the namespace alive.
	err := unix.Mount("", netnsDir, "", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) {
		if err = unix.Mount(netnsDir, netnsDir, "", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = unix.Mount("", netnsDir, "", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		return fmt.Errorf("sharing %s: %w", netnsDir, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("naming the namespace: %w", err)
	}
	f.Close()
	if err := unix.Mount(ns, path, "", unix.MS_BIND, ""); err != nil {
		os.Remove(path)
		return fmt.Errorf("pinning the namespace: %w", err)
	}
	return nil
}

func unpin(path string) {
	_ = unix.Unmount(path, unix.MNT_DETACH)
	_ = os.Remove(path)
}

// privateMounts gives the calling thread a mount namespace in which /run,
// /etc and /var/lib are its own to write: a tmpfs over /run, overlays over the
// others. Nothing is created on the machine for it. labDir stays visible.
func privateMounts(labDir string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unsharing the mounts: %w", err)
	}
	// Slave, not private: a later unmount outside must reach us.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("making / a slave: %w", err)
	}
	// The copies of pinned namespaces are of no use here and would keep them.
	if names, err := filepath.Glob(netnsDir + "/*"); err == nil {
		for _, n := range names {
			_ = unix.Unmount(n, unix.MNT_DETACH)
		}
	}
	shared, err := unix.Open(labDir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(shared)
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting /run: %w", err)
	}
	for _, d := range []string{labDir, "/run/lock", "/run/wireguard", "/run/overlay"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", shared), labDir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("keeping the lab's folder: %w", err)
	}
	for _, d := range []string{"/etc", "/var/lib"} {
		base := "/run/overlay/" + strings.ReplaceAll(d[1:], "/", "-")
		for _, sub := range []string{"/upper", "/work"} {
			if err := os.MkdirAll(base+sub, 0o755); err != nil {
				return err
			}
		}
		opt := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", d, base, base)
		if err := unix.Mount("overlay", d, "overlay", 0, opt); err != nil {
			return fmt.Errorf("mounting an overlay on %s: %w", d, err)
		}
	}
	for _, d := range []string{"/etc/config", "/etc/lanseal", "/var/lib/lanseal"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	// /sys shows the network of whoever mounted it.
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mounting /sys: %w", err)
	}
	return nil
}
