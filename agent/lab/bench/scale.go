package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/lab"
)

// sizes are how many devices have a rule of their own.
func sizes() []int { return []int{1, 10, 100, 250, 1000} }

// scale compares one lookup for all devices with a rule for each. The TV is
// the last of them, and leaves by the WAN on purpose, so that a packet costs
// the rules and no encryption.
func scale(ctx context.Context, b *bench) ([]row, error) {
	repeat := min(b.runs, 5)
	var apply, restore, single, cost []row
	var bare row
	err := b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) (err error) {
		bare = row{name: "no rules", what: "a packet, forwarded", unit: "µs", note: "a masquerading router"}
		bare.values, err = packetCost(ctx, l, repeat)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, n := range sizes() {
		b.tell("c  %d devices", n)
		who := func(name string) string { return fmt.Sprintf("%s, %d", name, n) }
		err := b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) error {
			r := row{name: who("lanseal"), what: "configuration to rules in force", unit: "ms", log: true}
			c := row{name: who("lanseal"), what: bare.what, unit: bare.unit, base: bare.name}
			config := func(turn int) lab.AgentConfig {
				return lab.AgentConfig{Tunnels: one(l).Tunnels, More: devices(n, turn)}
			}
			a, err := protected(ctx, l, config(0))
			if err != nil {
				return err
			}
			for turn := range repeat {
				took, err := reloaded(ctx, l, a, l.UsualUCI(config(turn+1)))
				if err != nil {
					return err
				}
				r.values = append(r.values, ms(took))
			}
			c.values, err = packetCost(ctx, l, repeat)
			apply, cost = append(apply, r), append(cost, c)
			return err
		})
		if err != nil {
			return nil, err
		}
		err = b.in(ctx, lab.Options{}, func(ctx context.Context, l *lab.Lab) error {
			list := row{name: who("iptables list"), what: "rules by iptables-restore", unit: "ms", base: who("lanseal"), log: true}
			loop := row{name: who("iptables list"), what: "rules by one iptables call each", unit: "ms", base: who("lanseal"), note: "as scripts write it", log: true}
			c := row{name: who("iptables list"), what: bare.what, unit: bare.unit, base: bare.name}
			for range repeat {
				if err := timed(&list, func() error { return restoreList(ctx, l, n) }); err != nil {
					return err
				}
			}
			if err := timed(&loop, func() error {
				return sh(ctx, l.Router, "iptables -t mangle -F PREROUTING\n"+strings.Join(rulesFor(n, "iptables -t mangle "), "\n"))
			}); err != nil {
				return err
			}
			var err error
			c.values, err = packetCost(ctx, l, repeat)
			restore, single, cost = append(restore, list), append(single, loop), append(cost, c)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	rows := append(append(apply, restore...), single...)
	return append(append(rows, bare), cost...), nil
}

// timed adds how long f took to a row.
func timed(r *row, f func() error) error {
	began := time.Now()
	err := f()
	r.values = append(r.values, ms(time.Since(began)))
	return err
}

func deviceMAC(i int) string { return fmt.Sprintf("02:00:00:10:%02x:%02x", i>>8, i&255) }

// devices are n device sections; each turn sends the first elsewhere, so that
// there is something to apply.
func devices(n, turn int) string {
	var b strings.Builder
	for i := range n - 1 {
		via := "se"
		if i == 0 && turn%2 == 1 {
			via = "block"
		}
		fmt.Fprintf(&b, "config device 'd%d'\n\tlist mac '%s'\n\tlist via '%s'\n\n", i, deviceMAC(i), via)
	}
	label := fmt.Sprintf("\toption label 'turn %d'\n", turn)
	fmt.Fprintf(&b, "config device 'tv'\n%s\tlist mac '%s'\n\tlist via 'direct'\n", label, lab.MACTV)
	if n == 1 && turn%2 == 1 { // there is no other to send elsewhere
		fmt.Fprintf(&b, "\tlist ip '%s'\n", lab.TV4)
	}
	return b.String()
}

func rulesFor(n int, command string) (lines []string) {
	rule := "-A PREROUTING -i br-lan -m mac --mac-source %s -j MARK --set-mark 0x%x"
	for i := range n - 1 {
		lines = append(lines, command+fmt.Sprintf(rule, deviceMAC(i), 1+i%3))
	}
	return append(lines, command+fmt.Sprintf(rule, lab.MACTV, 0x7e))
}

func restoreList(ctx context.Context, l *lab.Lab, n int) error {
	cmd := l.Router.Command(ctx, "iptables-restore")
	cmd.Stdin = strings.NewReader("*mangle\n" + strings.Join(rulesFor(n, ""), "\n") + "\nCOMMIT\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("iptables-restore: %w: %s", err, out)
	}
	return nil
}

// reloaded writes a configuration, sends SIGHUP, and waits for the kernel's word
// that a new ruleset is in force.
func reloaded(ctx context.Context, l *lab.Lab, a *lab.Agent, uci string) (time.Duration, error) {
	g, err := watchRules(ctx, l)
	if err != nil {
		return 0, err
	}
	defer g.close()
	if err := a.WriteConfig(uci); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := a.Reload(); err != nil {
		return 0, err
	}
	at, err := g.next(ctx, began)
	return at.Sub(began), err
}

// generations hears of every change of the router's ruleset.
type generations struct {
	socket *nl.NetlinkSocket
	at     chan time.Time
}

func watchRules(ctx context.Context, l *lab.Lab) (*generations, error) {
	g := &generations{at: make(chan time.Time, 64)}
	err := l.Router.Do(func() (err error) {
		g.socket, err = nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening for changes of the ruleset: %w", err)
	}
	if err := errors.Join(g.socket.SetReceiveBufferSize(16<<20, true), g.socket.SetReceiveTimeout(&unix.Timeval{Usec: 100_000})); err != nil {
		g.socket.Close()
		return nil, err
	}
	go func() {
		for ctx.Err() == nil {
			msgs, _, err := g.socket.Receive()
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS) {
				continue
			}
			if err != nil {
				return
			}
			for _, m := range msgs {
				if m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN {
					select {
					case g.at <- time.Now():
					default:
					}
				}
			}
		}
	}()
	return g, nil
}

func (g *generations) close() { g.socket.Close() }

// next waits for a change after a moment.
func (g *generations) next(ctx context.Context, after time.Time) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		select {
		case at := <-g.at:
			if at.After(after) {
				return at, nil
			}
		case <-ctx.Done():
			return time.Time{}, errors.New("the ruleset has not changed")
		}
	}
}

// packetCost sends small datagrams from the TV to the internet. Between
// namespaces the sender's own system call carries a packet through the router
// to the receiver, so its time is the packet's. The captures are off: they
// would cost more than the rules.
func packetCost(ctx context.Context, l *lab.Lab, repeat int) ([]float64, error) {
	l.WAN.Detach()
	const packets = 20_000
	inbox, err := l.Internet.Inbox(5001)
	if err != nil {
		return nil, err
	}
	var c *net.UDPConn
	if err := l.TV.Do(func() (err error) {
		c, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(lab.Echo4), 5001)))
		return err
	}); err != nil {
		return nil, err
	}
	defer c.Close()
	msg := make([]byte, 64)
	var values []float64
	for range repeat {
		before := inbox.Count()
		began := time.Now()
		for range packets {
			if _, err := c.Write(msg); err != nil {
				return nil, fmt.Errorf("sending from the TV: %w", err)
			}
		}
		values = append(values, float64(time.Since(began).Microseconds())/packets)
		if err := poll(ctx, 5*time.Millisecond, func() error {
			if inbox.Count() == before {
				return errors.New("nothing arrived")
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return values, nil
}
