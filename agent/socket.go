package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// requestLimit bounds a request to the socket: a check of the kernel runs a
// few programs, on slow machines.
const requestLimit = 30 * time.Second

// serve answers root on the unix socket until the context ends. Answers that
// need the state are computed on the loop.
func (a *agent) serve(ctx context.Context, path string) error {
	l, err := listenSocket(path)
	if err != nil {
		return err
	}
	a.web.serve(ctx, l)
	return nil
}

// listenSocket takes the place of a socket that nobody answers on.
func listenSocket(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		alive := listenerLives(c)
		c.Close()
		if alive {
			return nil, fmt.Errorf("another agent answers on %s: stop it first", path)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	old := syscall.Umask(0o177) // root alone may ask
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

// listenerLives says whether the process that listens is still there. One that
// was killed while it started a program lives on in that for a moment.
func listenerLives(c net.Conn) bool {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return true
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return true
	}
	alive := true
	_ = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		alive = err != nil || cred.Pid == 0 || !errors.Is(unix.Kill(int(cred.Pid), 0), unix.ESRCH)
	})
	return alive
}

// onLoop runs f on the loop's goroutine and waits for it.
func (a *agent) onLoop(ctx context.Context, f func()) bool {
	_, ok := askLoop(ctx, a, func() (none struct{}) { f(); return none })
	return ok
}

// askLoop is what f finds on the loop's goroutine; false: the context ended
// before. f may still run then, so it must write nothing of its caller's.
func askLoop[T any](ctx context.Context, a *agent, f func() T) (found T, ok bool) {
	answer := make(chan T, 1)
	select {
	case a.calls <- func() { answer <- f() }:
	case <-ctx.Done():
		return found, false
	}
	select {
	case found = <-answer:
		return found, true
	case <-ctx.Done():
		return found, false
	}
}

// errNoAgent says what to do where the agent should answer.
var errNoAgent = errors.New("no agent is running (start it with: lanseal run); what it sealed stays sealed")

// refusal is an answer of the agent that says why not.
type refusal struct {
	Status int    `json:"-"`
	Text   string `json:"error"`
	Field  string `json:"field"` // of the request, if one is to blame
}

func (r refusal) Error() string {
	return fmt.Sprintf("the agent answered %d %s: %s", r.Status, http.StatusText(r.Status), r.Text)
}

// call asks the agent over its socket.
func call(ctx context.Context, socket, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://lanseal"+path, content)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s is root's: run this as root", socket)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return errNoAgent
	case err != nil:
		return fmt.Errorf("asking the agent: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		e := refusal{Status: resp.StatusCode}
		_ = json.NewDecoder(resp.Body).Decode(&e)
		return e
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}
