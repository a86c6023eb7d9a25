package rules_test

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lanseal/lanseal/rules"
)

// The promises of this package, each a check of one random case that returns
// what is broken, and each run twice: as the code is, where no case may break
// it, and with the code spoilt in one place, where some case must. A check
// that cannot fail proves nothing.

// Cases of a check: fewer of those that walk through every step.
const (
	cases = 2000
	walks = 350
)

// code is what the checks run; a mutation replaces a part of it.
type code struct {
	compile func(rules.Policy, rules.Facts) rules.Plan
	steps   func(have, want rules.Plan) []rules.Step
	sealed  func(rules.Policy) rules.Plan
}

func genuine() code { return code{rules.Compile, rules.Steps, rules.Sealed} }

type property struct {
	name    string
	cases   uint64
	check   func(d dice, c code) string
	mutants map[string]func(c *code)
}

func TestProperties(t *testing.T) {
	for _, p := range properties() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for seed := range p.cases {
				if broken := p.check(newDice(seed), genuine()); broken != "" {
					t.Fatalf("seed %d: %s", seed, broken)
				}
			}
		})
		if len(p.mutants) == 0 {
			t.Errorf("%s: no mutant shows that it can fail", p.name)
		}
		for name, spoil := range p.mutants {
			t.Run(p.name+"/fails when "+name, func(t *testing.T) {
				t.Parallel()
				c := genuine()
				spoil(&c)
				for seed := range p.cases {
					if broken := p.check(newDice(seed), c); broken != "" {
						return
					}
				}
				t.Errorf("the promise is kept although %s", name)
			})
		}
	}
}

func properties() []property {
	return []property{
		{"every prefix of the way from plan to plan is sealed", walks, checkWay, map[string]func(*code){
			"steps are taken in reverse":            func(c *code) { c.steps = reversed },
			"what closes comes last":                func(c *code) { c.steps = closingLast },
			"the firewall is removed and made anew": func(c *code) { c.steps = firewallTwice },
			"a route by the WAN is in every table":  func(c *code) { c.compile = wanRoutes },
		}},
		{"the way from garbage is sealed once a lock stands", walks, checkGarbage, map[string]func(*code){
			"nothing foreign is deleted": func(c *code) { c.steps = without(rules.StepDelRule) },
			"foreign routes stay":        func(c *code) { c.steps = without(rules.StepDelRoute) },
			"steps are taken in reverse": func(c *code) { c.steps = reversed },
		}},
		{"the steps reach exactly the plan", walks, checkReach, map[string]func(*code){
			"no rule is added":     func(c *code) { c.steps = without(rules.StepAddRule) },
			"no route is set":      func(c *code) { c.steps = without(rules.StepSetRoute) },
			"no route is deleted":  func(c *code) { c.steps = without(rules.StepDelRoute) },
			"no sysctl is written": func(c *code) { c.steps = without(rules.StepSysctl) },
			"no link is set":       func(c *code) { c.steps = without(rules.StepLink) },
		}},
		{"a plan in force needs no step", cases, checkIdle, map[string]func(*code){
			"every rule is set again": func(c *code) {
				c.steps = func(_, want rules.Plan) []rules.Step { return rules.Steps(rules.Plan{}, want) }
			},
		}},
		{"the same input makes the same plan and steps, and stays as it was", walks, checkPure, map[string]func(*code){
			"the LAN is sorted in place": func(c *code) {
				c.compile = func(p rules.Policy, f rules.Facts) rules.Plan {
					slices.Reverse(p.Exits)
					return rules.Compile(p, f)
				}
			},
			"steps follow a map's order": func(c *code) { c.steps = shuffled },
		}},
		{"flows go where the policy says", cases, checkOracle, map[string]func(*code){
			"everybody is direct": func(c *code) {
				c.compile = func(p rules.Policy, f rules.Facts) rules.Plan {
					p.Via = []string{rules.ViaDirect}
					return rules.Compile(p, f)
				}
			},
			"exits that are down are used": func(c *code) {
				c.compile = func(p rules.Policy, f rules.Facts) rules.Plan {
					f.Up = map[string]bool{"se": true, "no": true, "us": true, "box": true}
					return rules.Compile(p, f)
				}
			},
		}},
		{"the routing lock alone is enough", cases, checkRoutingAlone, map[string]func(*code){
			"the unreachable rules are missing": func(c *code) { c.compile = noUnreachableRules },
			"the LAN consults main for its own": func(c *code) { c.compile = lanByMain },
			"the end of the tables is missing":  func(c *code) { c.compile = noUnreachableAtAll },
		}},
		{"the firewall lock alone is enough", cases, checkFirewallAlone, map[string]func(*code){
			"the default way is direct": func(c *code) {
				c.compile = func(p rules.Policy, f rules.Facts) rules.Plan {
					pl := rules.Compile(p, f)
					if pl.Firewall != nil {
						pl.Firewall.Default = rules.Way(rules.MarkDirect)
					}
					return pl
				}
			},
			"a LAN is left out": func(c *code) {
				c.compile = func(p rules.Policy, f rules.Facts) rules.Plan {
					pl := rules.Compile(p, f)
					if pl.Firewall != nil {
						pl.Firewall.LAN = pl.Firewall.LAN[1:]
					}
					return pl
				}
			},
		}},
		{"the router itself is held by each lock alone", cases, checkRouter, map[string]func(*code){
			"it may use the WAN": func(c *code) {
				c.compile = func(p rules.Policy, f rules.Facts) rules.Plan {
					p.RouterDirect = true
					return rules.Compile(p, f)
				}
			},
			"the unreachable rules are missing": func(c *code) { c.compile = noUnreachableRules },
			"NTP leaves although the time is known": func(c *code) {
				c.compile = func(p rules.Policy, f rules.Facts) rules.Plan {
					f.TimeUnknown = true
					return rules.Compile(p, f)
				}
			},
			"NTP is kept in although nobody knows the time": func(c *code) {
				c.compile = func(p rules.Policy, f rules.Facts) rules.Plan {
					f.TimeUnknown = false
					return rules.Compile(p, f)
				}
			},
		}},
		{"the boot seal lets nothing out", cases, checkSealed, map[string]func(*code){
			"devices keep their exits": func(c *code) { c.sealed = func(p rules.Policy) rules.Plan { return rules.Compile(p, rules.Facts{}) } },
		}},
	}
}

