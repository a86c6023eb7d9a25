package torture

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
	"github.com/lanseal/lanseal/agent/lab/threats"
)

// Options are what the command line says.
type Options struct {
	Lanseal string // the product's binary
	Seed    uint64 // the first
	Seeds   int    // how many
	Steps   int    // of all walks together
	Labs    int    // side by side
}

// stepLimit is more than a step ever takes, the checks included.
const stepLimit = 4 * time.Second

// Run walks every seed and tells of each as it ends. It returns an error if
// one of them failed.
func Run(ctx context.Context, o Options, out io.Writer) error {
	began := time.Now()
	each := (o.Steps + o.Seeds - 1) / o.Seeds
	results := make([]threats.Tortured, o.Seeds)
	free := make(chan struct{}, o.Labs)
	var walking sync.WaitGroup
	var say sync.Mutex
	fmt.Fprintf(out, "%d steps on each of %d seeds, %d labs side by side\n\n%s\n", each, o.Seeds, o.Labs, header)
	for i := range results {
		free <- struct{}{}
		walking.Go(func() {
			defer func() { <-free }()
			results[i] = walk(ctx, o, o.Seed+uint64(i), each)
			say.Lock()
			defer say.Unlock()
			fmt.Fprintln(out, row(results[i]))
			if err := results[i].Err; err != nil {
				fmt.Fprintf(out, "       %.2000v\n", err)
			}
		})
	}
	walking.Wait()
	return summary(out, results, time.Since(began))
}

func walk(ctx context.Context, o Options, seed uint64, steps int) threats.Tortured {
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(steps)*stepLimit)
	defer cancel()
	l, err := lab.New(lab.Options{Lanseal: o.Lanseal})
	if err != nil {
		return threats.Tortured{Seed: seed, Err: err}
	}
	defer l.Close()
	if err := l.Ready(ctx); err != nil {
		return threats.Tortured{Seed: seed, Err: fmt.Errorf("the lab is not ready: %w", err)}
	}
	r := threats.Torture(ctx, l, seed, steps)
	if r.Err != nil { // the lab's files go with it
		for _, a := range l.Agents() {
			path := strings.TrimSuffix(r.Pcap, ".pcap") + ".log"
			if werr := os.WriteFile(path, []byte(a.Log()), 0o600); werr != nil {
				r.Err = errors.Join(r.Err, werr)
			}
		}
	}
	return r
}

const header = "seed    steps     sent  leaked  agents  healed  checks  back in     RSS KiB         files   result"

func row(r threats.Tortured) string {
	result := "held"
	if r.Err != nil {
		result = "FAILED"
	}
	return fmt.Sprintf("%-6d %6d %8d %7d %7d %7d %7d %8s  %6d → %-6d %4d → %-4d  %s", r.Seed, r.Steps, r.Sent, r.Leaked, r.Starts, r.Healed,
		r.Checks, r.Slowest.Round(100*time.Millisecond), r.First.RSS, r.Last.RSS, r.First.Files, r.Last.Files, result)
}

func summary(out io.Writer, all []threats.Tortured, took time.Duration) error {
	var sum threats.Tortured
	var failed []error
	for _, r := range all {
		sum.Steps, sum.Sent, sum.Leaked = sum.Steps+r.Steps, sum.Sent+r.Sent, sum.Leaked+r.Leaked
		sum.Starts, sum.Checks, sum.Slowest = sum.Starts+r.Starts, sum.Checks+r.Checks, max(sum.Slowest, r.Slowest)
		if r.Err == nil {
			continue
		}
		failed = append(failed, fmt.Errorf("seed %d", r.Seed))
		last := r.Story[max(0, len(r.Story)-20):]
		fmt.Fprintf(out, "\nseed %d: %.2000v\n  the last steps: %s\n  capture and log: %s, .log\n  again: make torture SEED=%d SEEDS=1 STEPS=%d\n",
			r.Seed, r.Err, strings.Join(last, "; "), r.Pcap, r.Seed, len(r.Story))
	}
	fmt.Fprintf(out, "\n%d seeds, %d steps, %d packets of clients, %d leaked, %d agents started, %d checks, service back within %s, in %s\n",
		len(all), sum.Steps, sum.Sent, sum.Leaked, sum.Starts, sum.Checks, sum.Slowest.Round(100*time.Millisecond), took.Round(time.Second))
	return errors.Join(failed...)
}

// Main is the command: its exit status is 1 when a walk failed.
func Main(args []string) int {
	o := Options{}
	fs := flag.NewFlagSet("lanseal-lab torture", flag.ExitOnError)
	fs.StringVar(&o.Lanseal, "lanseal", "", "the binary under test (default bin/lanseal)")
	fs.Uint64Var(&o.Seed, "seed", 1, "the first seed")
	fs.IntVar(&o.Seeds, "seeds", 20, "how many seeds")
	fs.IntVar(&o.Steps, "steps", 2000, "steps of all seeds together")
	fs.IntVar(&o.Labs, "labs", 4, "labs side by side")
	_ = fs.Parse(args) // exits on an error
	if o.Seeds < 1 || o.Steps < 1 || o.Labs < 1 {
		fmt.Fprintln(os.Stderr, "lanseal-lab torture: -seeds, -steps and -labs start at 1")
		return 2
	}
	if err := Run(context.Background(), o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "lanseal-lab torture: failed: "+strings.ReplaceAll(err.Error(), "\n", ", "))
		return 1
	}
	return 0
}
