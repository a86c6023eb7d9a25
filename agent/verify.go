package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/rules"
	"github.com/lanseal/lanseal/webui"
)

// The documents of "verify --json" are the web UI's.
type (
	verifyDoc = webui.Verification
	finding   = webui.Finding
)

// verifyWait bounds the question to the agent: one that is stopped or busy
// must not keep the kernel from being looked at.
const verifyWait = 2 * time.Second

func cmdVerify(ctx context.Context, g globals, args []string) (int, error) {
	var asJSON bool
	if err := none(flags(args, func(fs *flag.FlagSet) { fs.BoolVar(&asJSON, "json", false, "") })); err != nil {
		return 2, err
	}
	d, policy, err := verifyNow(ctx, g)
	if err != nil {
		return 2, err
	}
	return printVerify(g, d, asJSON, policy)
}

// verifyNow looks at the kernel by itself, and asks the agent for nothing but
// which exits are up.
func verifyNow(ctx context.Context, g globals) (verifyDoc, rules.Policy, error) {
	cfg, err := loadConfig(ctx, g, true)
	policy := cfg.PolicyAt(time.Now())
	d := verifyDoc{Findings: []finding{}, Notes: []string{}}
	if err != nil {
		if policy.Enabled && len(policy.LAN) == 0 {
			return d, policy, fmt.Errorf("the LAN is not known: %w", err)
		}
		d.Notes = append(d.Notes, "the configuration is not valid, compared with the seal: "+err.Error())
		policy = rules.SealedPolicy(policy)
	}
	k, err := kernel.Open(kernel.Options{Firewall: cfg.Firewall, StateDir: g.state})
	if err != nil {
		return d, policy, err
	}
	defer k.Close()
	candidates, notes := exitsUp(ctx, g, cfg, policy)
	d.Notes = append(d.Notes, notes...)
	best, err := verifyAgainst(ctx, k, policy, candidates)
	if err != nil {
		return d, policy, err
	}
	d.Findings = append(d.Findings, best...)
	d.Findings = append(d.Findings, tunnelFindings(cfg, policy)...)
	if tables := k.Flowtables(ctx); len(tables) > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("flow offloading is configured (%s): established flows pass by other rules until they are flushed", tables[0]))
	}
	if policy.Enabled && !k.Forwards() {
		d.Notes = append(d.Notes, "net.ipv4.ip_forward is 0: the machine forwards nothing, not even into the tunnel")
	}
	d.OK = len(d.Findings) == 0
	return d, policy, nil
}

func printVerify(g globals, d verifyDoc, asJSON bool, p rules.Policy) (int, error) {
	status := 0
	if !d.OK {
		status = 1
	}
	if asJSON {
		enc := json.NewEncoder(g.stdout)
		enc.SetIndent("", "  ")
		return status, enc.Encode(d)
	}
	for _, f := range d.Findings {
		fmt.Fprintf(g.stdout, "%s: %s\n", f.Where, f.What)
	}
	for _, n := range d.Notes {
		fmt.Fprintln(g.stdout, "note:", n)
	}
	switch {
	case !d.OK:
		fmt.Fprintf(g.stdout, "%d differences from the plan\n", len(d.Findings))
	case !p.Enabled:
		fmt.Fprintln(g.stdout, "lanseal is disabled: nothing of it is in the kernel, and the LAN is open")
	case !p.KillSwitch:
		fmt.Fprintln(g.stdout, "the kernel holds the plan; the kill switch is off, so devices without a working exit use the WAN")
	default:
		fmt.Fprintln(g.stdout, "the kernel holds the plan; no way from the LAN to the WAN was found")
	}
	return status, nil
}

// exitsUp says which exits carry traffic, and what else of the facts only the
// agent knows: what it says, or, if it does not answer, every guess from what
// the tunnels themselves show and from none of them.
func exitsUp(ctx context.Context, g globals, cfg *config.Config, p rules.Policy) ([]rules.Facts, []string) {
	ctx, cancel := context.WithTimeout(ctx, verifyWait)
	defer cancel()
	up, fresh := map[string]bool{}, map[string]int{}
	var d statusDoc
	if err := call(ctx, g.socket, "GET", "/api/v1/status", nil, &d); err == nil {
		for _, e := range d.Exits {
			up[e.Name], fresh[e.Name] = e.State == string(state.Up), e.Fresh
		}
		return []rules.Facts{{Up: up, Fresh: fresh, TimeUnknown: !d.TimeKnown, Resolver: d.OpenWrt != nil && d.OpenWrt.Resolver}}, nil
	}
	for i, e := range p.Exits {
		if i >= len(cfg.Tunnels) || !e.Enabled {
			continue
		}
		s, err := newDriver(e, cfg.Tunnels[i], nil).Status()
		up[e.Name] = err == nil && s.Exists && (e.Foreign || !s.Handshake.IsZero() && time.Since(s.Handshake) < state.SessionLife)
	}
	var guesses []rules.Facts
	for _, up := range []map[string]bool{up, nil} {
		for _, unknown := range []bool{false, true} {
			for _, resolver := range []bool{false, true} {
				guesses = append(guesses, rules.Facts{Up: up, TimeUnknown: unknown, Resolver: resolver})
			}
		}
	}
	return guesses, []string{"the agent does not answer; nobody repairs what is found"}
}

