package bench

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
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
)

// options are what the command line says.
type options struct {
	lanseal string // the product's binary
	runs    int    // of what is measured run by run
	only    string // letters of the measurements, by comma; empty: all
	out     string // where the report goes
}

// measurement is one question.
type measurement struct {
	letter, title string
	run           func(ctx context.Context, b *bench) ([]row, error)
}

func measurements() []measurement {
	return []measurement{
		{"a", "Failover: server A falls silent, until traffic flows through B", failover},
		{"b", "Seal: the tunnel's device is deleted", seal},
		{"c", "Many devices: the time to apply their rules, and the cost of a packet", scale},
		{"d", "Throughput", throughput},
		{"e", "DNS", questions},
		{"f", "Start", start},
		{"g", "Idle, one healthy exit", idle},
		{"h", "Healing", healing},
	}
}

// bench is one run of "make bench".
type bench struct {
	options
	w        io.Writer
	live     bool // a terminal: progress is drawn over
	told     time.Time
	progress bool // a line of progress stands on the terminal
}

// limit bounds the whole run.
const limit = 20 * time.Minute

// Main is the "bench" command; it returns the exit status.
func Main(args []string) int {
	o := options{}
	fs := flag.NewFlagSet("lanseal-lab bench", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.lanseal, "lanseal", "", "the lanseal `BINARY` to measure (bin/lanseal)")
	fs.IntVar(&o.runs, "runs", 30, "how `OFTEN` to repeat what is measured run by run")
	fs.StringVar(&o.only, "only", "", "only these `LETTERS`: a,c")
	fs.StringVar(&o.out, "out", "bench", "`DIR` for the tables and the plot")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Println("usage: lanseal-lab bench [flags]\n\nmeasurements:")
		for _, m := range measurements() {
			fmt.Printf("  %s  %s\n", m.letter, m.title)
		}
		fmt.Println()
		fs.SetOutput(os.Stdout)
		fs.PrintDefaults()
		return 0
	case err == nil && fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case err == nil && o.runs < 1:
		err = errors.New("-runs must be at least 1")
	}
	var picked []measurement
	if err == nil {
		picked, err = pick(o.only)
	}
	if err == nil {
		err = o.needs()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lanseal-lab bench:", err)
		return 2
	}
	_, ioctl := unix.IoctlGetWinsize(1, unix.TIOCGWINSZ)
	b := &bench{options: o, w: os.Stdout, live: ioctl == nil}
	if err := b.measure(picked); err != nil {
		fmt.Fprintln(os.Stderr, "lanseal-lab bench:", err)
		return 1
	}
	return 0
}

// pick finds measurements by their letters.
func pick(only string) ([]measurement, error) {
	all := measurements()
	if only == "" {
		return all, nil
	}
	var picked []measurement
	for letter := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(m measurement) bool { return m.letter == strings.TrimSpace(letter) })
		if i < 0 {
			return nil, fmt.Errorf("no measurement %q: they are a to h", letter)
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

// needs says in one line what is missing.
func (o *options) needs() error {
	if err := lab.Usable(); err != nil {
		return err
	}
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	for _, tool := range []string{"nft", "ip", "iptables", "ping", "conntrack", "keepalived"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("needs %s: make bench installs it", tool)
		}
	}
	if o.lanseal == "" {
		return nil
	}
	path, err := filepath.Abs(o.lanseal)
	if err != nil {
		return err
	}
	o.lanseal = path
	return nil
}

// measure runs the measurements one after the other and writes the report; one
// that fails leaves the others' results.
func (b *bench) measure(picked []measurement) error {
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(interrupted, limit)
	defer cancel()
	began := time.Now()
	var rows []row
	var failed error
	for _, m := range picked {
		since := time.Now()
		b.tell("%s  %s", m.letter, m.title)
		got, err := m.run(ctx, b)
		if interrupted.Err() != nil { // the labs close themselves
			return errors.New("interrupted")
		}
		for i := range got {
			got[i].group = m.letter
		}
		rows = append(rows, got...)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", m.letter, err))
			b.line("%s  failed after %.1f s: %v", m.letter, time.Since(since).Seconds(), err)
			continue
		}
		b.line("%s  %s  %.1f s", m.letter, m.title, time.Since(since).Seconds())
	}
	if len(rows) == 0 {
		return failed
	}
	return errors.Join(failed, b.report(rows, time.Since(began)))
}

// report prints the tables and writes them.
func (b *bench) report(rows []row, took time.Duration) error {
	text := table(rows)
	b.line("%s", text)
	var u unix.Utsname
	_ = unix.Uname(&u)
	head := fmt.Sprintf("# make bench\n\nMeasured on %s in %.0f s: Linux %s, %d processors, every router, server and client a network namespace, WireGuard in userspace for everybody. Ratios hold elsewhere, absolute times do not.\n",
		time.Now().UTC().Format("2006-01-02"), took.Seconds(), unix.ByteSliceToString(u.Release[:]), runtime.NumCPU())
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	files := map[string]string{"results.md": head + text + "\n![plot](results.png)\n", "results.tsv": tsv(rows)}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(b.out, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := writePlot(filepath.Join(b.out, "results.png"), rows); err != nil {
		return fmt.Errorf("drawing the plot: %w", err)
	}
	b.line("written: %s/results.md, results.tsv, results.png", b.out)
	return nil
}

// tell shows what is being done: on a terminal drawn over, in a log once a
// second at most.
func (b *bench) tell(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	switch {
	case b.live:
		fmt.Fprint(b.w, "\r\x1b[K   … ", text)
		b.progress = true
	case time.Since(b.told) > time.Second:
		fmt.Fprintln(b.w, "   …", text)
	default:
		return
	}
	b.told = time.Now()
}

// line prints one line for good.
func (b *bench) line(format string, args ...any) {
	if b.progress {
		fmt.Fprint(b.w, "\r\x1b[K")
		b.progress = false
	}
	fmt.Fprintf(b.w, format+"\n", args...)
}
