package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// commandTimeout bounds every short program that the lab itself runs.
const commandTimeout = 10 * time.Second

// waitDelay bounds waiting for the output of a killed program whose children
// keep its descriptors open.
const waitDelay = 10 * time.Second

// Process is a long-running program inside a host.
type Process struct {
	Argv    []string
	LogPath string

	cmd   *Cmd
	done  chan struct{}
	err   error
	stdin io.WriteCloser
}

var processes atomic.Int64 // numbers log files, which several hosts share

// Start runs a program in the background with its output in a log file.
func (h *Host) Start(argv ...string) (*Process, error) {
	return h.start(nil, argv...)
}

func (h *Host) start(env []string, argv ...string) (*Process, error) {
	name := fmt.Sprintf("%s-%s-%d.log", h.Name, filepath.Base(argv[0]), processes.Add(1))
	p := &Process{Argv: argv, LogPath: filepath.Join(h.lab.Dir, name), done: make(chan struct{})}
	log, err := os.OpenFile(p.LogPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = h.Command(context.Background(), argv...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if env != nil {
		p.cmd.Env = append(os.Environ(), env...)
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: starting %s: %w", h.Name, argv[0], err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Pid is the process id, the same inside and outside.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends one signal to this process alone.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Kill ends the process at once and waits for it.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running says whether the process is still there.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end and returns what exec.Cmd.Wait said.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for %s: %w", p.Argv[0], ctx.Err())
	}
}

// Log is what the process has written so far.
func (p *Process) Log() string {
	b, _ := os.ReadFile(p.LogPath)
	return strings.TrimSpace(string(b))
}
