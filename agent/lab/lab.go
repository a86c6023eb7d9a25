package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options say what the lab has beyond the usual.
type Options struct {
	Lanseal string // the product's binary; empty: bin/lanseal of this tree
	Dnsmasq bool   // a real dnsmasq on br-lan, upstream the ISP's resolver
	Guest   bool   // a second LAN, br-guest, with one client
	WAN2    bool   // a second uplink
	// ClientRA makes the clients take addresses and routes from router
	// advertisements as well (see Lab.SendRA).
	ClientRA bool
	// External leaves the router to somebody outside, who plugs into TapLAN
	// and TapWAN. It goes with none of the options above.
	External bool
}

// Lab is one small internet.
type Lab struct {
	Name string // "lanseal-<pid>-<n>"
	Dir  string // configuration, logs and sockets of this lab
	Opts Options

	Router, ISP, Internet *Host
	TV, Laptop, Guest     *Host // Guest is nil without Options.Guest
	VPN1, VPN2            *VPN
	WAN, WAN2             *Wire // WAN2 is nil without Options.WAN2
	Zone                  *Zone // what every resolver of the lab knows

	dns     resolvers
	dnsmasq *Process
	agents  []*Agent
	mu      sync.Mutex
	hosts   []*Host
	closers []func()
	closed  bool
}

var (
	labs   atomic.Int64 // numbers the labs of this process, for their names
	living atomic.Int64 // labs not yet closed, for whom a signal waits
)

// New builds a lab; it is up when New returns. The caller closes it. A crash's
// remains of earlier labs are removed first.
func New(o Options) (*Lab, error) {
	if err := Usable(); err != nil {
		return nil, err
	}
	if o.Lanseal == "" {
		o.Lanseal = findBinary("lanseal")
	}
	Sweep()
	l := &Lab{Name: fmt.Sprintf("lanseal-%d-%d", os.Getpid(), labs.Add(1)), Opts: o}
	l.Dir = filepath.Join(labsDir, l.Name)
	if err := claim(l.Dir); err != nil {
		return nil, err
	}
	living.Add(1)
	l.closeOnSignal()
	if err := l.build(); err != nil {
		l.Close()
		return nil, fmt.Errorf("building the lab: %w", err)
	}
	return l, nil
}

// Usable says why no lab can be built here, or nil.
func Usable() error {
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root (network and mount namespaces)")
	}
	return nil
}

// findBinary looks for bin/NAME from the working directory upwards.
func findBinary(name string) string {
	dir, err := os.Getwd()
	for err == nil {
		if p := filepath.Join(dir, "bin", name); fileExists(p) {
			return p
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return filepath.Join("bin", name)
}

func fileExists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

// onClose registers what Close undoes, last first.
func (l *Lab) onClose(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers = append(l.closers, f)
}

// Close removes everything: processes, namespaces, files. Twice is harmless.
func (l *Lab) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	closers, hosts := l.closers, l.hosts
	l.mu.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
	inodes := map[uint64]bool{}
	for _, h := range hosts {
		inodes[h.inode] = true
	}
	killInside(inodes)
	for _, h := range hosts {
		h.close()
	}
	_ = os.RemoveAll(l.Dir)
	_ = os.Remove(labsDir) // fails while another lab is there
	living.Add(-1)
}

// closeOnSignal lets an interrupted program leave nothing behind.
func (l *Lab) closeOnSignal() {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	stop := make(chan struct{})
	l.onClose(func() { signal.Stop(ch); close(stop) })
	go func() {
		select {
		case s := <-ch:
			l.Close()
			for i := 0; living.Load() > 0 && i < 500; i++ {
				time.Sleep(10 * time.Millisecond) // the other labs' own handlers
			}
			os.Exit(128 + int(s.(syscall.Signal)))
		case <-stop:
		}
	}()
}

// Hosts are all hosts of the lab.
func (l *Lab) Hosts() []*Host { return l.hosts }

// Clients are the hosts on the LANs.
func (l *Lab) Clients() []*Host {
	c := []*Host{l.TV, l.Laptop}
	if l.Guest != nil {
		c = append(c, l.Guest)
	}
	return c
}

// eventually asks until the answer is nil or the context ends, and then
// returns the last answer.
func eventually(ctx context.Context, what string, f func() error) error {
	return eventuallyEvery(ctx, 5*time.Millisecond, what, f)
}

func eventuallyEvery(ctx context.Context, every time.Duration, what string, f func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last: %w)", what, ctx.Err(), err)
		case <-tick.C:
		}
	}
}
