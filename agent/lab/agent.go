package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// AgentConfig is what a user would have configured.
type AgentConfig struct {
	// UCI is the configuration file; "@TUNNELS@" in it becomes the folder of
	// the tunnel files. Empty: the usual case, all Tunnels in order of Via.
	UCI string
	// Tunnels are the tunnel files by exit name. Nil: se → vpn1, no → vpn2.
	Tunnels map[string]string
	// Via is the order of exits in the usual case. Nil: se, no.
	Via []string
	// Main are more lines for the usual case's main section, for example
	// "option router_traffic 'wan'".
	Main []string
	// More are whole sections after the usual case's.
	More string
	Env  []string // NAME=value
	// NoStart only writes the files; Guard, Run and Start come later.
	NoStart bool
}

// Agent is one lanseal on the router. Its files stay when it is killed, so
// Start makes the same router boot again.
type Agent struct {
	Config, Socket, State, Persist string // paths
	TunnelDir                      string

	lab  *Lab
	env  []string
	proc *Process
	logs []*Process
}

// StartAgent writes the configuration and starts lanseal in the router.
func (l *Lab) StartAgent(c AgentConfig) (*Agent, error) {
	if !fileExists(l.Opts.Lanseal) {
		return nil, fmt.Errorf("no lanseal at %s: build it first (make)", l.Opts.Lanseal)
	}
	l.mu.Lock()
	dir := filepath.Join(l.Dir, fmt.Sprintf("agent%d", len(l.agents)+1))
	a := &Agent{lab: l, env: c.Env, Config: dir + "/lanseal", Socket: dir + "/lanseal.sock",
		State: dir + "/state", Persist: dir + "/persist", TunnelDir: dir + "/persist/tunnels"}
	l.agents = append(l.agents, a)
	l.mu.Unlock()
	for _, d := range []string{a.State, a.TunnelDir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	if c.Tunnels == nil {
		c.Tunnels = map[string]string{"se": l.VPN1.ClientFile(ClientOptions{}), "no": l.VPN2.ClientFile(ClientOptions{})}
		if c.Via == nil {
			c.Via = []string{"se", "no"}
		}
	}
	for name, text := range c.Tunnels {
		if err := a.WriteTunnel(name, text); err != nil {
			return nil, err
		}
	}
	if c.UCI == "" {
		c.UCI = l.UsualUCI(c)
	}
	if err := a.WriteConfig(c.UCI); err != nil {
		return nil, err
	}
	if c.NoStart {
		return a, nil
	}
	return a, a.Start()
}

// UsualUCI is the configuration of the usual case.
func (l *Lab) UsualUCI(c AgentConfig) string {
	var b strings.Builder
	b.WriteString("config lanseal 'main'\n\toption enabled '1'\n\tlist lan_device 'br-lan'\n")
	if l.Opts.Guest {
		b.WriteString("\tlist lan_device 'br-guest'\n")
	}
	b.WriteString("\tlist wan_device 'wan'\n")
	if l.Opts.WAN2 {
		b.WriteString("\tlist wan_device 'wan2'\n")
	}
	names := c.Via
	if names == nil {
		names = slices.Sorted(maps.Keys(c.Tunnels))
	}
	for _, n := range names {
		fmt.Fprintf(&b, "\tlist via '%s'\n", n)
	}
	for _, line := range c.Main {
		fmt.Fprintf(&b, "\t%s\n", line)
	}
	for _, n := range slices.Sorted(maps.Keys(c.Tunnels)) {
		fmt.Fprintf(&b, "\nconfig tunnel '%s'\n\toption type 'wireguard'\n\toption file '@TUNNELS@/%s.conf'\n", n, n)
	}
	if c.More != "" {
		b.WriteString("\n" + c.More + "\n")
	}
	return b.String()
}

// WriteConfig replaces the configuration file; Reload makes it count.
func (a *Agent) WriteConfig(uci string) error {
	return os.WriteFile(a.Config, []byte(strings.ReplaceAll(uci, "@TUNNELS@", a.TunnelDir)), 0o600)
}

// WriteTunnel replaces one tunnel file.
func (a *Agent) WriteTunnel(name, text string) error {
	return os.WriteFile(filepath.Join(a.TunnelDir, name+".conf"), []byte(text), 0o600)
}

func (a *Agent) argv(args ...string) []string {
	return append([]string{a.lab.Opts.Lanseal, "-c", a.Config, "--socket", a.Socket, "--state", a.State, "--persist", a.Persist}, args...)
}

// Start runs the agent, for the first time or again after its end.
func (a *Agent) Start() error { return a.start(a.argv("run")) }

// StartFatal runs the agent so that it is killed at its Nth change, counted
// from its start or from when it gets a signal; see Fatal.
func (a *Agent) StartFatal(n int, from syscall.Signal) error {
	return a.start(Fatal(n, from, a.argv("run")...))
}

// RunFatal runs another command of the binary so that it is killed at its Nth
// change; killed is false if it makes fewer.
func (a *Agent) RunFatal(ctx context.Context, n int, args ...string) (killed bool, err error) {
	c := a.lab.Router.Command(ctx, Fatal(n, 0, a.argv(args...)...)...)
	c.Env = append(os.Environ(), a.env...)
	out, err := c.CombinedOutput()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended) && ended.ExitCode() == FatalExit:
		return true, nil
	case err != nil:
		return false, fmt.Errorf("lanseal %s: %w: %s", args[0], err, out)
	}
	return false, nil
}

