package rules

import (
	"fmt"
	"net/netip"
	"slices"
)

// StepKind says what a step does.
type StepKind string

// The kinds of steps, each one call to the kernel.
const (
	StepAddRule  StepKind = "add rule"
	StepDelRule  StepKind = "delete rule"
	StepSetRoute StepKind = "set route" // adds it, or replaces the one with its destination and metric
	StepDelRoute StepKind = "delete route"
	StepFirewall StepKind = "load firewall" // replaces the whole lock at once; nil removes it and restores the sysctls
	StepLink     StepKind = "set link"      // MTU and addresses of one of lanseal's devices
	StepSysctl   StepKind = "set sysctl"
	StepFlush    StepKind = "flush flows" // conntrack entries whose mark or translation is not that of their device's way
)

// Step is one change of the kernel's state.
type Step struct {
	Kind     StepKind
	Rule     Rule
	Route    Route
	Link     LinkPlan
	Sysctl   Sysctl
	Firewall *Firewall
	Gentle   bool // of StepFlush: none where the kernel cannot list flows and would have to forget all
}

// String is the step as a line of the log.
func (s Step) String() string {
	switch s.Kind {
	case StepAddRule, StepDelRule:
		return string(s.Kind) + " " + s.Rule.String()
	case StepSetRoute, StepDelRoute:
		return string(s.Kind) + " " + s.Route.String()
	case StepLink:
		return fmt.Sprintf("%s %s", s.Kind, s.Link)
	case StepSysctl:
		return fmt.Sprintf("%s %s=%s", s.Kind, s.Sysctl.Path, s.Sysctl.Value)
	case StepFirewall:
		if s.Firewall == nil {
			return "remove firewall"
		}
	}
	return string(s.Kind)
}

// Steps is the way from what the kernel holds to what it must hold, in an
// order in which the LAN is sealed after every prefix: whatever closes comes
// first, whatever opens comes last, and the firewall is replaced in one step.
// have.Firewall is nil unless the kernel is known to hold exactly that lock.
func Steps(have, want Plan) []Step {
	var ss []Step
	addRules := missing(have.Rules, want.Rules, Rule.Key)
	delRules := missing(want.Rules, have.Rules, Rule.Key)
	addRoutes := missing(have.Routes, want.Routes, Route.Key)
	delRoutes := missing(want.Routes, have.Routes, Route.Key)

	rules := func(kind StepKind, rs []Rule, closing bool) {
		for _, r := range rs {
			if r.Unreachable == closing {
				ss = append(ss, Step{Kind: kind, Rule: r})
			}
		}
	}
	routes := func(kind StepKind, rs []Route, closing bool) {
		for _, r := range rs {
			if r.Unreachable == closing {
				ss = append(ss, Step{Kind: kind, Route: r})
			}
		}
	}

	rules(StepAddRule, addRules, true)
	routes(StepSetRoute, addRoutes, true)
	rules(StepDelRule, delRules, false)
	routes(StepDelRoute, replaced(delRoutes, addRoutes, want), false)
	for _, s := range missing(have.Sysctls, want.Sysctls, func(s Sysctl) Sysctl { return s }) {
		ss = append(ss, Step{Kind: StepSysctl, Sysctl: s})
	}
	// A flow that began while a tunnel lacked its address was translated to one
	// that leads nowhere, and would keep it for as long as it goes on.
	flush := false
	for _, l := range want.Links {
		if !slices.ContainsFunc(have.Links, l.equal) {
			ss = append(ss, Step{Kind: StepLink, Link: l})
			flush = want.Firewall != nil
		}
	}
	replace := want.Firewall != nil && (have.Firewall == nil || !SameFirewall(have.Firewall, want.Firewall))
	if replace {
		ss = append(ss, Step{Kind: StepFirewall, Firewall: want.Firewall})
	}
	routes(StepSetRoute, addRoutes, false)
	rules(StepAddRule, addRules, false)
	if replace || flush {
		ss = append(ss, Step{Kind: StepFlush, Firewall: want.Firewall})
	}
	rules(StepDelRule, delRules, true)
	routes(StepDelRoute, delRoutes, true)
	if want.Firewall == nil {
		ss = append(ss, Step{Kind: StepFirewall})
	}
	return ss
}

// missing lists what is in b and not in a, compared by key.
func missing[T any, K comparable](a, b []T, key func(T) K) []T {
	have := make(map[K]bool, len(a))
	for _, x := range a {
		have[key(x)] = true
	}
	var out []T
	for _, x := range b {
		if !have[key(x)] {
			out = append(out, x)
		}
	}
	return out
}

// replaced leaves out the deletions that a coming "set route" does by itself:
// the same destination and metric on another of the plan's own devices is one
// replace in the kernel, without a moment between. A route to any other device
// goes first.
func replaced(del, add []Route, want Plan) []Route {
	own := func(device string) bool {
		return slices.ContainsFunc(want.Routes, func(r Route) bool { return r.Device == device })
	}
	return slices.DeleteFunc(slices.Clone(del), func(d Route) bool {
		return d.Foreign == "" && own(d.Device) && slices.ContainsFunc(add, func(a Route) bool {
			return a.Family == 4 && d.Family == 4 && a.Table == d.Table && a.Dest == d.Dest && a.Metric == d.Metric && a.Unreachable == d.Unreachable
		})
	})
}

// Key is the route as the kernel identifies it.
func (r Route) Key() Route { return r }

func (l LinkPlan) equal(o LinkPlan) bool {
	return l.Name == o.Name && (l.MTU == 0 || l.MTU == o.MTU) &&
		slices.Equal(sortedPrefixes(l.Addresses), sortedPrefixes(o.Addresses))
}

func sortedPrefixes(ps []netip.Prefix) []netip.Prefix {
	out := slices.Clone(ps)
	slices.SortFunc(out, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	return slices.Compact(out)
}

// After is the state that a step leaves behind: the model that the property
// tests walk through.
func After(have Plan, s Step) Plan {
	out := Plan{
		Rules: slices.Clone(have.Rules), Routes: slices.Clone(have.Routes),
		Links: slices.Clone(have.Links), Sysctls: slices.Clone(have.Sysctls), Firewall: have.Firewall,
	}
	switch s.Kind {
	case StepAddRule:
		out.Rules = append(out.Rules, s.Rule)
	case StepDelRule:
		out.Rules = slices.DeleteFunc(out.Rules, func(r Rule) bool { return r.Key() == s.Rule.Key() })
	case StepSetRoute:
		if s.Route.Family == 4 {
			out.Routes = slices.DeleteFunc(out.Routes, func(r Route) bool {
				return r.Family == 4 && r.Table == s.Route.Table && r.Dest == s.Route.Dest && r.Metric == s.Route.Metric
			})
		}
		out.Routes = append(out.Routes, s.Route)
	case StepDelRoute:
		out.Routes = slices.DeleteFunc(out.Routes, func(r Route) bool { return r == s.Route })
	case StepFirewall:
		out.Firewall = s.Firewall
	case StepLink:
		out.Links = slices.DeleteFunc(out.Links, func(l LinkPlan) bool { return l.Name == s.Link.Name })
		out.Links = append(out.Links, s.Link)
	case StepSysctl:
		out.Sysctls = append(out.Sysctls, s.Sysctl)
	}
	return out
}
