// Command lanseal seals a LAN into a VPN tunnel: the agent, its boot seal and
// the tools to look at both, in one binary.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lanseal/lanseal/agent/tunnel"
)

// version is set by the linker (-X main.version=…).
var version = "0.1.0"

// globals are the flags before the command.
type globals struct {
	config, socket, state, persist string
	stdin                          io.Reader
	stdout, stderr                 io.Writer
	plugin                         bool // called by rpcd, see rpcd.go
}

// command is one subcommand: it returns the exit status, or an error, which is
// printed in one line and exits with the status of its exitError, else 2.
type command struct {
	name, args, does string
	run              func(ctx context.Context, g globals, args []string) (int, error)
}

func commands() []command {
	return []command{
		{"run", "", "the agent, in the foreground; SIGHUP reads the configuration again", cmdRun},
		{"guard", "", "loads the boot seal from the last valid configuration", cmdGuard},
		{"check", "", "validates the configuration and the tunnel files", cmdCheck},
		{"plan", "", "prints what would be applied; touches nothing, needs no root", cmdPlan},
		{"status", "[--json]", "the state, in words or JSON", cmdStatus},
		{"verify", "[--json]", "compares the kernel with the plan and looks for a way past it", cmdVerify},
		{"events", "[-f] [--json]", "what happened: changes of state, dropouts, repairs; -f: and what happens", cmdEvents},
		{"notify", "time-synced", "tells the agent, if one runs, what a hotplug script saw", cmdNotify},
		{"leaktest", "[--json]", "tries to leak as a client would, and watches the WAN wire", cmdLeakTest},
		{"devices", "[--json]", "who is on the LAN, where each goes, and its traffic of the last day", cmdDevices},
		{"passwd", "", "sets the web UI's password where there is no OpenWrt account", cmdPasswd},
		{"import", "FILE [--name N]", "adds a tunnel from a wg-quick file (- = stdin)", cmdImport},
		{"unseal", "[--yes]", "switches off: removes every lock, restores what was changed", cmdUnseal},
		{"version", "", "prints the version", cmdVersion},
	}
}

// exitError ends a command with a status of its own.
type exitError struct {
	status int
	err    error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

func main() {
	if len(os.Args) > 1 && os.Args[1] == tunnel.ChildCommand {
		os.Exit(tunnel.ChildMain(os.Args[2:]))
	}
	// nft, ip and iptables live in sbin, which an ordinary user's PATH may
	// lack, and an init script's too.
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	g := globals{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, plugin: filepath.Base(os.Args[0]) == pluginName}
	os.Exit(dispatch(context.Background(), g, os.Args[1:]))
}

// dispatch parses the global flags and runs the command.
func dispatch(ctx context.Context, g globals, args []string) int {
	fs := flag.NewFlagSet("lanseal", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&g.config, "c", "/etc/config/lanseal", "configuration `FILE`")
	fs.StringVar(&g.socket, "socket", "/var/run/lanseal.sock", "the agent's unix `SOCKET`")
	fs.StringVar(&g.state, "state", "/var/lib/lanseal", "`DIR` for what need not survive a reboot")
	fs.StringVar(&g.persist, "persist", "/etc/lanseal", "`DIR` for what must survive a reboot")
	showVersion := fs.Bool("version", false, "print the version")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(g.stdout, fs)
		return 0
	case err != nil:
		return fail(g, "", fmt.Errorf("%w: see lanseal --help", err))
	case *showVersion:
		fmt.Fprintln(g.stdout, "lanseal", version)
		return 0
	case g.plugin:
		return pluginMain(ctx, g, fs.Args())
	case fs.NArg() == 0:
		usage(g.stderr, fs)
		return 2
	}
	name := fs.Arg(0)
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == name })
	if name == "help" {
		usage(g.stdout, fs)
		return 0
	}
	if i < 0 {
		return fail(g, "", fmt.Errorf("no command %q: see lanseal --help", name))
	}
	c := commands()[i]
	rest := fs.Args()[1:]
	if slices.ContainsFunc(rest, func(a string) bool { return a == "--help" || a == "-h" || a == "-help" }) {
		fmt.Fprintln(g.stdout, strings.TrimSpace("usage: lanseal [flags] "+c.name+" "+c.args)+"\n\n"+c.does)
		return 0
	}
	status, err := c.run(ctx, g, rest)
	if err != nil {
		return fail(g, c.name, err)
	}
	return status
}

func usage(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprintln(w, "lanseal seals a LAN into a VPN tunnel.\n\nusage: lanseal [flags] COMMAND\n\ncommands:")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-24s %s\n", strings.TrimSpace(c.name+" "+c.args), c.does)
	}
	fmt.Fprintln(w, "\nflags, before the command:")
	fs.SetOutput(w)
	fs.PrintDefaults()
}

// fail prints an error and returns the exit status it asks for.
func fail(g globals, name string, err error) int {
	prefix := "lanseal"
	if name != "" {
		prefix += " " + name
	}
	fmt.Fprintf(g.stderr, "%s: %v\n", prefix, err)
	var e exitError
	if errors.As(err, &e) {
		return e.status
	}
	return 2
}

func cmdVersion(_ context.Context, g globals, _ []string) (int, error) {
	fmt.Fprintln(g.stdout, "lanseal", version)
	return 0, nil
}

// flags parses what follows a command, flags before or after the operands.
func flags(args []string, define func(*flag.FlagSet)) (operands []string, err error) {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	define(fs)
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return operands, nil
		}
		operands = append(operands, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

// none refuses operands where a command takes none.
func none(operands []string, err error) error {
	if err == nil && len(operands) > 0 {
		err = fmt.Errorf("unexpected argument %q", operands[0])
	}
	return err
}