func (a *Agent) start(argv []string) error {
	p, err := a.lab.Router.start(a.env, argv...)
	if err != nil {
		return err
	}
	a.proc = p
	a.logs = append(a.logs, p)
	return nil
}

// Process is the running agent, nil before Start.
func (a *Agent) Process() *Process { return a.proc }

// Pid is the agent's process id.
func (a *Agent) Pid() int { return a.proc.Pid() }

// Run runs another command of the binary with the same files and returns what
// it printed and its exit status.
func (a *Agent) Run(ctx context.Context, args ...string) (stdout, stderr string, exit int, err error) {
	c := a.lab.Router.Command(ctx, a.argv(args...)...)
	var o, e strings.Builder
	c.Stdout, c.Stderr = &o, &e
	c.Env = append(os.Environ(), a.env...)
	err = c.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		exit, err = ended.ExitCode(), nil
	}
	return o.String(), e.String(), exit, err
}

// Guard loads the boot seal, as the early init script does.
func (a *Agent) Guard() error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	_, errs, exit, err := a.Run(ctx, "guard")
	if err == nil && exit != 0 {
		err = fmt.Errorf("exit status %d: %s", exit, strings.TrimSpace(errs))
	}
	if err != nil {
		return fmt.Errorf("lanseal guard: %w", err)
	}
	return nil
}

// Kill9 ends the agent as the kernel would when memory runs out.
func (a *Agent) Kill9() { a.proc.Kill() }

// Stop freezes the agent (SIGSTOP); Cont wakes it.
func (a *Agent) Stop() error { return a.proc.Signal(syscall.SIGSTOP) }
func (a *Agent) Cont() error { return a.proc.Signal(syscall.SIGCONT) }

// Reload makes the agent read its configuration again. A process that has only
// just begun would be ended by the signal, so it is waited for; one that never
// comes to listen has not read the configuration yet.
func (a *Agent) Reload() error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	if err := eventually(ctx, "the agent to listen", func() error {
		if !a.Listens() && a.proc.Running() {
			return errors.New("it does not yet")
		}
		return nil
	}); err != nil {
		return nil
	}
	return a.proc.Signal(syscall.SIGHUP)
}

// Term ends the agent as procd does, and waits for it. A process that has only
// just begun, and has not said anything yet, is ended by the signal itself.
func (a *Agent) Term(ctx context.Context) error {
	begun := a.Listens()
	if err := a.proc.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := a.proc.Wait(ctx)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM && !begun && a.proc.Log() == "" {
		return nil
	}
	return err
}

// Log is what every run of this agent has written.
func (a *Agent) Log() string {
	var all []string
	for _, p := range a.logs {
		all = append(all, p.Log())
	}
	return strings.Join(all, "\n--- started again ---\n")
}

// Status is `lanseal status --json`, as CONTRACT.md has it.
type Status struct {
	State      string `json:"state"`
	Since      string `json:"since"`
	Reason     string `json:"reason"`
	Killswitch bool   `json:"killswitch"`
	Firewall   string `json:"firewall"`
	Locks      struct {
		Routing  bool `json:"routing"`
		Firewall bool `json:"firewall"`
	} `json:"locks"`
	Exits   []ExitStatus `json:"exits"`
	Blocked struct {
		Packets uint64 `json:"packets"`
		Bytes   uint64 `json:"bytes"`
	} `json:"blocked"`
	Healed  int             `json:"healed"`
	Version string          `json:"version"`
	Raw     json.RawMessage `json:"-"`
}

// ExitStatus is one exit in the status.
type ExitStatus struct {
	Name      string   `json:"name"`
	State     string   `json:"state"`
	Type      string   `json:"type"`
	Device    string   `json:"device"`
	Endpoint  string   `json:"endpoint"`
	Handshake string   `json:"handshake"`
	RTT       float64  `json:"rtt_ms"`
	RxBytes   uint64   `json:"rx_bytes"`
	TxBytes   uint64   `json:"tx_bytes"`
	IPv6      bool     `json:"ipv6"`
	Resolvers []string `json:"resolvers"`
}

// Exit is one exit's status, the zero value when there is none of that name.
func (s Status) Exit(name string) ExitStatus {
	for _, e := range s.Exits {
		if e.Name == name {
			return e
		}
	}
	return ExitStatus{}
}

// Status asks the agent.
func (a *Agent) Status(ctx context.Context) (Status, error) {
	var s Status
	out, errs, exit, err := a.Run(ctx, "status", "--json")
	if err != nil {
		return s, fmt.Errorf("lanseal status: %w", err)
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return s, fmt.Errorf("lanseal status: exit status %d, %w: %s", exit, err, strings.TrimSpace(errs))
	}
	s.Raw = json.RawMessage(out)
	return s, nil
}

// WaitState waits until the agent reports a state ("protected", or one of
// several); an agent that has ended fails at once.
func (a *Agent) WaitState(ctx context.Context, states ...string) error {
	ended := errors.New("the agent has ended")
	var fatal error
	// Each look is a process of its own: do not starve what is looked at.
	err := eventuallyEvery(ctx, 20*time.Millisecond, "state "+strings.Join(states, " or "), func() error {
		if !a.proc.Running() {
			fatal = fmt.Errorf("%w: %s", ended, a.Log())
			return nil
		}
		ask, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		s, err := a.Status(ask)
		if err == nil && !slices.Contains(states, s.State) {
			err = fmt.Errorf("state %q: %s", s.State, s.Reason)
		}
		return err
	})
	return errors.Join(fatal, err)
}

// Agents are all agents that this lab ever had.
func (l *Lab) Agents() []*Agent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.agents)
}
