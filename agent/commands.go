package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/agent/tunnel"
	"github.com/lanseal/lanseal/rules"
)

func cmdRun(ctx context.Context, g globals, args []string) (int, error) {
	if err := none(flags(args, noFlags)); err != nil {
		return 2, err
	}
	if os.Geteuid() != 0 {
		return 1, exitError{1, errors.New("needs root: it changes routes and the firewall")}
	}
	frugal()
	// Before anything that takes time: until it is asked for, a SIGHUP ends the process.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	cfg, _ := config.Load(g.config, config.Options{}) // its errors are told by the loop
	k, err := openKernel(g, cfg.Firewall)
	if err != nil {
		return 1, exitError{1, err}
	}
	defer k.Close()
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel)
	log := slog.New(slog.NewTextHandler(g.stderr, &slog.HandlerOptions{Level: level}))
	memory := openStore(g, func(text string) { log.Warn(text) })
	defer keepStore(memory)()
	a := newAgent(g, k, memory, log)
	if err := a.serve(ctx, g.socket); err != nil {
		return 1, exitError{1, err}
	}
	go func() {
		for range hup {
			select {
			case a.reload <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	if err := a.run(ctx); err != nil {
		return 1, exitError{1, err}
	}
	return 0, nil
}

func cmdCheck(ctx context.Context, g globals, args []string) (int, error) {
	if err := none(flags(args, noFlags)); err != nil {
		return 2, err
	}
	cfg, err := loadConfig(ctx, g, true)
	for _, w := range cfg.Warnings {
		fmt.Fprintln(g.stderr, "warning:", w)
	}
	if err != nil {
		fmt.Fprintln(g.stderr, err)
		return 2, nil
	}
	fmt.Fprintf(g.stdout, "%s is valid: %s, %s, %s\n", g.config,
		count(len(cfg.Tunnels), "tunnel"), count(len(cfg.Policy.Devices), "device"), count(len(cfg.Exceptions), "exception"))
	return 0, nil
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func cmdPlan(ctx context.Context, g globals, args []string) (int, error) {
	if err := none(flags(args, noFlags)); err != nil {
		return 2, err
	}
	cfg, err := loadConfig(ctx, g, true)
	if err != nil {
		fmt.Fprintln(g.stderr, err)
		return 2, nil
	}
	k, err := kernel.Open(kernel.Options{Firewall: cfg.Firewall, StateDir: g.state})
	if err != nil && !errors.Is(err, kernel.ErrNoFirewall) {
		return 2, err
	}
	facts, firewall := rules.Facts{Links: map[string]rules.Link{}}, "nft"
	if k != nil {
		defer k.Close()
		firewall = k.FirewallName()
		s, err := k.Observe()
		if err != nil {
			return 2, err
		}
		facts = s.Facts
	}
	policy := cfg.PolicyAt(time.Now())
	assumeUp(ctx, g, policy, &facts)
	plan := rules.Compile(policy, facts)
	if !policy.Enabled {
		fmt.Fprintln(g.stdout, "# lanseal is disabled: nothing would be applied")
		return 0, nil
	}
	fmt.Fprint(g.stdout, plan.Text())
	printFirewall(g.stdout, firewall, plan.Firewall)
	return 0, nil
}

// assumeUp takes the agent's word for which exits are up; without one the plan
// is shown as it would be with every exit up.
func assumeUp(ctx context.Context, g globals, p rules.Policy, f *rules.Facts) {
	ctx, cancel := context.WithTimeout(ctx, verifyWait)
	defer cancel()
	f.Up, f.Fresh = map[string]bool{}, map[string]int{}
	var d statusDoc
	if err := call(ctx, g.socket, "GET", "/api/v1/status", nil, &d); err == nil {
		for _, e := range d.Exits {
			f.Up[e.Name], f.Fresh[e.Name] = e.State == string(state.Up), e.Fresh
		}
		f.TimeUnknown = !d.TimeKnown
		f.Resolver = d.OpenWrt != nil && d.OpenWrt.Resolver
		return
	}
	fmt.Fprintln(g.stdout, "# No agent answers: shown as with every exit up.")
	for _, e := range p.Exits {
		if e.Enabled {
			f.Up[e.Name] = true
			l := f.Links[e.Device]
			l.Up = true
			f.Links[e.Device] = l
		}
	}
}

func printFirewall(w io.Writer, name string, fw *rules.Firewall) {
	if name == "nft" {
		fmt.Fprintln(w, "# firewall lock: nft -f -")
		fmt.Fprint(w, rules.NFT(fw))
		fmt.Fprintln(w, "# third net, where the kernel has the egress hook: nft -f -")
		fmt.Fprint(w, rules.NFTNet(fw))
		return
	}
	for _, family := range []struct {
		number int
		tool   string
	}{{4, "iptables"}, {6, "ip6tables"}} {
		fmt.Fprintf(w, "# firewall lock: %s-restore --noflush (sets of addresses stand in place of single rules where the kernel has ipset)\n", family.tool)
		fmt.Fprint(w, rules.IPTables(fw, family.number, "A", rules.IPTablesOptions{}))
	}
	fmt.Fprintln(w, "# and then, each at the first place of its chain, in both families")
	for _, j := range rules.IPTablesJumps("A") {
		fmt.Fprintf(w, "iptables -t %s -I %s -j %s\n", j.Table, j.Chain, j.Target)
	}
}

func cmdImport(ctx context.Context, g globals, args []string) (int, error) {
	var name string
	operands, err := flags(args, func(fs *flag.FlagSet) { fs.StringVar(&name, "name", "", "") })
	if err == nil && len(operands) != 1 {
		err = errors.New("one FILE is needed (- reads standard input)")
	}
	if err != nil {
		return 2, err
	}
	const tooLarge = 1 << 20 // bytes; a provider's file has a few thousand
	var r io.Reader = g.stdin
	if operands[0] != "-" {
		f, err := os.Open(operands[0])
		if err != nil {
			return 2, err
		}
		defer f.Close()
		r = f
		if name == "" {
			name = filepath.Base(operands[0])
		}
	}
	content, err := io.ReadAll(io.LimitReader(r, tooLarge))
	if err != nil {
		return 2, fmt.Errorf("reading the file: %w", err)
	}
	if len(content) == tooLarge {
		return 2, errors.New("the file is too large to be a tunnel's")
	}
	made, err := config.Import(g.config, filepath.Join(g.persist, "tunnels"), name, content)
	if err != nil {
		return 2, err
	}
	for _, w := range made.Warnings {
		fmt.Fprintln(g.stderr, "warning:", w)
	}
	fmt.Fprintf(g.stdout, "added exit %s (%s), file %s\n", made.Name, made.Type, made.File)
	return 0, reloadAgent(ctx, g)
}

// reloadAgent has a running agent read the configuration again; none running
// is no error.
func reloadAgent(ctx context.Context, g globals) error {
	_, err := tellAgent(ctx, g, "/api/v1/reload")
	return err
}

func cmdUnseal(ctx context.Context, g globals, args []string) (int, error) {
	var yes bool
	if err := none(flags(args, func(fs *flag.FlagSet) { fs.BoolVar(&yes, "yes", false, "") })); err != nil {
		return 2, err
	}
	if os.Geteuid() != 0 {
		return 2, errors.New("needs root: it changes routes and the firewall")
	}
	if !yes {
		fmt.Fprint(g.stdout, "Every device of the LAN will use the WAN with your real address. Type yes to go on: ")
		line, _ := bufio.NewReader(g.stdin).ReadString('\n')
		if strings.TrimSpace(line) != "yes" {
			return 1, exitError{1, errors.New("nothing was changed")}
		}
	}
	if err := config.SetEnabled(g.config, false); err != nil {
		return 2, fmt.Errorf("switching off in the configuration: %w", err)
	}
	if err := call(ctx, g.socket, "POST", "/api/v1/reload", nil, nil); err == nil {
		var d statusDoc
		if err := call(ctx, g.socket, "GET", "/api/v1/status", nil, &d); err == nil && d.State == string(state.Open) && !d.Locks.Routing && !d.Locks.Firewall {
			if err := restoreGuest(ctx, g); err != nil {
				return 2, err
			}
			fmt.Fprintln(g.stdout, "unsealed: the LAN is open")
			return 0, nil
		}
	}
	// No agent, or one that cannot: take everything down here.
	if err := unsealHere(ctx, g); err != nil {
		return 2, err
	}
	fmt.Fprintln(g.stdout, "unsealed: the LAN is open")
	return 0, nil
}

// unsealHere removes every lock, tunnel and record of a dead agent's.
func unsealHere(ctx context.Context, g globals) error {
	cfg, _ := config.Load(g.config, config.Options{})
	k, err := openKernel(g, cfg.Firewall)
	if err != nil {
		return err
	}
	defer k.Close()
	s, err := k.Observe()
	if err != nil {
		return err
	}
	if err := k.Apply(ctx, s, rules.Steps(s.Have, rules.Plan{})); err != nil {
		return err
	}
	for i, e := range cfg.Policy.Exits {
		if err := newDriver(e, cfg.Tunnels[i], nil).Down(); err != nil {
			return fmt.Errorf("removing %s: %w", e.Device, err)
		}
	}
	orphans, err := tunnel.Orphans(nil)
	if err != nil {
		return err
	}
	for _, d := range orphans {
		if err := d.Down(); err != nil {
			return fmt.Errorf("removing a device of a tunnel that was: %w", err)
		}
	}
	if err := restoreGuest(ctx, g); err != nil {
		return err
	}
	if err := os.Remove(guardPath(g)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fmt.Fprintf(g.stderr, "%s unsealed by hand\n", time.Now().UTC().Format(time.RFC3339))
	return nil
}