// Mutations.

func reversed(have, want rules.Plan) []rules.Step {
	ss := rules.Steps(have, want)
	slices.Reverse(ss)
	return ss
}

func closingLast(have, want rules.Plan) []rules.Step {
	ss := rules.Steps(have, want)
	slices.SortStableFunc(ss, func(a, b rules.Step) int {
		rank := func(s rules.Step) int {
			if s.Kind == rules.StepAddRule && s.Rule.Unreachable || s.Kind == rules.StepSetRoute && s.Route.Unreachable {
				return 1
			}
			return 0
		}
		return rank(a) - rank(b)
	})
	return ss
}

func firewallTwice(have, want rules.Plan) []rules.Step {
	ss := []rules.Step{{Kind: rules.StepFirewall}}
	for _, r := range have.Rules {
		if r.Unreachable {
			ss = append(ss, rules.Step{Kind: rules.StepDelRule, Rule: r})
		}
	}
	return append(ss, rules.Steps(have, want)...)
}

func without(kind rules.StepKind) func(have, want rules.Plan) []rules.Step {
	return func(have, want rules.Plan) []rules.Step {
		return slices.DeleteFunc(rules.Steps(have, want), func(s rules.Step) bool { return s.Kind == kind })
	}
}

func shuffled(have, want rules.Plan) []rules.Step {
	m := map[string]rules.Step{}
	for _, s := range rules.Steps(have, want) {
		m[s.String()] = s
	}
	var ss []rules.Step
	for _, s := range m {
		ss = append(ss, s)
	}
	return ss
}

func wanRoutes(p rules.Policy, f rules.Facts) rules.Plan {
	pl := rules.Compile(p, f)
	for i, r := range pl.Rules {
		if r.In != "lo" && r.Unreachable {
			pl.Rules[i].Unreachable, pl.Rules[i].Table = false, rules.TableMain
		}
	}
	if pl.Firewall != nil {
		pl.Firewall.Default = rules.Way(rules.MarkDirect)
	}
	return pl
}

func noUnreachableRules(p rules.Policy, f rules.Facts) rules.Plan {
	pl := rules.Compile(p, f)
	pl.Rules = slices.DeleteFunc(pl.Rules, func(r rules.Rule) bool { return r.Unreachable })
	return pl
}

func noUnreachableAtAll(p rules.Policy, f rules.Facts) rules.Plan {
	pl := noUnreachableRules(p, f)
	pl.Routes = slices.DeleteFunc(pl.Routes, func(r rules.Route) bool { return r.Unreachable })
	return pl
}

func lanByMain(p rules.Policy, f rules.Facts) rules.Plan {
	pl := rules.Compile(p, f)
	for i, r := range pl.Rules {
		if r.Table == rules.TableLAN {
			pl.Rules[i].Table = rules.TableMain
		}
	}
	return pl
}

