package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/lanseal/lanseal/agent/lab"
)

// endpointName is how the provider names its first server.
const endpointName = "vpn1.lab.test"

// uci is what a user writes; the tunnels come by "lanseal import".
const uci = `config lanseal 'main'
	option enabled '1'
	list lan_device 'br-lan'
	list wan_device 'wan'
	list bootstrap '` + lab.Resolver4 + `'
`

// laptopKinds are less than the TV's: all of it twice would only cost time.
func laptopKinds() []lab.Kind {
	return []lab.Kind{lab.TCP4, lab.TCPNew4, lab.TCPNew6, lab.DNSRouter, lab.STUN4}
}

// setUp builds the lab.
func (d *demo) setUp(ctx context.Context) error {
	d.s.line(d.s.paint(bold, d.s.text("lanseal demo")) + d.s.text("  a LAN, its router, an ISP and two VPN servers, in network namespaces of this machine"))
	done := d.s.busy("building the lab")
	var err error
	if d.l, err = lab.New(lab.Options{Lanseal: d.o.Lanseal, Dnsmasq: true}); err == nil {
		err = d.l.Ready(ctx)
	}
	done()
	if err != nil {
		return err
	}
	d.explainBootstrap()
	if d.before, err = d.look(ctx); err != nil {
		return err
	}
	d.s.printf("")
	d.s.printf("   tv, laptop ── router ── ISP ── the internet ── vpn1, vpn2        up after %s", took(time.Since(d.began)))
	d.s.printf("                        ▲ every packet here is looked at")
	return nil
}

// without is the positive control: what there is to see, and that we see it.
func (d *demo) without(ctx context.Context) error {
	d.s.head(1, "Without lanseal: what the ISP and the servers see")
	done := d.s.busy("the TV and the laptop use the internet")
	defer done()
	d.clients = []*lab.Traffic{d.l.Traffic(d.l.TV), d.l.Traffic(d.l.Laptop, laptopKinds()...)}
	d.mark()
	began := time.Now()
	if err := errors.Join(d.flow(ctx, flowWithin), pause(ctx, time.Second), d.l.WAN.Drain(ctx)); err != nil {
		return fmt.Errorf("the lab's internet does not work: %w", err)
	}
	leaked := d.l.WAN.Count(lab.Leak, d.wire)
	asked, _ := d.asked()
	v4, v6, stun, err := d.seen()
	done()
	if err != nil {
		return err
	}
	d.s.fact(red, "on the ISP's wire", "%s packets in the clear in %s", number(leaked), took(time.Since(began)))
	d.s.fact(red, "servers see", "%s  (the ISP's customer)", v4)
	d.s.fact(red, "over IPv6", "%s  (the TV itself)", v6)
	d.s.fact(red, "STUN (WebRTC) sees", "%s", stun)
	d.s.fact(red, "the ISP's resolver", "was asked %s questions", number(asked))
	if n, _ := d.clients[0].Betrayed(); leaked == 0 || asked == 0 || n == 0 || !lab.ISPOwned(v4) || !lab.ISPOwned(v6) || !lab.ISPOwned(stun) {
		return errors.New("the capture or the servers saw nothing where everything is open: their silence would prove nothing")
	}
	return nil
}

// seen asks servers who the TV is.
func (d *demo) seen() (v4, v6, stun netip.Addr, err error) {
	v4, err4 := d.l.TV.WhoAmI(lab.Echo4)
	v6, err6 := d.l.TV.WhoAmI(lab.Echo6)
	s, errS := d.l.TV.STUN(lab.Echo4)
	return v4, v6, s.Addr(), errors.Join(err4, err6, errS)
}

// protect does what a user does: import, check, guard, run.
func (d *demo) protect(ctx context.Context) error {
	version, err := d.l.Router.Command(ctx, d.l.Opts.Lanseal, "version").Output()
	if err != nil {
		return fmt.Errorf("%s version: %w", d.l.Opts.Lanseal, err)
	}
	d.s.head(2, strings.TrimSpace(string(version))+": import the provider's file, check, guard, run")
	if d.a, err = d.l.StartAgent(lab.AgentConfig{UCI: uci, Tunnels: map[string]string{}, NoStart: true}); err != nil {
		return err
	}
	if err := d.importFile(ctx, "se", d.l.VPN1); err != nil {
		return err
	}
	if _, err := d.command(ctx, "check", "check"); err != nil {
		return err
	}
	if _, err := d.command(ctx, "guard", "guard"); err != nil {
		return err
	}
	d.mark()
	d.sealed, d.faulted = d.wire, d.marked
	// Long enough for clients to notice, and for all that was on its way.
	if err := pause(ctx, 700*time.Millisecond); err != nil {
		return err
	}
	d.first = result{id: "T12", fault: "guard and run"}
	d.count(&d.first, row{})
	d.timed(verdictOf(d.first), "  no agent yet", time.Since(d.marked), fmt.Sprintf("%s packets sent, %d leaked", number(d.first.sent), d.first.leaked))
	began := time.Now()
	if err := d.a.Start(); err != nil {
		return err
	}
	if err := d.state(ctx, "protected"); err != nil {
		return fmt.Errorf("lanseal run: %w", err)
	}
	d.timed(green, "$ lanseal run", time.Since(began), "protected")
	return d.browse(ctx)
}

