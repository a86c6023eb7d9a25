package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// ClosingError says that a step failed that was to hold something back: what
// stands may let more through than the plan does.
type ClosingError struct{ Err error }

func (e ClosingError) Error() string { return e.Err.Error() }
func (e ClosingError) Unwrap() error { return e.Err }

// Apply carries out the steps in order. A step that closes and fails does not
// keep the later closing steps from being tried; a step that opens is not
// tried once a closing one has failed, so an error never leaves more open than
// before.
func (k *Kernel) Apply(ctx context.Context, s State, steps []rules.Step) error {
	var closing, others []error
	for _, step := range steps {
		if len(closing) > 0 && opens(step) {
			continue
		}
		err := k.step(ctx, s, step)
		switch {
		case err == nil:
		case closes(step):
			closing = append(closing, fmt.Errorf("%s: %w", step, err))
		default:
			others = append(others, fmt.Errorf("%s: %w", step, err))
		}
	}
	if len(closing) == 0 && slices.ContainsFunc(steps, func(s rules.Step) bool { return s.Kind == rules.StepFirewall }) {
		k.tidy(ctx)
	}
	if err := errors.Join(closing...); err != nil {
		others = append([]error{ClosingError{err}}, others...)
	}
	return errors.Join(others...)
}

// closes says whether a step may be what holds packets back.
func closes(s rules.Step) bool {
	switch s.Kind {
	case rules.StepAddRule, rules.StepSetRoute, rules.StepDelRule, rules.StepDelRoute, rules.StepFirewall:
		return !opens(s)
	}
	return false
}

// opens says whether a step can let packets through that were held before it.
func opens(s rules.Step) bool {
	switch s.Kind {
	case rules.StepAddRule:
		return !s.Rule.Unreachable
	case rules.StepSetRoute:
		return !s.Route.Unreachable
	case rules.StepDelRule:
		return s.Rule.Unreachable
	case rules.StepDelRoute:
		return s.Route.Unreachable
	case rules.StepFirewall:
		return s.Firewall == nil
	}
	return false
}

func (k *Kernel) step(ctx context.Context, s State, step rules.Step) error {
	switch step.Kind {
	case rules.StepAddRule:
		_, err := ruleRequest(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, step.Rule).Execute(unix.NETLINK_ROUTE, 0)
		return except(err, unix.EEXIST)
	case rules.StepDelRule:
		req := ruleRequest(unix.RTM_DELRULE, 0, step.Rule)
		if bodies := s.ruleRaws[step.Rule.Key()]; len(bodies) > 0 {
			req = rawRequest(unix.RTM_DELRULE, bodies[0])
			s.ruleRaws[step.Rule.Key()] = bodies[1:] // the next such step is for the next
		}
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return except(err, unix.ENOENT, unix.ESRCH)
	case rules.StepSetRoute:
		return k.setRoute(step.Route)
	case rules.StepDelRoute:
		req := routeRequest(unix.RTM_DELROUTE, 0, step.Route, 0)
		if body, ok := s.routeRaws[step.Route]; ok {
			req = rawRequest(unix.RTM_DELROUTE, body)
		}
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return except(err, unix.ESRCH, unix.ENOENT, unix.ENODEV)
	case rules.StepLink:
		return k.setLink(step.Link)
	case rules.StepSysctl:
		return k.setSysctl(step.Sysctl)
	case rules.StepFirewall:
		if step.Firewall != nil {
			k.doom(s.Facts, step.Firewall)
		}
		if err := k.fw.Apply(ctx, step.Firewall); err != nil {
			return err
		}
		k.mu.Lock()
		k.last = step.Firewall
		k.mu.Unlock()
		if step.Firewall == nil {
			return k.restoreSysctls()
		}
		return nil
	case rules.StepFlush:
		return k.flush(s.Facts, step.Firewall, step.Gentle)
	}
	return fmt.Errorf("unknown step %q", step.Kind)
}

func except(err error, fine ...unix.Errno) error {
	for _, e := range fine {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

// setRoute replaces, so that a change of device has no moment without a route.
// IPv6 keeps routes of one destination by several devices side by side, as
// fe80::/64 of two LANs, and there replacing would take another's away.
// The device is looked up at the last moment; one that has gone is no error
// here, because its going is an event of its own.
func (k *Kernel) setRoute(r rules.Route) error {
	index := 0
	if r.Device != "" {
		link, err := k.nl.LinkByName(r.Device)
		var gone netlink.LinkNotFoundError
		if errors.As(err, &gone) {
			return nil
		}
		if err != nil {
			return err
		}
		index = link.Attrs().Index
	}
	flags := unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	if r.Family == 6 {
		flags = unix.NLM_F_CREATE
	}
	_, err := routeRequest(unix.RTM_NEWROUTE, flags, r, index).Execute(unix.NETLINK_ROUTE, 0)
	return except(err, unix.EEXIST, unix.ENETDOWN, unix.ENODEV)
}

// setLink gives one of lanseal's devices its MTU and exactly its addresses,
// and brings it up. Addresses are noprefixroute: the device's subnet belongs
// in the exit's table, not in main.
func (k *Kernel) setLink(l rules.LinkPlan) error {
	link, err := k.nl.LinkByName(l.Name)
	var gone netlink.LinkNotFoundError
	if errors.As(err, &gone) {
		return nil
	}
	if err != nil {
		return err
	}
	if l.MTU > 0 && link.Attrs().MTU != l.MTU {
		if err := k.nl.LinkSetMTU(link, l.MTU); err != nil {
			return fmt.Errorf("setting MTU %d: %w", l.MTU, err)
		}
	}
	have, err := k.nl.AddrList(link, 0)
	if err != nil {
		return fmt.Errorf("listing addresses: %w", err)
	}
	want := map[string]bool{}
	for _, p := range l.Addresses {
		want[p.String()] = true
		a := &netlink.Addr{
			IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
			Flags: unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD,
		}
		if err := k.nl.AddrReplace(link, a); err != nil {
			return fmt.Errorf("adding address %s: %w", p, err)
		}
	}
	for _, a := range have {
		if !want[a.IPNet.String()] && !a.IP.IsLinkLocalUnicast() {
			if err := k.nl.AddrDel(link, &a); err != nil {
				return fmt.Errorf("removing address %s: %w", a.IPNet, err)
			}
		}
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return k.nl.LinkSetUp(link)
	}
	return nil
}