// Checks.

// checkWay: while the kernel goes from one plan to another, no flow leaves by
// the WAN, or by an exit, that neither the old nor the new policy allows it;
// and from the firewall's turn on only the new policy counts, even if the
// firewall could not be loaded and the routing lock is all there is.
func checkWay(d dice, c code) string {
	p, f := d.policy(), d.facts()
	q, g := d.policy(), d.facts()
	if d.chance(50) { // the commonest change: the same policy, other facts
		q, g = p, d.facts()
	}
	var flows []rules.Flow
	for range 10 {
		flows = append(flows, d.flow())
	}
	both := c.compile(p, f)
	alone, want := both, c.compile(q, g)
	alone.Firewall = nil
	turn := false
	for i, s := range c.steps(both, want) {
		both = rules.After(both, s)
		if s.Kind == rules.StepFirewall {
			turn = true
		} else {
			alone = rules.After(alone, s)
		}
		for _, fl := range flows {
			broken := holds(q, g, fl, rules.Explain(both, fl))
			if broken != "" && (turn || holds(p, f, fl, rules.Explain(both, fl)) != "") {
				return fmt.Sprintf("after step %d (%s)\n  %s", i, s, broken)
			}
			if !turn || !q.Enabled || !q.KillSwitch || !slices.Contains(q.LAN, fl.In) {
				continue
			}
			fl.Mark = pick(d, 0, pick(d, q.Exits...).Mark())
			if got := rules.Explain(alone, fl); got.Outcome == rules.ByMain {
				return fmt.Sprintf("by the routing lock alone, after step %d (%s)\n  %+v goes %s", i, s, fl, got)
			}
		}
	}
	return ""
}

// checkGarbage: whatever somebody left in lanseal's ranges, once the firewall
// lock stands no flow leaves by what the policy does not allow it; and where no
// firewall can be had at all, the routing lock has stood since before its turn.
func checkGarbage(d dice, c code) string {
	p, f := d.policy(), d.facts()
	p.Enabled, p.KillSwitch = true, true
	want := c.compile(p, f)
	have := d.garbage(rules.Compile(d.policy(), d.facts()))
	for _, firewall := range []bool{true, false} {
		now, stands := have, false
		for i, s := range c.steps(have, want) {
			if s.Kind == rules.StepFirewall {
				stands = true
				if !firewall {
					continue
				}
			}
			now = rules.After(now, s)
			if !stands {
				continue
			}
			for range 6 {
				fl := d.flow()
				if !slices.Contains(p.LAN, fl.In) {
					continue
				}
				if !firewall && near(f, fl.Dst) {
					continue // no internet: it is the firewall alone that keeps the LAN out of other local networks
				}
				if broken := holds(p, f, fl, rules.Explain(now, fl)); broken != "" {
					return fmt.Sprintf("firewall %v, after step %d (%s)\n  %s", firewall, i, s, broken)
				}
			}
		}
	}
	return ""
}

