package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Jump sends the packets of a builtin chain into one of lanseal's chains.
type Jump struct{ Table, Chain, Target string }

// IPTablesJumps lists the jumps of one generation of chains, in the order in
// which they go in: what closes before what opens. They are taken out in the
// reverse order, so that marks never outlive the chains that judge them.
func IPTablesJumps(generation string) []Jump {
	js := []Jump{
		{"filter", "FORWARD", "FORWARD"},
		{"filter", "OUTPUT", "OUTPUT"},
		{"filter", "INPUT", "INPUT"},
		{"raw", "PREROUTING", "ADDRESS"},
		{"mangle", "POSTROUTING", "SOURCE"},
		{"mangle", "FORWARD", "MSS"},
		{"nat", "POSTROUTING", "LEAVING"},
		{"nat", "OUTPUT", "DNS_ROUTER"},
		{"nat", "PREROUTING", "DNS"},
		{"mangle", "PREROUTING", "MARK"},
	}
	for i := range js {
		js[i].Target = iptChain(js[i].Target, generation)
	}
	return js
}

// IPTablesJumpComment is on every jump.
const IPTablesJumpComment = "lanseal judges first"

// IPTablesOptions says what the kernel and its tools offer.
type IPTablesOptions struct {
	MACSets bool // ipset hash:mac
	IPSets  bool // ipset hash:ip
	NoRaw   bool // no table raw: its chain moves to mangle, and its jump is left out
}

// Comments by which the counters of refused packets are found: the first kind
// counts them; the second kind, packets of a way without an exit that did
// reach another LAN, is taken off again; the third says whose they were.
const (
	IPTablesBlocked   = "blocked"
	IPTablesUnblocked = "LAN to LAN, not blocked"
	IPTablesBlockedOf = "blocked, of these from "
)

// iptGuard is the generation of the boot seal; the agent's own are A, B, …
const iptGuard = "G"

func iptChain(part, generation string) string { return "LANSEAL-" + part + "-" + generation }

// IPTables prints the chains of the firewall lock for one family (4 or 6), to
// be loaded with "iptables-restore --noflush" or "ip6tables-restore
// --noflush". Nothing refers to them before the jumps of IPTablesJumps are
// there. It says the same as NFT; packets that are let through RETURN, so that
// the rules after lanseal's still judge them.
//
// REJECT exists in table filter alone, behind the routing decision. A packet
// without a way meets "unreachable" there, if the routing lock holds, and
// never gets that far: it is counted when it comes in and answered by either,
// or redirected to be refused (see redirected).
func IPTables(fw *Firewall, family int, generation string, opt IPTablesOptions) string {
	return iptables(fw, family, generation, opt).text(false)
}

// IPTablesGuard prints the boot seal of one family, jumps included, from the
// firewall of Sealed. The agent's first generation replaces it. It does without
// what may be missing at boot: sets, and table raw.
func IPTablesGuard(fw *Firewall, family int) string {
	return iptables(fw, family, iptGuard, IPTablesOptions{NoRaw: true}).text(true)
}

func iptables(fw *Firewall, family int, generation string, opt IPTablesOptions) *iptWriter {
	w := &iptWriter{fw: fw, family: family, generation: generation, opt: opt}
	if fw != nil {
		w.filter()
		w.address()
		w.mangle()
		w.nat()
	}
	return w
}

// iptWriter collects chains and rules table by table.
type iptWriter struct {
	fw         *Firewall
	family     int
	generation string
	opt        IPTablesOptions
	tables     []*iptTable
	table      *iptTable // being written
	chain      string    // being written
}

type iptTable struct {
	name          string
	chains, rules []string
}

// open begins a chain.
func (w *iptWriter) open(table, part string) {
	i := slices.IndexFunc(w.tables, func(t *iptTable) bool { return t.name == table })
	if i < 0 {
		i = len(w.tables)
		w.tables = append(w.tables, &iptTable{name: table})
	}
	w.table, w.chain = w.tables[i], iptChain(part, w.generation)
	w.table.chains = append(w.table.chains, w.chain)
}

