package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// Bounds in time: what takes longer hangs. The emulation may be ten times
// slower than a router, on a machine that does other things beside.
const (
	bootTime = 150 * time.Second
	healTime = 150 * time.Second
)

// row is one line of the table.
type row struct {
	name   string
	leaked int
	took   time.Duration
	note   string
	err    error
}

func (r row) String() string {
	verdict := "ok"
	if r.err != nil {
		verdict = "FAILED"
	}
	leaked := fmt.Sprint(r.leaked)
	if r.leaked < 0 {
		leaked = "-"
	}
	return fmt.Sprintf("  %-58s %7s  %-7s %4.0f s  %s", r.name, leaked, verdict, r.took.Seconds(), r.note)
}

// client is what one host on the LAN keeps sending, and which of it a tunnel
// answers.
type client struct {
	*lab.Traffic
	carried []lab.Kind
}

// scenario is one guest's life and what was seen of it.
type scenario struct {
	arch    arch
	lab     *lab.Lab
	m       *machine
	clients []client
	rows    int
	out     io.Writer
}

// playTime bounds one guest's life.
const playTime = 20 * time.Minute

// play boots the architecture's guest and runs the rows; short leaves out what
// takes longest.
func play(ctx context.Context, a arch, ipk []byte, root string, short bool, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, playTime)
	defer cancel()
	if !a.cached() {
		return fmt.Errorf("%s: no kernel in %s: run make vm-kernels", a.name, cacheDir())
	}
	im, err := newImage(root, a, ipk)
	if err != nil {
		return err
	}
	initrd, err := im.pack()
	if err != nil {
		return err
	}
	l, err := lab.New(lab.Options{External: true})
	if err != nil {
		return err
	}
	defer l.Close()
	m, err := newMachine(l, a, initrd)
	if err != nil {
		return err
	}
	defer m.Off()
	s := &scenario{arch: a, lab: l, m: m, out: out}
	fmt.Fprintf(out, "%s: %s, %d MB\n  %-58s %7s\n", a.name, a.is, a.memory, "", "leaked")
	began := time.Now()
	err = s.run(ctx, short)
	if err == nil {
		err = l.WAN.Check()
	}
	fmt.Fprintf(out, "  %d rows in %d s\n", s.rows, int(time.Since(began).Seconds()))
	if err != nil {
		s.evidence(ctx)
		return fmt.Errorf("%s: %w", a.name, err)
	}
	return nil
}

// evidence shows what a person would ask for first.
func (s *scenario) evidence(ctx context.Context) {
	fmt.Fprintf(s.out, "--- the guest's console\n%s\n", s.m.Console())
	if s.m.orders != nil && ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		for _, c := range []string{"ps; free; dmesg | tail -n 5", "tail -n 60 /tmp/lanseal.log",
			"lanseal status", "lanseal verify", "kill -QUIT $(cat /tmp/procd/lanseal/pid); sleep 1; tail -n 200 /tmp/lanseal.log"} {
			text, _, err := s.m.Order(ctx, c)
			fmt.Fprintf(s.out, "--- %s\n%s\n", c, text)
			if err != nil {
				fmt.Fprintln(s.out, err)
				break
			}
		}
	}
	for _, t := range s.clients {
		fmt.Fprintln(s.out, t.Traffic)
	}
	if path, err := s.lab.WAN.WritePcap("vm-" + s.arch.name); err == nil {
		fmt.Fprintln(s.out, "the last frames on the wire:", path)
	}
}

// add shows a row; its error says whose it is.
func (s *scenario) add(r row) error {
	s.rows++
	fmt.Fprintln(s.out, r)
	if r.err != nil {
		return fmt.Errorf("%s: %w", r.name, r.err)
	}
	return nil
}

// during watches the wire while f runs and from its end on until every client
// has sent more; nothing may leak. The note is f's. The life of a guest ends
// with its first failure, so that what is shown then is of that moment.
func (s *scenario) during(ctx context.Context, name string, f func(ctx context.Context) (string, error)) error {
	mark := s.lab.MarkAll()
	for _, t := range s.clients {
		t.Mark()
	}
	ctx, cancel := context.WithTimeout(ctx, bootTime+healTime)
	defer cancel()
	start := time.Now()
	note, err := f(ctx)
	took := time.Since(start)
	for _, t := range s.clients {
		err = errors.Join(err, t.WaitSent(ctx, 3))
	}
	leaked, werr := s.leaked(ctx, mark)
	return s.add(row{name, leaked, took, note, errors.Join(err, werr)})
}

