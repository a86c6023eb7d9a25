package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

const (
	rssBound   = 20 << 10 // kB of resident memory, of the idle agent
	flashBound = 14 << 10 // kB of flash, of the installed package
)

// run is the life of one router: bought, set up, attacked, rebooted.
func (s *scenario) run(ctx context.Context, short bool) error {
	if err := s.m.On(); err != nil {
		return err
	}
	if err := s.m.Wait(within(ctx, bootTime)); err != nil {
		return err
	}
	if err := s.install(within(ctx, healTime)); err != nil {
		return err
	}
	if err := s.open(within(ctx, healTime)); err != nil {
		return err
	}
	if err := s.arm(ctx); err != nil {
		return err
	}
	for _, f := range s.faults() {
		if short && f.long {
			continue
		}
		err := s.during(ctx, f.name, func(ctx context.Context) (string, error) {
			if err := f.do(ctx); err != nil {
				return "", err
			}
			return "", s.protected(ctx)
		})
		if err != nil {
			return err
		}
	}
	if err := s.boots(ctx, short); err != nil {
		return err
	}
	if err := s.during(ctx, "C1 the clock set two hours forward", s.step); err != nil {
		return err
	}
	return s.crowd(ctx)
}

func within(ctx context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(ctx, d)
	context.AfterFunc(ctx, cancel)
	return ctx
}

const opkgInstall = "opkg install /" + packageFile

// install is what a person does with the package, and what it takes of the flash.
func (s *scenario) install(ctx context.Context) error {
	start := time.Now()
	before, err := s.flashUsed(ctx)
	if err == nil {
		_, err = s.m.Must(ctx, opkgInstall)
	}
	after := 0
	if err == nil {
		after, err = s.flashUsed(ctx)
	}
	took := after - before
	if err == nil && (took <= 0 || took > flashBound) {
		err = fmt.Errorf("it takes %d kB of flash: more than %d, or nothing", took, flashBound)
	}
	return s.add(row{"installed by opkg", -1, time.Since(start), fmt.Sprintf("%.1f MB of flash", float64(took)/1024), err})
}

// flashUsed is what the flash's file system has taken, in kB.
func (s *scenario) flashUsed(ctx context.Context) (int, error) {
	out, err := s.m.Must(ctx, "sync; df -k /overlay | awk 'END { print $(NF - 3) }'")
	if err != nil {
		return 0, err
	}
	var kb int
	_, err = fmt.Sscan(out, &kb)
	return kb, err
}

// open is the positive control: lanseal is installed and off, as a package
// comes, and everything leaks. Nothing below is proved by silence. The clients
// send from then on.
func (s *scenario) open(ctx context.Context) error {
	start, mark := time.Now(), s.lab.WAN.MarkTime()
	err := s.lab.ControlLeak(ctx, s.lab.TV)
	less := []lab.Kind{lab.UDP6, lab.TCPNew4, lab.DNSISP}
	s.clients = []client{
		{s.lab.Traffic(s.lab.TV), lab.TunnelKinds()},
		{s.lab.Traffic(s.lab.Laptop, less...), less},
	}
	for _, t := range s.clients {
		err = errors.Join(err, t.WaitFlow(ctx, less...))
	}
	note := ""
	if err == nil && s.arch.nft {
		note, err = s.offloaded(ctx)
	}
	return s.add(row{"control: off as installed, all of it leaks", s.lab.WAN.Count(lab.Leak, mark), time.Since(start), note, err})
}