// rule adds a rule with the reason for it: match and target may be empty.
func (w *iptWriter) rule(why, match, target string) {
	// A quote or a control character would end the comment early.
	why = strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == '\\' || r == 0x7f {
			return '_'
		}
		return r
	}, why)
	parts := []string{"-A", w.chain, match, `-m comment --comment "` + why[:min(len(why), 255)] + `"`, target}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	w.table.rules = append(w.table.rules, strings.Join(parts, " "))
}

// into is the target that goes to another chain for good.
func (w *iptWriter) into(part string) string { return "-g " + iptChain(part, w.generation) }

func (w *iptWriter) text(jumps bool) string {
	var b strings.Builder
	for _, t := range w.tables {
		fmt.Fprintf(&b, "*%s\n", t.name)
		for _, c := range t.chains {
			fmt.Fprintf(&b, ":%s - [0:0]\n", c)
		}
		for _, r := range t.rules {
			b.WriteString(r + "\n")
		}
		for _, j := range IPTablesJumps(w.generation) {
			if jumps && j.Table == t.name {
				fmt.Fprintf(&b, "-I %s 1 -m comment --comment %q -j %s\n", j.Chain, IPTablesJumpComment, j.Target)
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

const (
	iptReturn = "-j RETURN"
	iptDrop   = "-j DROP"
)

// iptDNS, iptDoT: TCP and UDP need a rule each.
var (
	iptDNS = [...]string{"-p udp --dport 53", "-p tcp --dport 53"}
	iptDoT = [...]string{"-p udp --dport 853", "-p tcp --dport 853"}
)

func iptMark(mark uint32) string { return fmt.Sprintf("-m mark --mark 0x%x/0x%x", mark, MarkMask) }

func iptConnmark(mark uint32) string {
	return fmt.Sprintf("-m connmark --mark 0x%x/0x%x", mark, MarkMask)
}

func iptSet(target string, mark uint32) string {
	return fmt.Sprintf("-j %s --set-xmark 0x%x/0x%x", target, mark, MarkMask)
}

// ours keeps the addresses of the writer's family.
func (w *iptWriter) ours(as []netip.Addr) []netip.Addr {
	v4, v6 := split(as)
	if w.family == 4 {
		return v4
	}
	return v6
}

func (w *iptWriter) carries(e FirewallExit) bool {
	if w.family == 4 {
		return e.V4
	}
	return e.V6
}

func (w *iptWriter) resolver(e FirewallExit) netip.Addr {
	if w.family == 4 {
		return e.Resolver4
	}
	return e.Resolver6
}

func (w *iptWriter) redirects(e FirewallExit) bool {
	return w.fw.Redirect && w.fw.Default == Way(e.Mark)
}

// stranded are the marks of packets that nothing carries in this family: they
// are counted in mangle, and not once more in filter.
func (w *iptWriter) stranded() []uint32 {
	marks := []uint32{uint32(WayBlock)}
	for _, e := range w.fw.Exits {
		if !w.carries(e) {
			marks = append(marks, e.Mark)
		}
	}
	if w.family == 6 && w.fw.BlockIPv6 && usesDirect(w.fw) {
		marks = append(marks, MarkDirect)
	}
	return marks
}

// mute are the marks whose DNS questions have nobody to answer them.
func (w *iptWriter) mute() []uint32 {
	if !w.fw.Hijack {
		return nil
	}
	marks := []uint32{uint32(WayBlock)}
	for _, e := range w.fw.Exits {
		if !w.redirects(e) && !w.resolver(e).IsValid() {
			marks = append(marks, e.Mark)
		}
	}
	return marks
}

func (w *iptWriter) iptWayChain(way Way) string {
	if e := w.fw.exit(way); e != nil {
		return "EXIT_" + e.Name
	}
	if way == Way(MarkDirect) {
		return "DIRECT"
	}
	return "BLOCK"
}
