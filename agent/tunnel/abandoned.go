package tunnel

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// errElsewhere says that a socket is another machine's, in effect.
var errElsewhere = errors.New("the socket of that name is served from another network namespace: give each namespace its own /var/run/wireguard, or the exit another name")

// abandoned says that a child in another network namespace serves nobody: no
// process is left there but children. So ends a namespace whose agent was
// killed and whose name was deleted; the child alone keeps it, and the socket.
func abandoned(pid int) bool {
	home, err := os.Readlink(procPath(pid, "ns/net"))
	if err != nil || !isAnyChild(pid) || !sameBinary(procPath(pid, "")) {
		return false
	}
	all, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, e := range all {
		other, err := strconv.Atoi(e.Name())
		if err != nil || isAnyChild(other) {
			continue
		}
		if ns, err := os.Readlink(procPath(other, "ns/net")); err == nil && ns == home {
			return false
		}
	}
	return true
}

func procPath(pid int, file string) string {
	return strings.TrimSuffix("/proc/"+strconv.Itoa(pid)+"/"+file, "/")
}

// isAnyChild says whether the process serves some device, here or elsewhere.
func isAnyChild(pid int) bool {
	line, err := os.ReadFile(procPath(pid, "cmdline"))
	args := strings.Split(string(line), "\x00")
	return err == nil && len(args) > 2 && args[1] == ChildCommand
}

// dismiss ends an abandoned child, which removes its socket as it goes.
func dismiss(pid int, device string) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if !abandoned(pid) { // looked at again: the descriptor now holds the pid
		return errElsewhere
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil {
		return err
	}
	if !gone(fd, pid, device, answerWithin) {
		return errors.New("an abandoned child does not end")
	}
	return nil
}
