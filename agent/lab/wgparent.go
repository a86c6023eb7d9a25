package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// wgProcess is the lab's side of a WireGuard child.
type wgProcess struct {
	cmd   *Cmd
	mu    sync.Mutex // one question at a time
	stdin io.WriteCloser
	out   *bufio.Scanner
	dead  sync.Once
}

// startWG re-executes this binary as a WireGuard process inside the host and
// returns when its device is up.
func (h *Host) startWG(c wgConfig) (*wgProcess, error) {
	w := &wgProcess{cmd: h.Command(context.Background(), "/proc/self/exe", wgCommand)}
	log, err := os.OpenFile(filepath.Join(h.lab.Dir, h.Name+"-wg.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	w.cmd.Stderr = log
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: starting wireguard: %w", h.Name, err)
	}
	w.out = bufio.NewScanner(stdout)
	stuck := time.AfterFunc(commandTimeout, func() { _ = w.cmd.Process.Kill() })
	defer stuck.Stop()
	if err := json.NewEncoder(w.stdin).Encode(c); err == nil && w.out.Scan() && w.out.Text() == "ready" {
		return w, nil
	}
	w.kill()
	said, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("%s: wireguard did not start (is lab.Main called first in this binary?): %s", h.Name, strings.TrimSpace(string(said)))
}

func (w *wgProcess) kill() {
	w.dead.Do(func() {
		_ = w.cmd.Process.Kill()
		_ = w.cmd.Wait()
	})
}

// state is the device's UAPI state without its keys.
func (w *wgProcess) state() (map[string]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := io.WriteString(w.stdin, "{}\n"); err != nil {
		return nil, fmt.Errorf("asking wireguard: %w", err)
	}
	if !w.out.Scan() {
		return nil, fmt.Errorf("asking wireguard: it has ended")
	}
	var lines []string
	if err := json.Unmarshal(w.out.Bytes(), &lines); err != nil {
		return nil, err
	}
	m := map[string]string{}
	for _, l := range lines {
		k, v, _ := strings.Cut(l, "=")
		m[k] = v
	}
	return m, nil
}