// near says that an address is in the management network.
func near(f rules.Facts, a netip.Addr) bool {
	return slices.ContainsFunc(f.Links["mgmt"].Prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// checkReach: all steps together make exactly the plan, from another plan and
// from garbage.
func checkReach(d dice, c code) string {
	want := rules.Compile(d.policy(), d.facts())
	for _, have := range []rules.Plan{{}, rules.Compile(d.policy(), d.facts()), d.garbage(want), d.garbage(rules.Compile(d.policy(), d.facts()))} {
		now := have
		for _, s := range c.steps(have, want) {
			now = rules.After(now, s)
		}
		if diff := planDiff(now, want); diff != "" {
			return diff
		}
	}
	return ""
}

func planDiff(got, want rules.Plan) string {
	lines := func(p rules.Plan) (out []string) {
		for _, r := range p.Rules {
			out = append(out, r.Key().String())
		}
		for _, r := range p.Routes {
			out = append(out, r.String())
		}
		slices.Sort(out)
		return out
	}
	g, w := lines(got), lines(want)
	if !slices.Equal(g, w) {
		return fmt.Sprintf("reached\n%s\ninstead of\n%s", strings.Join(g, "\n"), strings.Join(w, "\n"))
	}
	if a, b := rules.NFT(got.Firewall), rules.NFT(want.Firewall); a != b {
		return "another firewall: " + firstDifference(b, a)
	}
	for _, l := range want.Links {
		if !slices.ContainsFunc(got.Links, func(o rules.LinkPlan) bool {
			return l.Name == o.Name && (l.MTU == 0 || l.MTU == o.MTU) && reflect.DeepEqual(l.Addresses, o.Addresses)
		}) {
			return "link not set: " + l.String()
		}
	}
	for _, s := range want.Sysctls {
		if !slices.Contains(got.Sysctls, s) {
			return "sysctl not set: " + s.Path
		}
	}
	return ""
}

// checkIdle: nothing is done where nothing is to do; a plan without a firewall
// is the one that always removes it, since none may be an unknown one.
func checkIdle(d dice, c code) string {
	want := rules.Compile(d.policy(), d.facts())
	if want.Firewall == nil {
		want = rules.Compile(func() rules.Policy { p := d.policy(); p.Enabled = true; return p }(), d.facts())
	}
	if ss := c.steps(want, want); len(ss) > 0 {
		return fmt.Sprintf("%d steps, first: %s", len(ss), ss[0])
	}
	return ""
}

func checkPure(d dice, c code) string {
	p, f := d.policy(), d.facts()
	q, g := d.policy(), d.facts()
	before := fmt.Sprintf("%+v %+v", p, f)
	a, b := c.compile(p, f), c.compile(p, f)
	if after := fmt.Sprintf("%+v %+v", p, f); after != before {
		return "compile changed what it was given"
	}
	if !reflect.DeepEqual(a, b) || rules.NFT(a.Firewall) != rules.NFT(b.Firewall) {
		return "two plans of the same policy and facts differ"
	}
	have := c.compile(q, g)
	before = fmt.Sprintf("%+v %+v", have, a)
	s, u := c.steps(have, a), c.steps(have, a)
	if fmt.Sprint(s) != fmt.Sprint(u) {
		return "two ways between the same plans differ"
	}
	if after := fmt.Sprintf("%+v %+v", have, a); after != before {
		return "steps changed the plans"
	}
	return ""
}

// oracle says, from the policy alone and without the compiler, whether a flow
// may leave by the WAN, and else by which exit's device it may leave.
func oracle(p rules.Policy, f rules.Facts, fl rules.Flow) (open bool, device string) {
	if !p.Enabled || !slices.Contains(p.LAN, fl.In) {
		return true, ""
	}
	via := p.Via
	byMAC := false
	for _, dev := range p.Devices {
		if fl.MAC != "" && slices.Contains(dev.MACs, fl.MAC) {
			via, byMAC = dev.Via, true
			break
		}
	}
	for _, dev := range p.Devices {
		if !byMAC && slices.Contains(dev.IPs, fl.Src) {
			via = dev.Via
			break
		}
	}
	for _, x := range p.Exceptions {
		who := len(x.Devices) == 0
		for _, dev := range p.Devices {
			if slices.Contains(x.Devices, dev.Name) && (slices.Contains(dev.MACs, fl.MAC) || slices.Contains(dev.IPs, fl.Src)) {
				who = true
			}
		}
		for _, dest := range x.Dest {
			port := len(x.Ports) == 0
			for _, r := range x.Ports {
				port = port || r.First <= fl.Dport && fl.Dport <= r.Last
			}
			if who && dest.Contains(fl.Dst) && (x.Proto == "any" || x.Proto == fl.Proto) && port {
				return true, ""
			}
		}
	}
	for fresh := range len(exitNames) + 1 { // first those that have settled, then by how long they are back
		for _, name := range via {
			if name == rules.ViaDirect {
				return true, ""
			}
			if name == rules.ViaBlock {
				return false, ""
			}
			for _, e := range p.Exits {
				if e.Name == name && e.Enabled && f.Up[name] && f.Fresh[name] == fresh {
					return false, e.Device
				}
			}
		}
	}
	return !p.KillSwitch, ""
}

// holds says in words what the oracle does not allow of a path.
func holds(p rules.Policy, f rules.Facts, fl rules.Flow, got rules.Path) string {
	open, device := oracle(p, f, fl)
	switch {
	case got.Outcome == rules.ByMain && !open,
		(got.Outcome == rules.ByExit || got.Outcome == rules.Resolver && got.Device != "") && got.Device != device && !slices.Contains(p.LAN, got.Device):
		return fmt.Sprintf("%+v\n  goes %s\n  allowed: WAN %v, exit %q\n  policy %+v\n  facts %+v", fl, got, open, device, p, f)
	}
	return ""
}

func checkOracle(d dice, c code) string {
	p, f := d.policy(), d.facts()
	pl := c.compile(p, f)
	for range 20 {
		fl := d.flow()
		got := rules.Explain(pl, fl)
		if !p.KillSwitch && got.Outcome == rules.ByMain {
			continue // a table without an end may lead on to main
		}
		if broken := holds(p, f, fl, got); broken != "" {
			return broken
		}
	}
	return ""
}

// protected draws a policy with the kill switch on.
func (d dice) protected() rules.Policy {
	p := d.policy()
	p.Enabled, p.KillSwitch = true, true
	return p
}

// checkRoutingAlone: without the firewall a LAN packet carries no mark, or, at
// worst, any exit's.
func checkRoutingAlone(d dice, c code) string {
	p, f := d.protected(), d.facts()
	pl := c.compile(p, f)
	pl.Firewall = nil
	for range 20 {
		fl := d.flow()
		if !slices.Contains(p.LAN, fl.In) {
			continue
		}
		if d.chance(50) {
			fl.Mark = pick(d, p.Exits...).Mark()
		}
		if got := rules.Explain(pl, fl); got.Outcome == rules.ByMain {
			return fmt.Sprintf("%+v goes %s", fl, got)
		}
	}
	return ""
}

// checkFirewallAlone: without the routing lock every packet goes to main, and
// only those on purpose leave.
func checkFirewallAlone(d dice, c code) string {
	p, f := d.protected(), d.facts()
	pl := c.compile(p, f)
	if d.chance(50) {
		pl.Rules = nil
	} else {
		pl.Rules, pl.Routes = some(d, 50, pl.Rules...), some(d, 50, pl.Routes...)
	}
	for range 20 {
		fl := d.flow()
		if !slices.Contains(p.LAN, fl.In) {
			continue
		}
		if broken := holds(p, f, fl, rules.Explain(pl, fl)); broken != "" {
			return broken
		}
	}
	return ""
}

// timeMayLeave says whether the router's own NTP may use the WAN: nobody knows
// the time, and there is no exit to ask through.
func timeMayLeave(p rules.Policy, f rules.Facts) bool {
	return f.TimeUnknown && !slices.ContainsFunc(p.Exits, func(e rules.Exit) bool { return e.Enabled && f.Up[e.Name] })
}

// checkRouter: what the router itself sends, and has not marked as encrypted,
// does not leave by the WAN; only its NTP does, while it must.
func checkRouter(d dice, c code) string {
	p, f := d.protected(), d.facts()
	p.RouterDirect = false
	pl := c.compile(p, f)
	for _, variant := range []rules.Plan{pl, {Firewall: pl.Firewall, Routes: pl.Routes}, {Rules: pl.Rules, Routes: pl.Routes}} {
		for range 8 {
			fl := d.flow()
			fl.In, fl.MAC, fl.Mark = "lo", "", pick(d, 0, 0, rules.MarkTransport, rules.MarkDirect, 1<<24)
			got := rules.Explain(variant, fl)
			if ntp := fl.Proto == "udp" && fl.Dport == 123; ntp && timeMayLeave(p, f) {
				if got.Outcome == rules.Refused && fl.Mark == 0 {
					return fmt.Sprintf("the time cannot be asked for: %+v goes %s", fl, got)
				}
				continue
			}
			if got.Outcome == rules.ByMain && fl.Mark != rules.MarkTransport && fl.Proto != "" {
				return fmt.Sprintf("%+v goes %s", fl, got)
			}
			if got.Outcome == rules.ByExit && fl.Mark == rules.MarkTransport {
				return fmt.Sprintf("encrypted packets run in circles: %+v goes %s", fl, got)
			}
		}
	}
	return ""
}

func checkSealed(d dice, c code) string {
	p := d.policy()
	pl := c.sealed(p)
	for _, variant := range []rules.Plan{pl, {Firewall: pl.Firewall}, {Rules: pl.Rules, Routes: pl.Routes}} {
		for range 10 {
			fl := d.flow()
			if got := rules.Explain(variant, fl); slices.Contains(p.LAN, fl.In) && got.Outcome != rules.Refused {
				return fmt.Sprintf("%+v goes %s", fl, got)
			}
		}
	}
	return ""
}

// The numbers of the contract, which other programs match on.
func TestNumbers(t *testing.T) {
	if rules.MaxMetric != math.MaxUint32 || rules.MarkMask != 0x7f000000 || rules.TableLAN != 5200 || rules.PriorityFirst != 500 || rules.PriorityLast != 529 {
		t.Error("a number of the contract has changed")
	}
	d := newDice(1)
	for range 300 {
		for _, r := range rules.Compile(d.policy(), d.facts()).Rules {
			if r.Priority < rules.PriorityFirst || r.Priority > rules.PriorityLast {
				t.Errorf("%s is outside lanseal's range", r)
			}
		}
	}
}