// offloaded waits until an established flow passes by the flow table alone.
func (s *scenario) offloaded(ctx context.Context) (string, error) {
	for {
		out, _, err := s.m.Order(ctx, "grep -c OFFLOAD /proc/net/nf_conntrack")
		if err != nil {
			return "", err
		}
		if n := strings.TrimSpace(out); n != "0" && n != "" {
			return n + " flows offloaded", nil
		}
		select {
		case <-ctx.Done():
			return "", errors.New("no flow was ever offloaded")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// arm switches lanseal on while flows are established, offloaded where the
// kernel can (T13): they end, and nothing leaks from then on.
func (s *scenario) arm(ctx context.Context) error {
	arming := within(ctx, bootTime+healTime)
	if err := s.configure(arming, household{}); err != nil {
		return err
	}
	start := time.Now()
	lastOpen := s.watchLast()
	// What "save and apply" runs.
	_, err := s.m.Must(arming, "/etc/init.d/lanseal reload")
	if err == nil {
		err = s.protected(arming)
	}
	took := time.Since(start)
	err = s.add(row{"armed while flows go on", -1, took, fmt.Sprintf("the last leak %.1f s after the order", lastOpen().Seconds()), err})
	if err != nil {
		return err
	}
	return s.during(ctx, "T13 flows from before protection", func(ctx context.Context) (string, error) {
		for _, t := range s.clients {
			if err := t.WaitSent(ctx, 20); err != nil {
				return "", err
			}
		}
		out, err := s.m.Must(ctx, "cat /sys/class/net/ls-se/uevent; lanseal verify")
		if err == nil && !strings.Contains(out, "DEVTYPE=wireguard") {
			err = errors.New("ls-se is not the kernel's WireGuard: " + out)
		}
		return "by the kernel's WireGuard", err
	})
}

// watchLast measures, in tenths of a second, until when the wire leaks.
func (s *scenario) watchLast() (last func() time.Duration) {
	const every = 100 * time.Millisecond
	done, answer := make(chan struct{}), make(chan time.Duration)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		marks := []lab.Mark{s.lab.WAN.MarkTime()}
		for {
			select {
			case <-tick.C:
				marks = append(marks, s.lab.WAN.MarkTime())
				continue
			case <-done:
			}
			n := len(marks)
			for n > 1 && s.lab.WAN.Count(lab.Leak, marks[n-1]) == 0 {
				n--
			}
			answer <- time.Duration(n) * every
			return
		}
	}()
	return func() time.Duration { close(done); return <-answer }
}

// fault is something that people, programs and OpenWrt do to a router.
type fault struct {
	name string
	long bool // left out of the short form
	do   func(ctx context.Context) error
}

func (s *scenario) order(commands ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, c := range commands {
			if _, err := s.m.Must(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *scenario) faults() []fault {
	flush := "nft flush ruleset"
	if !s.arch.nft {
		flush = "fw flush; fw start"
	}
	return []fault{
		{"T2 tunnel device deleted", true, s.order("ip link del ls-se")},
		{"T4 agent killed (-9)", false, s.order("kill -9 $(cat /tmp/procd/lanseal/pid)")},
		{"T5 every firewall rule flushed by hand", false, s.order(flush, "fw reload")},
		{"T5 service firewall stop (every table), start", false, s.order("/etc/init.d/firewall stop", "/etc/init.d/firewall start")},
		{"T5 service firewall restart, reload", false, s.order("/etc/init.d/firewall restart", "/etc/init.d/firewall reload")},
		{"T6 service network restart (every ip rule)", false, s.order("/etc/init.d/network restart")},
		{"T14 service lanseal restart", false, s.order("/etc/init.d/lanseal restart")},
		{"T14 reload", true, s.order("/etc/init.d/lanseal reload")},
		{"T14 package upgraded by opkg", false, s.order(opkgInstall)},
	}
}

// boots are T12: clients send all the time, from before the guest's first init
// script, through shutdown, power cut and boot.
func (s *scenario) boots(ctx context.Context, short bool) error {
	err := s.during(ctx, "T12 reboot: shutdown, boot, agent start", func(ctx context.Context) (string, error) {
		if err := s.leave(ctx, "reboot"); err != nil {
			return "", err
		}
		return s.back(ctx)
	})
	if err != nil || short {
		return err
	}
	err = s.during(ctx, "T12 power cut, boot", func(ctx context.Context) (string, error) {
		if err := s.m.PowerCut(); err != nil {
			return "", err
		}
		return s.back(ctx)
	})
	if err == nil && s.arch.nft { // the init script needs nft to seal without the agent
		err = s.during(ctx, "T12 boot with an agent that cannot run: the seal's file", s.withoutAgent)
	}
	if err != nil {
		return err
	}
	return s.during(ctx, "C1, C2 boot 10 h behind, the bootstrap resolver dead", s.behind)
}

func (s *scenario) withoutAgent(ctx context.Context) (string, error) {
	if _, err := s.m.Must(ctx, "chmod 0 /usr/sbin/lanseal"); err != nil {
		return "", err
	}
	if err := s.leave(ctx, "reboot"); err != nil {
		return "", err
	}
	if err := s.m.Wait(ctx); err != nil {
		return "", err
	}
	for _, t := range s.clients {
		if err := t.WaitSent(ctx, 20); err != nil {
			return "", err
		}
	}
	if out, exit, err := s.m.Order(ctx, "lanseal status"); err != nil || exit == 0 {
		return "", errors.Join(err, fmt.Errorf("the agent runs all the same: %s", out))
	}
	if _, err := s.m.Must(ctx, "chmod 755 /usr/sbin/lanseal; sync"); err != nil {
		return "", err
	}
	return "then healed", s.protected(ctx)
}

// behind boots a router whose clock stood still: its server has seen later
// handshakes, and nobody resolves its server's name.
func (s *scenario) behind(ctx context.Context) (string, error) {
	bootstrap := netip.MustParseAddr(lab.Resolver4)
	wan := netip.MustParseAddr(lab.WAN4)
	s.lab.WAN.Explain("bootstrap", func(f *lab.Frame) bool { return f.Src == wan && f.Dst == bootstrap && f.DstPort == 53 })
	if err := s.configure(ctx, household{endpoint: "vpn1.lab.test:" + strconv.Itoa(lab.WGPort), bootstrap: lab.Resolver4}); err != nil {
		return "", err
	}
	if _, err := s.m.Must(ctx, "/etc/init.d/lanseal restart"); err != nil {
		return "", err
	}
	if err := s.protected(ctx); err != nil {
		return "", err
	}
	if err := s.leave(ctx, "poweroff"); err != nil {
		return "", err
	}
	if err := s.m.Ended(ctx); err != nil {
		return "", err
	}
	err := s.lab.Internet.NFT("table ip dead {\n chain in {\n  type filter hook prerouting priority -400\n  ip saddr " +
		lab.WAN4 + " meta l4proto { tcp, udp } th dport 53 drop\n }\n}\n")
	if err != nil {
		return "", err
	}
	began := time.Now()
	if err := s.m.On("-rtc", "base="+began.Add(-10*time.Hour).UTC().Format("2006-01-02T15:04:05")); err != nil {
		return "", err
	}
	note, err := s.back(ctx)
	if err != nil {
		return "", err
	}
	out, err := s.m.Must(ctx, "lanseal events")
	if err == nil && !strings.Contains(out, "moved forward") {
		err = fmt.Errorf("the clock was not behind, so this shows nothing:\n%s", out)
	}
	return note, errors.Join(err, s.lab.VPN1.WaitHandshake(ctx, began))
}

// step sets the clock, as an NTP client does that has found its server late: the
// kernel cancels the agent's timer, and the handshakes are made anew.
func (s *scenario) step(ctx context.Context) (string, error) {
	before, err := s.steps(ctx)
	if err != nil {
		return "", err
	}
	began := time.Now()
	if _, err := s.m.Must(ctx, `date -s "@$(($(date +%s) + 7200))"`); err != nil {
		return "", err
	}
	for {
		after, err := s.steps(ctx)
		if err == nil && after > before {
			break
		}
		select {
		case <-ctx.Done():
			return "", errors.Join(err, errors.New("the agent did not notice it"))
		case <-time.After(200 * time.Millisecond):
		}
	}
	err = s.lab.VPN1.WaitHandshake(ctx, began)
	return "noticed, and a new handshake", errors.Join(err, s.protected(ctx))
}

// steps counts what the agent has noticed of them.
func (s *scenario) steps(ctx context.Context) (int, error) {
	out, err := s.m.Must(ctx, "lanseal events")
	return strings.Count(out, "the clock was set"), err
}

// leave gives an order that ends in a boot.
func (s *scenario) leave(ctx context.Context, order string) error {
	_, err := s.m.Must(ctx, "sync; ( sleep 1; "+order+" ) >/dev/null 2>&1 &")
	return err
}

// back waits for the booted guest's protection.
func (s *scenario) back(ctx context.Context) (string, error) {
	start := time.Now()
	if err := s.m.Wait(ctx); err != nil {
		return "", err
	}
	booted := time.Since(start)
	err := s.protected(ctx)
	return fmt.Sprintf("its scripts ended after %.0f s", booted.Seconds()), err
}