func verdictOf(r result) style {
	if r.good() {
		return green
	}
	return red
}

// command runs one of lanseal's and shows what it says.
func (d *demo) command(ctx context.Context, shown string, args ...string) (string, error) {
	began := time.Now()
	out, errs, exit, err := d.a.Run(ctx, args...)
	if err == nil && exit != 0 {
		err = fmt.Errorf("exit status %d: %s", exit, strings.TrimSpace(errs))
	}
	if err != nil {
		return "", fmt.Errorf("lanseal %s: %w", shown, err)
	}
	say := strings.TrimSpace(strings.ReplaceAll(out, filepath.Dir(d.a.Config), "…"))
	d.timed(plain, "$ lanseal "+shown, time.Since(began), say)
	return out, nil
}

// timed is a fact with how long it took.
func (d *demo) timed(st style, name string, t time.Duration, say string) {
	d.s.fact(st, name, "%s   %s", padLeft(took(t), 6), say)
}

func clientOptions(name string, noIPv6 bool) lab.ClientOptions {
	o := lab.ClientOptions{NoIPv6: noIPv6}
	if name == "se" {
		o.Endpoint = fmt.Sprintf("%s:%d", endpointName, lab.WGPort)
	}
	return o
}

// importFile adds a tunnel as a user does, from what the provider sent.
func (d *demo) importFile(ctx context.Context, name string, v *lab.VPN) error {
	path := filepath.Join(d.l.Dir, name+".conf")
	if err := os.WriteFile(path, []byte(v.ClientFile(clientOptions(name, false))), 0o600); err != nil {
		return err
	}
	_, err := d.command(ctx, "import "+name+".conf", "import", path, "--name", name)
	return err
}

// addSecond imports the second exit into the running agent.
func (d *demo) addSecond(ctx context.Context) error {
	d.second = true
	if err := d.importFile(ctx, "no", d.l.VPN2); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flowWithin)
	defer cancel()
	return poll(ctx, 20*time.Millisecond, func() error {
		s, err := d.a.Status(ctx)
		if err == nil && s.Exit("no").State != "up" {
			err = fmt.Errorf("the second exit is %s", s.Exit("no").State)
		}
		return err
	})
}

// browse shows the same as without, and learns the pace of the probes.
func (d *demo) browse(ctx context.Context) error {
	done := d.s.busy("the TV and the laptop use the internet")
	err := d.flow(ctx, flowWithin)
	d.mark()
	if err == nil {
		err = errors.Join(pause(ctx, 1200*time.Millisecond), d.flow(ctx, flowWithin))
	}
	d.watch = newWatch(d.clients)
	transport := d.l.WAN.Count(lab.Transport, d.wire)
	tunnel := len(d.l.VPN1.DNS.Questions(d.marked))
	v4, v6, stun, errSeen := d.seen()
	res := result{id: "T1", fault: "browsing"}
	d.count(&res, row{})
	done()
	if err := errors.Join(err, errSeen); err != nil {
		return err
	}
	d.results = append(d.results, res)
	st := verdictOf(res)
	d.s.fact(st, "on the ISP's wire", "%d packets in the clear, %s in the tunnel", res.leaked, number(transport))
	d.s.fact(st, "servers see", "%s  (the VPN server)", v4)
	d.s.fact(st, "over IPv6", "%s  (the VPN server)", v6)
	d.s.fact(st, "STUN (WebRTC) sees", "%s", stun)
	d.s.fact(st, "the ISP's resolver", "was asked %d questions; the one in the tunnel answered %s", res.asked, number(tunnel))
	if !d.l.VPN1.Public(v4) || !d.l.VPN1.Public(v6) || !d.l.VPN1.Public(stun) {
		return errors.New("a server saw somebody else than the VPN server")
	}
	return nil
}

const bootstrapRule = "bootstrap"

// explainBootstrap allows the one thing that leaves in the clear on purpose:
// the agent's question for its server's name, to the resolver that is
// configured for it.
func (d *demo) explainBootstrap() {
	d.l.WAN.Explain(bootstrapRule, func(f *lab.Frame) bool {
		const udp, payload = 17, 14 + 20 + 8
		if f.Dst.String() != lab.Resolver4 || f.DstPort != 53 || f.Proto != udp || len(f.Raw) < payload {
			return false
		}
		var m dnsmessage.Message
		return m.Unpack(f.Raw[payload:]) == nil && len(m.Questions) == 1 && m.Questions[0].Name.String() == endpointName+"."
	})
}
