package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/rules"
	"github.com/lanseal/lanseal/webui"
)

// leakTest runs once, by itself: what it finds must not depend on the agent.
func leakTest(ctx context.Context, g globals) webui.LeakTest {
	started := time.Now().UTC()
	d := webui.LeakTest{State: "done", Started: &started, Probes: []webui.Probe{}, Leaks: []string{}}
	r, err := runLeakTest(ctx, g)
	finished := time.Now().UTC()
	d.Finished = &finished
	leaked := 0
	for _, p := range r.Probes {
		d.Probes = append(d.Probes, webui.Probe{Name: p.Name, Sent: p.Sent, Leaked: p.Leaked})
		leaked += p.Leaked
	}
	d.Leaks = append(d.Leaks, r.Leaks...)
	switch wires := strings.Join(r.Wires, ", "); {
	case leaked > 0: // whatever else went wrong
		d.Verdict, d.Why = "leak", fmt.Sprintf("%d packets of a device without a rule left by %s outside every tunnel", leaked, wires)
	case err != nil:
		d.Verdict, d.Why = "impossible", "the test could not be run: "+err.Error()
	default:
		d.Verdict, d.Why = "none", fmt.Sprintf("nothing leaked: %d ways out were tried, none was seen on %s", len(r.Probes), wires)
	}
	return d
}

func runLeakTest(ctx context.Context, g globals) (kernel.LeakReport, error) {
	if os.Geteuid() != 0 {
		return kernel.LeakReport{}, errors.New("it needs root: it plugs a client into the LAN and watches the uplink")
	}
	cfg, _ := config.Load(g.config, config.Options{})
	if len(cfg.Policy.LAN) == 0 {
		return kernel.LeakReport{}, errors.New("the LAN is not known: see lanseal check")
	}
	k, err := kernel.Open(kernel.Options{Firewall: cfg.Firewall, StateDir: g.state})
	if err != nil {
		return kernel.LeakReport{}, err
	}
	defer k.Close()
	s, err := k.Observe()
	if err != nil {
		return kernel.LeakReport{}, err
	}
	fw := rules.Compile(rules.SealedPolicy(cfg.Policy), s.Facts).Firewall
	var uplinks []string
	if fw != nil {
		uplinks = slices.DeleteFunc(fw.Uplinks, func(name string) bool { return !s.Facts.Links[name].Up })
	}
	return k.LeakTest(ctx, cfg.Policy.LAN[0], uplinks, nearUplinks(s.Facts, uplinks, cfg))
}

// nearUplinks are addresses that a half-closed router lets devices reach: the
// first of each uplink's subnet, which is the gateway as a rule, and the VPN
// servers'.
func nearUplinks(f rules.Facts, uplinks []string, cfg *config.Config) []netip.Addr {
	var out []netip.Addr
	for _, name := range uplinks {
		for _, p := range f.Links[name].Prefixes {
			if first := p.Masked().Addr().Next(); !p.Addr().IsLinkLocalUnicast() && first != p.Addr() && !p.IsSingleIP() {
				out = append(out, first)
			}
		}
	}
	for _, t := range cfg.Tunnels {
		if t.WireGuard == nil {
			continue
		}
		for _, p := range t.WireGuard.Peers {
			if a := p.Endpoint.Addr; a.IsValid() && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

func cmdLeakTest(ctx context.Context, g globals, args []string) (int, error) {
	var asJSON bool
	if err := none(flags(args, func(fs *flag.FlagSet) { fs.BoolVar(&asJSON, "json", false, "") })); err != nil {
		return 2, err
	}
	ctx, cancel := context.WithTimeout(ctx, leakTestLimit)
	defer cancel()
	d := leakTest(ctx, g)
	status := map[string]int{"none": 0, "leak": 1}
	exit, ran := status[d.Verdict]
	if !ran {
		exit = 2
	}
	if asJSON {
		enc := json.NewEncoder(g.stdout)
		enc.SetIndent("", "  ")
		return exit, enc.Encode(d)
	}
	for _, p := range d.Probes {
		seen := "not seen"
		if p.Leaked > 0 {
			seen = fmt.Sprintf("LEAKED %d times", p.Leaked)
		}
		fmt.Fprintf(g.stdout, "  %-48s %s\n", p.Name, seen)
	}
	fmt.Fprintln(g.stdout, d.Why)
	return exit, nil
}
