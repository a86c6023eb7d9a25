package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fatalCommand is the hidden subcommand that runs a program and kills it right
// before its Nth change of anything that outlives it.
const fatalCommand = "lab-fatal"

// FatalExit is the exit status of a program that was killed at its change.
const FatalExit = 128 + int(syscall.SIGKILL)

// Fatal is a command line that runs argv and ends it by kill -9 right before
// its Nth change of a file, of the network, or of a program it has begun: the
// system calls are watched by ptrace(2), so each N names one instruction. With
// a signal, changes are counted from when that is passed on. The exit status
// is FatalExit when it came to that, else the program's own.
func Fatal(n int, from syscall.Signal, argv ...string) []string {
	return append([]string{"/proc/self/exe", fatalCommand, strconv.Itoa(n), strconv.Itoa(int(from))}, argv...)
}

// tracer follows one program and its threads. Programs that it begins are let
// go when they are on their own.
type tracer struct {
	pid   int // of the program
	left  int // changes until the end; 0: it has come
	from  syscall.Signal
	begun chan struct{} // closed when changes count
}

func runFatal(args []string) (int, error) {
	if len(args) < 3 {
		return 1, errors.New("usage: N SIGNAL PROGRAM [ARGUMENT…]")
	}
	n, err := strconv.Atoi(args[0])
	from, err2 := strconv.Atoi(args[1])
	if err := errors.Join(err, err2); err != nil {
		return 1, err
	}
	runtime.LockOSThread() // ptrace(2) is between threads
	cmd := exec.Command(args[2], args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	t := &tracer{pid: cmd.Process.Pid, left: n, from: syscall.Signal(from), begun: make(chan struct{})}
	if from == 0 {
		close(t.begun)
	}
	go t.passOn()
	return t.follow()
}

// passOn hands signals to the program, as if it had been asked itself.
func (t *tracer) passOn() {
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	for s := range ch {
		if s == t.from && !t.counts() {
			close(t.begun)
		}
		_ = syscall.Kill(t.pid, s.(syscall.Signal))
	}
}

func (t *tracer) counts() bool {
	select {
	case <-t.begun:
		return true
	default:
		return false
	}
}

const traceOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACECLONE |
	unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC

// follow stops at every system call, until the program has ended.
func (t *tracer) follow() (int, error) {
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(t.pid, &ws, 0, nil); err != nil {
		return 1, err
	}
	if err := syscall.PtraceSetOptions(t.pid, traceOptions); err != nil {
		return 1, err
	}
	known := map[int]bool{t.pid: true}
	_ = syscall.PtraceSyscall(t.pid, 0)
	for {
		tid, err := syscall.Wait4(-1, &ws, syscall.WALL, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return 1, err
		case tid == t.pid && ws.Exited():
			return ws.ExitStatus(), nil
		case tid == t.pid && ws.Signaled():
			return 128 + int(ws.Signal()), nil
		case !ws.Stopped():
			continue // a thread's end
		}
		pass := 0
		switch sig := ws.StopSignal(); {
		case sig == syscall.SIGTRAP|0x80:
			if t.left > 0 && t.counts() && changes(tid) {
				t.count()
			}
		case sig == syscall.SIGTRAP && ws.TrapCause() == unix.PTRACE_EVENT_EXEC && tid != t.pid:
			if t.left > 0 && t.counts() {
				t.count()
			}
			_ = syscall.PtraceDetach(tid)
			continue
		case sig == syscall.SIGTRAP && ws.TrapCause() > 0:
		case sig == syscall.SIGSTOP && !known[tid]:
			known[tid] = true // a new thread's first stop is ptrace's own
		default:
			pass = int(sig)
		}
		_ = syscall.PtraceSyscall(tid, pass) // fails where the thread has ended, which Wait4 tells
	}
}

func (t *tracer) count() {
	if t.left--; t.left == 0 {
		_ = syscall.Kill(t.pid, syscall.SIGKILL)
	}
}

// call is the entry of a system call (struct ptrace_syscall_info, ptrace(2)).
type call struct {
	op        uint8
	_         [3]uint8
	_         uint32 // architecture
	_, _      uint64 // instruction and stack pointers
	nr        uint64
	args      [6]uint64
	_, _, _   uint64 // room for what later kernels add
	stoppedBy int
}

// changes says whether a thread is about to change what outlives its process.
func changes(tid int) bool {
	const getSyscallInfo, entry = 0x420e, 1
	c := call{stoppedBy: tid}
	if _, _, errno := syscall.RawSyscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(tid), unsafe.Offsetof(c.stoppedBy), uintptr(unsafe.Pointer(&c)), 0, 0); errno != 0 || c.op != entry {
		return false
	}
	switch nr := int(c.nr); {
	case nr == unix.SYS_OPENAT:
		return c.args[2]&(unix.O_CREAT|unix.O_TRUNC) != 0
	case nr == unix.SYS_WRITE || nr == unix.SYS_PWRITE64 || nr == unix.SYS_WRITEV:
		return c.toFile()
	case nr == unix.SYS_SENDTO:
		return c.family(c.args[4]) == unix.AF_NETLINK && c.asksForChange()
	case nr == unix.SYS_SENDMSG:
		return c.family(binary.NativeEndian.Uint64(c.peek(c.args[1], 8))) == unix.AF_NETLINK
	}
	return slices.Contains([]int{
		unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT, unix.SYS_MKDIRAT, unix.SYS_SYMLINKAT, unix.SYS_LINKAT,
		unix.SYS_FTRUNCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FCHMOD, unix.SYS_FCHOWN, unix.SYS_UTIMENSAT,
	}, int(c.nr))
}

// toFile leaves out pipes, sockets, and the lab's own logs.
func (c call) toFile() bool {
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.stoppedBy, c.args[0]))
	return err == nil && strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "/dev/") && !strings.HasSuffix(name, ".log")
}

func (c call) peek(at uint64, n int) []byte {
	b := make([]byte, n)
	if at != 0 {
		_, _ = syscall.PtracePeekData(c.stoppedBy, uintptr(at), b)
	}
	return b
}

func (c call) family(sockaddr uint64) uint16 { return binary.NativeEndian.Uint16(c.peek(sockaddr, 2)) }

// asksForChange leaves out rtnetlink's questions: of its four kinds of message,
// NEW, DEL, GET and SET, the third (linux/rtnetlink.h).
func (c call) asksForChange() bool {
	kind := binary.NativeEndian.Uint16(c.peek(c.args[1]+4, 2))
	return kind >= unix.RTM_BASE && (kind>>8 != 0 || kind&3 != 2)
}
