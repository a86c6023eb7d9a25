package rules

import (
	"fmt"
	"slices"
	"strings"
)

// Kinds of sets, as their names say them.
const (
	kindMAC = "mac"
	kindIP4 = "ip4"
	kindIP6 = "ip6"
)

func (w *iptWriter) ipKind() string {
	if w.family == 4 {
		return kindIP4
	}
	return kindIP6
}

func ipsetName(what, kind, generation string) string {
	return "lanseal-" + what + "-" + kind + "-" + generation
}

// memberKind says which kind of set holds a member.
func memberKind(m Member) string {
	switch {
	case m.MAC != "":
		return kindMAC
	case familyOf(m.IP) == 4:
		return kindIP4
	}
	return kindIP6
}

func (opt IPTablesOptions) has(kind string) bool {
	if kind == kindMAC {
		return opt.MACSets
	}
	return opt.IPSets
}

// setOf names a way in a set's name.
func (f *Firewall) setOf(way Way) string {
	switch e := f.exit(way); {
	case e != nil:
		return fmt.Sprintf("e%d", e.Mark>>24)
	case way == Way(MarkDirect):
		return "direct"
	}
	return "block"
}

// members prints who goes where, hardware addresses first: one rule for a set,
// where the kernel has sets, else one for a device.
func (w *iptWriter) members() {
	for _, kind := range []string{kindMAC, w.ipKind()} {
		done := map[string]bool{}
		for _, m := range w.fw.Members {
			if memberKind(m) != kind {
				continue
			}
			to := w.into(w.iptWayChain(m.Way))
			what := w.fw.setOf(m.Way)
			switch {
			case w.opt.has(kind) && done[what]:
			case w.opt.has(kind):
				done[what] = true
				w.rule("devices of this way", "-m set --match-set "+ipsetName(what, kind, w.generation)+" src", to)
			case kind == kindMAC:
				w.rule("device "+m.Device, "-m mac --mac-source "+m.MAC, to)
			default:
				w.rule("device "+m.Device, "-s "+m.IP.String(), to)
			}
		}
	}
}

// IPSets prints the sets that the chains of the same generation refer to, for
// both families, to be loaded with "ipset restore -exist" before them. It is
// empty when there are none.
func IPSets(fw *Firewall, generation string, opt IPTablesOptions) string {
	var b strings.Builder
	sets := map[string][]string{}
	add := func(what, kind, element string) {
		if opt.has(kind) {
			name := ipsetName(what, kind, generation)
			sets[name] = append(sets[name], element)
		}
	}
	if fw == nil {
		return ""
	}
	for _, m := range fw.Members {
		if kind := memberKind(m); kind == kindMAC {
			add(fw.setOf(m.Way), kind, m.MAC)
		} else {
			add(fw.setOf(m.Way), kind, m.IP.String())
		}
	}
	if fw.BlockDoH {
		v4, v6 := split(DoHAddresses())
		for _, a := range v4 {
			add("doh", kindIP4, a.String())
		}
		for _, a := range v6 {
			add("doh", kindIP6, a.String())
		}
	}
	names := make([]string, 0, len(sets))
	for name := range sets {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		typ := "hash:mac"
		switch kind := name[len(name)-len("ip4-A") : len(name)-len("-A")]; kind {
		case kindIP4:
			typ = "hash:ip family inet"
		case kindIP6:
			typ = "hash:ip family inet6"
		}
		fmt.Fprintf(&b, "create %s %s\nflush %s\n", name, typ, name)
		for _, e := range sets[name] {
			fmt.Fprintf(&b, "add %s %s\n", name, e)
		}
	}
	return b.String()
}