// verifyAgainst compares the kernel with the plan for each guess of what
// the agent knows, and returns the findings of the best.
func verifyAgainst(ctx context.Context, k *kernel.Kernel, p rules.Policy, candidates []rules.Facts) ([]finding, error) {
	var best []finding
	for i, known := range candidates {
		s, err := k.Observe()
		if err != nil {
			return nil, err
		}
		s.Facts.Up, s.Facts.Fresh, s.Facts.TimeUnknown, s.Facts.Resolver = known.Up, known.Fresh, known.TimeUnknown, known.Resolver
		found, err := compare(ctx, k, s, p, rules.Compile(p, s.Facts))
		if err != nil {
			return nil, err
		}
		if i == 0 || len(found) < len(best) {
			best = found
		}
		if len(best) == 0 {
			break
		}
	}
	return best, nil
}

func compare(ctx context.Context, k *kernel.Kernel, s kernel.State, p rules.Policy, want rules.Plan) ([]finding, error) {
	var found []finding
	s.ReadSysctls(want.Sysctls)
	diffs, err := k.FirewallDiffers(ctx, want.Firewall)
	if err != nil {
		return nil, err
	}
	s.Have.Firewall = want.Firewall // its differences are named one by one instead
	for _, step := range rules.Steps(s.Have, want) {
		switch step.Kind {
		case rules.StepAddRule:
			found = append(found, finding{Where: "routing", What: "missing: " + step.Rule.String()})
		case rules.StepDelRule:
			found = append(found, finding{Where: "routing", What: "foreign: " + step.Rule.String()})
		case rules.StepSetRoute:
			found = append(found, finding{Where: "routing", What: "missing: " + step.Route.String()})
		case rules.StepDelRoute:
			found = append(found, finding{Where: "routing", What: "foreign: " + step.Route.String()})
		case rules.StepLink:
			found = append(found, finding{Where: "tunnel", What: "differs from: " + step.Link.String()})
		case rules.StepSysctl:
			found = append(found, finding{Where: "routing", What: fmt.Sprintf("sysctl %s is not %s", step.Sysctl.Path, step.Sysctl.Value)})
		}
	}
	for _, d := range diffs {
		found = append(found, finding{Where: "firewall", What: d})
	}
	if p.Enabled && p.KillSwitch {
		found = append(found, earlier(s.All, p)...)
		paths, err := paths(k, s.Facts, p, want)
		if err != nil {
			return nil, err
		}
		found = append(found, paths...)
	}
	return found, nil
}

// earlier finds ip rules of others that come before the lock and can match
// packets of the LAN. Rule 0 is the kernel's "local".
func earlier(all []rules.Rule, p rules.Policy) []finding {
	var found []finding
	for _, r := range all {
		local := r.Priority == 0 && r.Table == 255
		if r.Priority < rules.PriorityFirst && !local && !r.Unreachable && (r.In == "" || slices.Contains(p.LAN, r.In)) {
			found = append(found, finding{Where: "path", What: "comes before the routing lock: " + r.String()})
		}
	}
	return found
}

// paths asks the kernel where packets of the LAN would go, without a mark, as
// if the firewall were gone, and with the mark of each exit.
func paths(k *kernel.Kernel, f rules.Facts, p rules.Policy, want rules.Plan) ([]finding, error) {
	var found []finding
	targets := []netip.Addr{netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2606:4700:4700::1111")}
	for _, up := range want.Firewall.Uplinks { // the uplink's own subnet, and so the way of TunnelCrack
		for _, pr := range f.Links[up].Prefixes {
			if !pr.Addr().IsLinkLocalUnicast() && !pr.IsSingleIP() {
				targets = append(targets, pr.Masked().Addr().Next())
			}
		}
	}
	marks := map[uint32]string{0: ""}
	for _, e := range want.Firewall.Exits {
		marks[e.Mark] = e.Device
	}
	for _, lan := range p.LAN {
		for _, pr := range f.Links[lan].Prefixes {
			if pr.Addr().IsLinkLocalUnicast() {
				continue
			}
			src := pr.Addr().Next()
			for _, dst := range targets {
				if dst.Is4() != src.Is4() || slices.ContainsFunc(f.Links[lan].Prefixes, func(l netip.Prefix) bool { return l.Contains(dst) }) {
					continue
				}
				for mark, device := range marks {
					by, err := k.Route(lan, mark, src, dst)
					if err != nil {
						return nil, fmt.Errorf("asking for the route from %s to %s: %w", lan, dst, err)
					}
					if by != "" && by != device && by != "lo" {
						found = append(found, finding{Where: "path", What: fmt.Sprintf("from %s to %s (mark 0x%x) the kernel routes by %s", lan, dst, mark, by)})
					}
				}
			}
		}
	}
	return found, nil
}

// tunnelFindings asks the drivers whether keys, mark and peers are as wanted.
func tunnelFindings(cfg *config.Config, p rules.Policy) []finding {
	var found []finding
	for i, e := range p.Exits {
		if !p.Enabled || !e.Enabled || i >= len(cfg.Tunnels) || cfg.Tunnels[i].WireGuard == nil {
			continue
		}
		s, err := newDriver(e, cfg.Tunnels[i], nil).Status()
		switch {
		case err != nil:
			found = append(found, finding{Where: "tunnel", What: fmt.Sprintf("%s: %v", e.Device, err)})
		case !s.Exists:
			found = append(found, finding{Where: "tunnel", What: e.Device + " is missing"})
		case !s.Configured:
			found = append(found, finding{Where: "tunnel", What: e.Device + " does not carry the keys, mark and peers of its file"})
		}
	}
	return found
}
