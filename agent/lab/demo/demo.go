package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// Options are what the command line says.
type Options struct {
	Lanseal string // the product's binary
	Keep    bool
	Only    string // keys or threats of the rows to play, by comma; empty: all

	extra []row // a test's own
}

// demo is one showing.
type demo struct {
	o       Options
	s       *screen
	l       *lab.Lab
	a       *lab.Agent
	clients []*lab.Traffic // the TV's and the laptop's
	watch   *watch
	before  snapshot // the router as it was
	began   time.Time
	second  bool     // the second exit has been imported
	sealed  lab.Mark // from when on nothing may leak

	// The row that is being played.
	wire    lab.Mark
	marked  time.Time
	faulted time.Time
	user    string

	first result // guard and run
	// tunnelled are questions that reached the ISP's resolver by the tunnel.
	tunnelled int
	results   []result
	backs     map[string][]time.Duration
	faults    []string // what else speaks against lanseal, or against this proof
}

// Exit statuses.
const (
	held   = 0
	failed = 1
	usage  = 2

	interrupted = 128 + int(syscall.SIGINT)
)

// Main is the "demo" command; it returns the exit status.
func Main(args []string) int {
	o := Options{}
	fs := flag.NewFlagSet("lanseal-lab demo", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.Lanseal, "lanseal", "", "the lanseal `BINARY` to show (bin/lanseal)")
	fs.BoolVar(&o.Keep, "keep", false, "leave the lab up, with the agent running")
	fs.StringVar(&o.Only, "only", "", "only these `ROWS`, by threat or name: T2,tunnelvision")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Println("usage: lanseal-lab demo [flags]")
		fs.SetOutput(os.Stdout)
		fs.PrintDefaults()
		return held
	} else if err != nil || fs.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "lanseal-lab demo:", errors.Join(err, unexpected(fs.Args())))
		return usage
	}
	if err := o.needs(); err != nil {
		fmt.Fprintln(os.Stderr, "lanseal-lab demo:", err)
		return usage
	}
	if o.Keep && os.Getenv(keeperEnv) == "" {
		return background()
	}
	return o.show(newScreen(os.Stdout, os.Getenv))
}

func unexpected(args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument %q", args[0])
}

// needs says in one line what is missing.
func (o *Options) needs() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root for network namespaces: run sudo make demo")
	}
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	for _, tool := range []string{"nft", "ip", "dnsmasq"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("needs %s: make demo installs it", tool)
		}
	}
	if o.Lanseal == "" {
		return nil
	}
	path, err := filepath.Abs(o.Lanseal)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("no lanseal to show: %w", err)
	}
	o.Lanseal = path
	return nil
}

// show plays everything, and cleans up.
func (o Options) show(s *screen) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The lab closes on these two alone; whoever hangs up means the same. A
	// reader that goes away is an error of write, not the end of us.
	hup, pipe := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	signal.Notify(pipe, syscall.SIGPIPE)
	go func() {
		for range hup {
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		}
	}()
	defer context.AfterFunc(ctx, func() {
		s.hush()
		fmt.Fprintln(os.Stderr, "lanseal-lab demo: interrupted, cleaning up")
	})()
	d := &demo{o: o, s: s, backs: map[string][]time.Duration{}, began: time.Now()}
	release := func() {}
	if o.Keep {
		release = watchParent()
	}
	err := d.play(ctx)
	if ctx.Err() != nil {
		if d.l != nil { // its own handler of the signal is closing it, and exits
			time.Sleep(10 * time.Second)
			d.l.Close()
		}
		return interrupted
	}
	if err != nil {
		d.faults = append(d.faults, err.Error())
	}
	status := d.verdict()
	if o.Keep && d.l != nil && d.a != nil && d.a.Process() != nil {
		d.keep(status, release)
	}
	d.close()
	return status
}

func (d *demo) close() {
	if d.watch != nil {
		d.watch.end()
	}
	if d.l != nil {
		d.l.Close()
	}
}

// play is the whole: without, with, and everything that may go wrong.
func (d *demo) play(ctx context.Context) error {
	rows, err := pick(allRows(), d.o.Only)
	if err != nil {
		return err
	}
	rows = append(rows, d.o.extra...)
	for _, act := range []func(context.Context) error{d.setUp, d.without, d.protect,
		func(ctx context.Context) error { return d.walk(ctx, rows) }} {
		if err := errors.Join(act(ctx), ctx.Err(), d.s.broken()); err != nil {
			return err
		}
	}
	if d.o.Keep {
		return nil
	}
	return d.unseal(ctx)
}

// allRows is the walk, in the order in which it makes sense: one exit first,
// so that nothing but the seal is left when it fails.
func allRows() []row {
	var all []row
	for _, part := range [][]row{tunnelRows(), locksRows(), agentRows(), attackRows(), uplinkRows(), serverRows(), {bootRow()}} {
		all = append(all, part...)
	}
	return all
}

func pick(all []row, only string) (some []row, err error) {
	if only == "" {
		return all, nil
	}
	for _, want := range strings.Split(only, ",") {
		n := len(some)
		for _, r := range all {
			if strings.EqualFold(r.id, want) || strings.EqualFold(r.key, want) {
				some = append(some, r)
			}
		}
		if len(some) == n {
			return nil, fmt.Errorf("no row is called %q", want)
		}
	}
	return some, nil
}
