package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A socket is taken over from a dead agent, also while a program that it had
// just started still holds it, and never from one that lives.
func TestListenSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "lanseal.sock")
	if os.Getenv("LANSEAL_TEST_SOCKET") != "" { // the agent that dies: see below
		l, err := net.Listen("unix", os.Getenv("LANSEAL_TEST_SOCKET"))
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.UnixListener).File()
		if err != nil {
			t.Fatal(err)
		}
		heir := exec.Command("sleep", "60")
		heir.ExtraFiles = []*os.File{f}
		if err := heir.Start(); err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		fmt.Printf("heir %d\n", heir.Process.Pid)
		return
	}
	l, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), "another agent answers") {
		t.Errorf("taken from an agent that lives: %v", err)
	}
	l.Close()
	dead := exec.Command(os.Args[0], "-test.run=^TestListenSocket$")
	dead.Env = append(os.Environ(), "LANSEAL_TEST_SOCKET="+path)
	out, err := dead.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var heir int
	if _, err := fmt.Sscanf(string(out), "heir %d", &heir); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer func() { _ = syscall.Kill(heir, syscall.SIGKILL) }()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("nobody holds the socket, the test proves nothing: %v", err)
	}
	c.Close()
	if l, err = listenSocket(path); err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// Who asks the loop and goes away is not written to when it comes to it.
func TestAskLoopGivesUp(t *testing.T) {
	a := &agent{calls: make(chan func())}
	ctx, cancel := context.WithCancel(t.Context())
	taken, gone := make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	go func() { // a loop that is slow
		defer close(done)
		call := <-a.calls
		close(taken)
		<-gone
		call()
	}()
	go func() {
		<-taken
		cancel()
	}()
	found, ok := askLoop(ctx, a, func() string { return "late" })
	close(gone)
	if found != "" || ok {
		t.Errorf("%q, %v", found, ok)
	}
	<-done
	if a.onLoop(ctx, func() { t.Error("asked after the end") }) {
		t.Error("nobody was asked, and it is said that somebody answered")
	}
}
