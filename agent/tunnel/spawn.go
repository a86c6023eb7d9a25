package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketDir is where wg(8) and wgctrl look; it is not ours to choose.
const socketDir = "/var/run/wireguard"

func socketPath(device string) string { return socketDir + "/" + device + ".sock" }

type socketState int

const (
	socketNone    socketState = iota
	socketStale               // nobody listens
	socketDeaf                // somebody listens, and does not answer
	socketAnswers             // as it should be
)

type socket struct {
	state socketState
	pid   int // who listens; 0: not known
}

// lookSocket asks the socket for the device, as any reader would, and throws
// the answer away: it begins with the private key.
func lookSocket(ctx context.Context, device string) socket {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socketPath(device))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return socket{state: socketNone}
	case errors.Is(err, unix.EAGAIN), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return socket{state: socketDeaf} // its queue is full
	case err != nil:
		return socket{state: socketStale}
	}
	defer func() { _ = conn.Close() }()
	s := socket{state: socketDeaf, pid: peerPID(conn)}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write([]byte("get=1\n\n")); err != nil {
		return s
	}
	var answer [512]byte
	if n, err := conn.Read(answer[:]); err == nil && n > 0 {
		s.state = socketAnswers
	}
	clear(answer[:])
	return s
}

// peerPID is the process that called listen.
func peerPID(conn net.Conn) int {
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return 0
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

// spawn starts a child and waits until it serves the device. The child gets
// nothing but a name: no key, no descriptor but the end of a pipe that it
// closes when it is ready.
func spawn(ctx context.Context, device string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the userspace tunnel: %w", err)
	}
	defer func() { _ = r.Close() }()
	cmd := exec.Command("/proc/self/exe", ChildCommand, device) //nolint:noctx // it outlives every context, and this process
	cmd.Args[0] = "lanseal"
	cmd.Dir = "/"
	cmd.Env = []string{"GOGC=50", "GOMEMLIMIT=32MiB", "GOTRACEBACK=none", readyEnv + "=3"}
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	keepToOurselves()
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return fmt.Errorf("starting the userspace tunnel: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // so that it does not stay as a zombie
		close(exited)
	}()

	limit := time.Now().Add(2 * answerWithin)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(limit) {
		limit = deadline
	}
	_ = r.SetReadDeadline(limit)
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })
	defer stop()
	word := make([]byte, 512)
	n, readErr := r.Read(word)
	word = word[:n]
	if string(word) == readyWord {
		return nil
	}
	_ = cmd.Process.Kill()
	<-exited
	switch {
	case cmd.ProcessState.ExitCode() == exitNoTUN:
		return fmt.Errorf("starting the userspace tunnel: %w", ErrNoTUN)
	case n > 0:
		return fmt.Errorf("starting the userspace tunnel: %s", bytes.TrimSpace(word))
	default:
		return fmt.Errorf("starting the userspace tunnel: it did not become ready: %w", readErr)
	}
}

// keepToOurselves marks every open file as not to be inherited. Go does that
// for its own; what a supervisor left open would live on in the child, a lock
// or a log pipe among it.
func keepToOurselves() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// endChild lets a child go that has lost its device, and ends it when it does
// not; one that is deaf is not waited for. Nothing is sent to a process that is
// not of this binary.
func endChild(device string, pid int, deaf bool) {
	if pid <= 0 {
		return
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		fd = -1 // before Linux 5.3
	} else {
		defer func() { _ = unix.Close(fd) }()
	}
	if !isChild(pid, device) {
		return
	}
	signals := []unix.Signal{0, unix.SIGTERM, unix.SIGKILL}
	if deaf {
		signals = signals[2:]
	}
	for _, sig := range signals {
		switch {
		case sig == 0: // it may be going by itself
		case fd >= 0:
			_ = unix.PidfdSendSignal(fd, sig, nil, 0)
		case isChild(pid, device):
			_ = unix.Kill(pid, sig)
		}
		if gone(fd, pid, device, time.Second) {
			return
		}
	}
}

// gone waits for a process to end.
func gone(fd, pid int, device string, limit time.Duration) bool {
	end := time.Now().Add(limit)
	for {
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		if fd < 0 {
			if !isChild(pid, device) {
				return true
			}
			<-time.After(min(left, 20*time.Millisecond))
			continue
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if n > 0 {
			return true
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
	}
}

// isChild says whether the process is a child for this device: of this binary,
// also after an upgrade has replaced the file, and of this network namespace.
func isChild(pid int, device string) bool {
	proc := "/proc/" + strconv.Itoa(pid)
	line, err := os.ReadFile(proc + "/cmdline")
	if err != nil {
		return false
	}
	args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	if len(args) != 3 || args[1] != ChildCommand || args[2] != device {
		return false
	}
	return sameBinary(proc) && !elsewhere(pid)
}

func sameBinary(proc string) bool {
	mine, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return false
	}
	its, err := os.Readlink(proc + "/exe")
	if err != nil {
		return false
	}
	const deleted = " (deleted)"
	return strings.TrimSuffix(mine, deleted) == strings.TrimSuffix(its, deleted)
}

// elsewhere says that the process is in another network namespace.
func elsewhere(pid int) bool {
	mine, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return false
	}
	its, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/net")
	return err == nil && mine != its
}
