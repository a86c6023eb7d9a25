package lab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// victim is a lab of its own process, which then waits to be killed.
const victim = "LANSEAL_LAB_VICTIM"

func beVictim() {
	l, err := New(Options{Dnsmasq: true})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(l.Name)
	select {}
}

func startVictim(t *testing.T) (*exec.Cmd, string) {
	if err := Usable(); err != nil {
		ForTest(t, Options{}) // fails or skips with the reason
	}
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), victim+"=1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	s := bufio.NewScanner(out)
	if !s.Scan() {
		t.Fatal("the other lab did not start")
	}
	return c, s.Text()
}

func remains(name string) (left []string) {
	left, _ = filepath.Glob(netnsDir + "/" + name + "-*")
	if fileExists(filepath.Join(labsDir, name)) {
		left = append(left, filepath.Join(labsDir, name))
	}
	return left
}

// After kill -9 of its owner a lab's names are still there; the next lab
// removes them, and leaves a living owner's lab alone.
func TestCrashCleanUp(t *testing.T) {
	dead, deadName := startVictim(t)
	_, aliveName := startVictim(t)
	if err := dead.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.Wait()
	if len(remains(deadName)) == 0 {
		t.Fatal("a crash left nothing: this test proves nothing")
	}
	Sweep()
	if left := remains(deadName); left != nil {
		t.Errorf("the sweep left %v", left)
	}
	if len(remains(aliveName)) < 8 {
		t.Errorf("the sweep hurt a living lab: %v", remains(aliveName))
	}
}

// Ctrl-c removes everything.
func TestInterrupt(t *testing.T) {
	c, name := startVictim(t)
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(10*time.Second, func() { _ = c.Process.Kill() })
	defer stuck.Stop()
	var ended *exec.ExitError
	if err := c.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 128+int(syscall.SIGINT) {
		t.Errorf("the interrupted lab said %v", err)
	}
	if left := remains(name); left != nil {
		t.Errorf("ctrl-c left %v", left)
	}
}