// leaked counts since the marks, by the wire and by what servers saw.
func (s *scenario) leaked(ctx context.Context, since lab.Marks) (int, error) {
	var err error
	n := 0
	for w, m := range since {
		err = errors.Join(err, w.Drain(ctx), w.Check())
		n += w.Count(lab.Leak, m)
		for i, f := range w.Leaks(m) {
			if i == 5 {
				break
			}
			err = errors.Join(err, fmt.Errorf("leaked: %s", f))
		}
	}
	for _, t := range s.clients {
		if seen, lines := t.Betrayed(); seen > 0 {
			err = errors.Join(err, fmt.Errorf("servers saw the customer: %s", strings.Join(lines, "; ")))
		}
	}
	return n, err
}

// protected waits until the agent says so and every client is served.
func (s *scenario) protected(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	var last string
	for {
		st, err := s.status(ctx)
		if err == nil && st.State == "protected" {
			break
		}
		last = fmt.Sprintf("%s %s %v", st.State, st.Reason, err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for protection: %w (last: %s)", ctx.Err(), last)
		case <-time.After(100 * time.Millisecond):
		}
	}
	for _, t := range s.clients {
		if err := t.WaitFlow(ctx, t.carried...); err != nil {
			return err
		}
	}
	return nil
}

func (s *scenario) status(ctx context.Context) (lab.Status, error) {
	var st lab.Status
	out, _, err := s.m.Order(ctx, "lanseal status --json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &st)
	}
	return st, err
}

// household is what a configuration has beside the usual case.
type household struct {
	devices   int    // with rules of their own
	endpoint  string // of the first exit, by name
	bootstrap string // resolver for that name
}

func deviceMAC(i int) string { return fmt.Sprintf("02:00:00:01:%02x:%02x", i>>8, i&0xff) }

// configure writes the configuration of the usual case and a household's.
func (s *scenario) configure(ctx context.Context, h household) error {
	var more strings.Builder
	for i := range h.devices {
		way := []string{"se", "no", "block"}[i%3]
		fmt.Fprintf(&more, "config device 'd%d'\n\tlist mac '%s'\n\tlist via '%s'\n", i, deviceMAC(i), way)
		if i < 150 {
			fmt.Fprintf(&more, "\tlist ip '192.168.1.%d'\n", 100+i)
		}
		more.WriteByte('\n')
	}
	conf := lab.AgentConfig{Via: []string{"se", "no"}, More: more.String(),
		Tunnels: map[string]string{
			"se": s.lab.VPN1.ClientFile(lab.ClientOptions{Endpoint: h.endpoint}),
			"no": s.lab.VPN2.ClientFile(lab.ClientOptions{})}}
	if h.bootstrap != "" {
		conf.Main = []string{"list bootstrap '" + h.bootstrap + "'"}
	}
	for name, text := range conf.Tunnels {
		if err := s.m.Write(ctx, "/etc/lanseal/tunnels/"+name+".conf", text, 0o600); err != nil {
			return err
		}
	}
	uci := strings.ReplaceAll(s.lab.UsualUCI(conf), "@TUNNELS@", "/etc/lanseal/tunnels")
	return s.m.Write(ctx, "/etc/config/lanseal", uci, 0o600)
}

// rssOf reads a running service's resident memory in kB.
func (s *scenario) rssOf(ctx context.Context, service string) (int, error) {
	out, err := s.m.Must(ctx, "sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/$(cat /tmp/procd/"+service+"/pid)/status")
	if err != nil {
		return 0, err
	}
	var kb int
	_, err = fmt.Sscan(out, &kb)
	return kb, err
}

// packageFor is lanseal's package for an architecture, built.
func packageFor(ctx context.Context, root string, a arch, log io.Writer) ([]byte, error) {
	// A folder of its own: others may build the same target meanwhile.
	dist, err := os.MkdirTemp("", "lanseal-vm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dist)
	if _, err := runIn(ctx, root, log, "go", "run", "./cross", "ipk", "-only", a.target, "-dist", dist); err != nil {
		return nil, err
	}
	file, err := onlyMatch(filepath.Join(dist, "lanseal_*_"+a.label+".ipk"))
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}
