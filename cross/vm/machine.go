package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// flashSize is that of a small router's overlay.
const flashSize = 16 << 20

// machine is one guest in QEMU, plugged into the lab. Its flash survives Off.
type machine struct {
	arch arch
	lab  *lab.Lab
	dir  string
	proc *lab.Process

	orders net.Conn
	said   *bufio.Reader
	count  int
}

// newMachine writes what the guest boots from.
func newMachine(l *lab.Lab, a arch, initrd []byte) (*machine, error) {
	m := &machine{arch: a, lab: l, dir: l.Dir}
	if err := os.WriteFile(m.path("initrd"), initrd, 0o600); err != nil {
		return nil, err
	}
	// Erased flash is all ones.
	return m, os.WriteFile(m.path("flash"), bytes.Repeat([]byte{0xff}, flashSize), 0o600)
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, "vm-"+name) }

// On switches the machine on; it is booting when On returns. More are arguments
// of QEMU.
func (m *machine) On(more ...string) error {
	a := m.arch
	argv := append([]string{a.qemu}, a.board...)
	argv = append(argv, "-m", strconv.Itoa(a.memory), "-accel", "tcg,thread=multi", "-smp", "1",
		"-nodefaults", "-no-user-config", "-display", "none",
		"-kernel", a.parts().kernel(), "-initrd", m.path("initrd"),
		"-append", "console="+a.console+" rdinit=/init quiet loglevel=4 panic=-1 lanseal.orders="+a.orders+" lanseal.flash="+a.flash,
		"-chardev", "file,id=console,append=on,path="+m.path("console.log"),
		"-chardev", "socket,id=orders,server=on,wait=off,path="+m.path("orders"),
		"-chardev", "socket,id=monitor,server=on,wait=off,path="+m.path("monitor"), "-mon", "chardev=monitor",
		"-serial", "chardev:console",
		"-netdev", "tap,id=lan,script=no,downscript=no,ifname="+lab.TapLAN,
		"-netdev", "tap,id=wan,script=no,downscript=no,ifname="+lab.TapWAN,
		"-device", a.slot("virtio-net-pci,netdev=lan,romfile=,mac=02:00:00:00:01:02", 0),
		"-device", a.slot("virtio-net-pci,netdev=wan,romfile=,mac="+lab.MACRouterWAN, 1))
	p, err := m.lab.Router.Start(slices.Concat(argv, a.ordersArgs(), a.flashArgs(m.path("flash")), more)...)
	if err != nil {
		return fmt.Errorf("starting QEMU: %w", err)
	}
	m.proc = p
	return nil
}

// Off cuts the power.
func (m *machine) Off() {
	m.hangUp()
	if m.proc != nil {
		m.proc.Kill()
		m.proc = nil
	}
}

// Ended waits until the guest has switched itself off.
func (m *machine) Ended(ctx context.Context) error {
	m.hangUp()
	err := m.proc.Wait(ctx)
	if err == nil {
		m.proc = nil
	}
	return err
}

// PowerCut is the reset button: no script runs.
func (m *machine) PowerCut() error {
	m.hangUp()
	c, err := net.DialTimeout("unix", m.path("monitor"), 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(c)
	if _, err := r.ReadString(')'); err != nil { // "(qemu)"
		return fmt.Errorf("talking to QEMU: %w", err)
	}
	if _, err := fmt.Fprintln(c, "system_reset"); err != nil {
		return err
	}
	_, err = r.ReadString(')')
	return err
}

func (m *machine) hangUp() {
	if m.orders != nil {
		m.orders.Close()
		m.orders = nil
	}
}

// Wait waits until the guest takes orders, which it does when the boot's
// scripts have ended.
func (m *machine) Wait(ctx context.Context) error {
	m.hangUp()
	var d net.Dialer
	for {
		if !m.proc.Running() {
			return fmt.Errorf("QEMU has ended: %s", m.proc.Log())
		}
		c, err := d.DialContext(ctx, "unix", m.path("orders"))
		if err == nil {
			m.orders, m.said = c, bufio.NewReader(c)
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for QEMU: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return m.heard(ctx, "orders: ready")
}

// heard waits for a line that ends in the text.
func (m *machine) heard(ctx context.Context, text string) error {
	stop := context.AfterFunc(ctx, func() { _ = m.orders.SetReadDeadline(time.Now()) })
	defer stop()
	for {
		line, err := m.said.ReadString('\n')
		if err != nil {
			return fmt.Errorf("waiting for the guest's %q: %w", text, errors.Join(err, context.Cause(ctx)))
		}
		if strings.HasSuffix(strings.TrimRight(line, "\r\n"), text) {
			return nil
		}
	}
}

// Order runs a command in the guest's shell and returns what it printed and its
// exit status.
func (m *machine) Order(ctx context.Context, command string) (string, int, error) {
	m.count++
	mark := fmt.Sprintf("@@%d@@", m.count)
	_ = m.orders.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = m.orders.SetDeadline(time.Now()) })
	defer stop()
	// The mark is put together by the shell, so that no echo can be it.
	if _, err := fmt.Fprintf(m.orders, "( %s\n) 2>&1 </dev/null; s=$?; echo; echo @@%d\"@@ $s\"\n", command, m.count); err != nil {
		return "", 0, fmt.Errorf("ordering %q: %w", command, err)
	}
	var out strings.Builder
	for {
		line, err := m.said.ReadString('\n')
		if err != nil {
			return out.String(), 0, fmt.Errorf("ordering %q: no answer: %w; so far: %s", command, errors.Join(err, context.Cause(ctx)), lastLines(out.String(), 5))
		}
		line = strings.TrimRight(line, "\r\n")
		if status, ok := strings.CutPrefix(line, mark+" "); ok {
			exit, err := strconv.Atoi(status)
			return strings.TrimRight(out.String(), "\n"), exit, err
		}
		out.WriteString(line + "\n")
	}
}

// Must is Order for a command that must succeed.
func (m *machine) Must(ctx context.Context, command string) (string, error) {
	out, exit, err := m.Order(ctx, command)
	if err == nil && exit != 0 {
		err = fmt.Errorf("%s: exit status %d: %s", command, exit, lastLines(out, 10))
	}
	return out, err
}

// Write writes a file in the guest.
func (m *machine) Write(ctx context.Context, path, text string, mode os.FileMode) error {
	_, err := m.Must(ctx, fmt.Sprintf("cat >%s <<'END-OF-FILE'\n%sEND-OF-FILE\nchmod %o %s", path, text, mode, path))
	return err
}

// Console is the end of what QEMU, the kernel and the init scripts said.
func (m *machine) Console() string {
	text, _ := os.ReadFile(m.path("console.log"))
	if m.proc != nil {
		text = append(text, m.proc.Log()...)
	}
	return lastLines(strings.ReplaceAll(string(text), "\r", ""), 40)
}
