package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
)

// A kept lab lives in a process of its own: its hosts are threads and its
// servers goroutines. The command that the user typed waits for the end of the
// walk, and leaves with its status.

// keeperEnv marks that process.
const keeperEnv = "LANSEAL_DEMO_KEEPER"

// Descriptors of the keeper, besides the three usual ones.
const (
	statusFD = 3 // the verdict goes here
	aliveFD  = 4 // ends when the user's command does
)

// keptFile in a lab's folder says that its owner may be asked to end.
const keptFile = "kept"

// background starts the keeper and stays until its walk is over.
func background() int {
	self, err := os.Executable()
	if err != nil {
		return complain(err)
	}
	statusR, statusW, err := os.Pipe()
	if err != nil {
		return complain(err)
	}
	aliveR, aliveW, err := os.Pipe()
	if err != nil {
		return complain(err)
	}
	defer aliveW.Close()
	c := exec.Command(self, os.Args[1:]...)
	c.Env = append(os.Environ(), keeperEnv+"=1")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.ExtraFiles = []*os.File{statusW, aliveR}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return complain(err)
	}
	statusW.Close()
	aliveR.Close()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range signals {
			_ = c.Process.Signal(s)
		}
	}()
	said, _ := io.ReadAll(statusR)
	if status, err := strconv.Atoi(string(said)); err == nil {
		return status // it stays
	}
	_ = c.Wait()
	return max(c.ProcessState.ExitCode(), failed)
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "lanseal-lab demo:", err)
	return failed
}

// watchParent ends the keeper when the user's command is gone before its time.
func watchParent() (release func()) {
	// Children must not hold them open.
	unix.CloseOnExec(statusFD)
	unix.CloseOnExec(aliveFD)
	alive := os.NewFile(aliveFD, "alive")
	released := make(chan struct{})
	go func() {
		_, _ = alive.Read(make([]byte, 1))
		select {
		case <-released:
		default:
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		}
	}()
	return func() { close(released) }
}

// keep tells how to get in, lets the user's command go, and waits for the end.
func (d *demo) keep(status int, release func()) {
	// Some commands look at files that the router alone has: its mounts too,
	// where there is a tool for it.
	cli, enter := filepath.Join(d.l.Dir, "lanseal"), "ip netns exec "+d.l.Router.NS
	if _, err := exec.LookPath("nsenter"); err == nil {
		enter = fmt.Sprintf("nsenter -n -m -t %d", d.l.Dnsmasq().Pid())
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s %s -c %s --socket %s --state %s --persist %s \"$@\"\n",
		enter, d.l.Opts.Lanseal, d.a.Config, d.a.Socket, d.a.State, d.a.Persist)
	if err := os.WriteFile(cli, []byte(script), 0o755); err != nil {
		d.s.printf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(d.l.Dir, keptFile), nil, 0o644); err != nil {
		d.s.printf("%v", err)
	}
	d.s.line("")
	d.s.line(d.s.paint(bold, "The lab is still up, lanseal is running in it"))
	d.s.fact(plain, "ask lanseal", "%s status", cli)
	for _, h := range []*lab.Host{d.l.Router, d.l.TV, d.l.Laptop, d.l.ISP} {
		d.s.fact(plain, "enter the "+h.Name, "ip netns exec %s sh", h.NS)
	}
	if at := d.forwardWebUI(); at != "" {
		d.s.fact(plain, "web UI", "%s, password %s", at, webUIPassword)
	}
	d.s.fact(plain, "end it", "bin/lanseal-lab clean")
	release()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		for fd := range 3 {
			_ = unix.Dup2(int(null.Fd()), fd)
		}
	}
	out := os.NewFile(statusFD, "status")
	fmt.Fprint(out, status)
	out.Close()
	select {} // the lab's handler of a signal closes it and exits
}

const (
	webUIAt   = "127.0.0.1:8053"
	webUIPort = 8053

	webUIPassword = "lanseal demo"
)

// forwardWebUI brings the router's web UI to this machine, if there is one.
func (d *demo) forwardWebUI() string {
	to := netip.AddrPortFrom(netip.MustParseAddr(lab.RouterLAN4), webUIPort)
	c, err := d.l.Laptop.Dial(to, time.Second)
	if err != nil {
		return ""
	}
	c.Close()
	set := d.l.Router.Command(context.Background(), d.l.Opts.Lanseal, "--persist", d.a.Persist, "passwd")
	set.Stdin = strings.NewReader(webUIPassword + "\n")
	if out, err := set.CombinedOutput(); err != nil {
		d.s.printf("%s", out)
		return ""
	}
	ln, err := net.Listen("tcp", webUIAt)
	if err != nil {
		return ""
	}
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := d.l.Laptop.Dial(to, time.Second)
				if err != nil {
					return
				}
				defer out.Close()
				go func() { _, _ = io.Copy(out, in); out.Close() }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	return "http://" + webUIAt
}

// Clean ends kept labs and removes what crashed ones left; it returns the exit
// status.
func Clean() int {
	if err := lab.Usable(); err != nil {
		fmt.Fprintln(os.Stderr, "lanseal-lab clean: needs root: run sudo bin/lanseal-lab clean")
		return usage
	}
	kept, _ := filepath.Glob("/run/lanseal-lab/*/" + keptFile)
	for _, k := range kept {
		dir := filepath.Dir(k)
		owner, err := os.ReadFile(filepath.Join(dir, "owner"))
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(owner), " ")
		pid, err := strconv.Atoi(first)
		// The sweep knows by its start time whether it is still the same; here
		// the program's name has to do.
		if err != nil || !sameProgram(pid) || syscall.Kill(pid, syscall.SIGTERM) != nil {
			continue
		}
		for range 200 {
			if _, err := os.Stat(dir); err != nil {
				fmt.Println("ended " + filepath.Base(dir))
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	lab.Sweep()
	return held
}

func sameProgram(pid int) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	mine, err2 := os.ReadFile("/proc/self/comm")
	return err == nil && err2 == nil && string(name) == string(mine)
}
