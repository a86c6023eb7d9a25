package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netnsDir is where `ip netns` looks.
const netnsDir = "/run/netns"

// Host is one machine of the lab: a network namespace and a mount namespace,
// both held by one thread.
type Host struct {
	Name string // "router"
	NS   string // "lanseal-<pid>-<n>-router", as `ip netns exec` knows it

	lab   *Lab
	calls chan func()   // never closed: who asks late must not meet that
	quit  chan struct{} // closed to end the thread
	gone  chan struct{} // closed once it has ended
	once  sync.Once
	nsfd  int
	inode uint64
	nl    *netlink.Handle
}

// newHost makes the namespaces and pins the network one under /run/netns.
func newHost(l *Lab, name string) (*Host, error) {
	h := &Host{Name: name, NS: l.Name + "-" + name, lab: l,
		calls: make(chan func()), quit: make(chan struct{}), gone: make(chan struct{}), nsfd: -1}
	ready := make(chan error)
	go h.serve(ready)
	if err := <-ready; err != nil {
		h.close()
		return nil, fmt.Errorf("making host %s: %w", name, err)
	}
	return h, nil
}

// serve owns the host's thread. The thread is never unlocked, so it dies with
// the goroutine and no other goroutine ever runs inside the namespace.
func (h *Host) serve(ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread's namespace is what /proc/<pid> shows for the whole
		// process: hold it here while another thread takes the job.
		defer runtime.UnlockOSThread()
		moved := make(chan error)
		go h.serve(moved)
		ready <- <-moved
		return
	}
	defer close(h.gone)
	err := h.enter()
	ready <- err
	for {
		select {
		case f := <-h.calls:
			f()
		case <-h.quit:
			return
		}
	}
}

func (h *Host) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unsharing the network: %w", err)
	}
	self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
	fd, err := unix.Open(self, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	h.nsfd = fd
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	h.inode = st.Ino
	// Pinned before the mount namespace is unshared, so that the human's
	// `ip netns` sees it.
	if err := pin(self, filepath.Join(netnsDir, h.NS)); err != nil {
		return err
	}
	if err := privateMounts(h.lab.Dir); err != nil {
		return err
	}
	h.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening netlink: %w", err)
	}
	return h.defaults()
}

// defaults are the sysctls that every host has before its first link, so that
// addresses are usable at once and nothing is configured behind our back.
func (h *Host) defaults() error {
	for _, kv := range [][2]string{
		{"net/ipv6/conf/all/accept_dad", "0"}, {"net/ipv6/conf/default/accept_dad", "0"},
		{"net/ipv6/conf/default/dad_transmits", "0"},
		{"net/ipv6/conf/all/accept_ra", "0"}, {"net/ipv6/conf/default/accept_ra", "0"},
		{"net/ipv4/conf/all/rp_filter", "0"}, {"net/ipv4/conf/default/rp_filter", "0"},
		{"net/ipv4/conf/all/send_redirects", "0"}, {"net/ipv4/conf/default/send_redirects", "0"},
		{"net/ipv4/conf/all/accept_redirects", "0"}, {"net/ipv4/conf/default/accept_redirects", "0"},
		// The next address of a subnet survives the removal of the first.
		{"net/ipv4/conf/all/promote_secondaries", "1"}, {"net/ipv4/conf/default/promote_secondaries", "1"},
		{"net/ipv4/ping_group_range", "0 2147483647"},
		{"net/ipv4/icmp_ratelimit", "0"}, {"net/ipv6/icmp/ratelimit", "0"},
	} {
		if err := os.WriteFile("/proc/sys/"+kv[0], []byte(kv[1]), 0o644); err != nil {
			return fmt.Errorf("setting %s: %w", kv[0], err)
		}
	}
	lo, err := h.nl.LinkByName("lo")
	if err != nil {
		return err
	}
	return h.nl.LinkSetUp(lo)
}

// ErrClosed is what a host says after its lab was closed.
var ErrClosed = errors.New("the lab is closed")

// Do runs f on the host's thread. A socket that f makes belongs to the host
// for life; a file it opens is the host's own. f must not block, must not call
// Do, and what it starts with `go` is elsewhere.
func (h *Host) Do(f func() error) (err error) {
	done := make(chan struct{})
	select {
	case h.calls <- func() { defer close(done); err = f() }:
		<-done
		return err
	case <-h.gone:
		return ErrClosed
	}
}

// Sysctl sets one value, for example "net/ipv4/ip_forward".
func (h *Host) Sysctl(key, value string) error {
	return h.Do(func() error {
		if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0o644); err != nil {
			return fmt.Errorf("%s: setting %s: %w", h.Name, key, err)
		}
		return nil
	})
}

// WriteFile writes one of the host's private files, for example
// /etc/resolv.conf or /etc/config/network.
func (h *Host) WriteFile(path, text string, mode os.FileMode) error {
	return h.Do(func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(text), mode)
	})
}

// ReadFile reads a file as the host sees it.
func (h *Host) ReadFile(path string) (text string, err error) {
	err = h.Do(func() error {
		b, err := os.ReadFile(path)
		text = string(b)
		return err
	})
	return text, err
}

// Netlink is a route socket inside the host.
func (h *Host) Netlink() *netlink.Handle { return h.nl }

// Cmd is an exec.Cmd that starts inside a host.
type Cmd struct {
	*exec.Cmd
	host *Host
}

// Command prepares a program to run inside the host's namespaces.
func (h *Host) Command(ctx context.Context, argv ...string) *Cmd {
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	// The program dies with the host's thread, so with the lab or its crash.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.WaitDelay = waitDelay
	return &Cmd{Cmd: c, host: h}
}

func (c *Cmd) Start() error { return c.host.Do(c.Cmd.Start) }

func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

func (c *Cmd) Output() ([]byte, error) {
	var out, errs strings.Builder
	c.Stdout = &out
	if c.Stderr == nil {
		c.Stderr = &errs
	}
	err := c.Run()
	if err != nil && errs.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	return []byte(out.String()), err
}

func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return []byte(out.String()), err
}

// run executes a program to its end and turns its output into the error.
func (h *Host) run(argv ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	if out, err := h.Command(ctx, argv...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %s: %w: %s", h.Name, strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// NFT loads one nft script, given as text.
func (h *Host) NFT(script string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	c := h.Command(ctx, "nft", "-f", "-")
	c.Stdin = strings.NewReader(script)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: nft: %w: %s", h.Name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// close ends the thread and unpins the namespace.
func (h *Host) close() {
	h.once.Do(func() {
		close(h.quit)
		<-h.gone
		if h.nl != nil {
			h.nl.Close()
		}
		if h.nsfd >= 0 {
			unix.Close(h.nsfd)
		}
		unpin(filepath.Join(netnsDir, h.NS))
	})
}
