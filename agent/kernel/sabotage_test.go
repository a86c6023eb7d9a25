package kernel

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/lanseal/lanseal/rules"
)

// sabotages are ways to weaken the locks. Each must be named by its trace in
// the differences, or, outside lanseal's own ranges, in the rules observed.
var sabotages = []struct {
	name, do  string // commands, one a line
	names     string // what the finding says
	elsewhere bool   // not lanseal's to repair: seen in State.All
}{
	{"a rule is deleted", "ip rule del prio 520 iif br-lan", "add rule ip rule 520: from all iif br-lan unreachable", false},
	{"an IPv6 rule is deleted", "ip -6 rule del prio 520 iif br-lan", "add rule ip -6 rule 520: from all iif br-lan unreachable", false},
	{"every rule is flushed", "ip rule flush\nip rule add lookup main prio 32766", "add rule ip rule 520: from all iif br-lan unreachable", false},
	{"a rule is added in the range", "ip rule add iif br-lan lookup main prio 505", "delete rule ip rule 505: from all iif br-lan lookup main", false},
	{"a rule is added before the range", "ip rule add iif br-lan lookup main prio 100", "ip rule 100: from all iif br-lan lookup main", true},
	{"a subtle rule is added in the range", "ip rule add iif br-lan tos 0x10 lookup main prio 505", "delete rule ip rule 505: from all iif br-lan [tos 0x10]", false},
	{"a foreign route is in a policy table", "ip route add 198.51.100.0/24 via 203.0.113.1 table 5201", "delete route ip route 198.51.100.0/24 dev wan table 5201", false},
	{"a foreign IPv6 route is in a policy table", "ip -6 route add 2001:db8:5::/48 dev wan table 5201", "delete route ip -6 route 2001:db8:5::/48 dev wan table 5201", false},
	{"the end of a table is missing", "ip route del unreachable default table 5201 metric 4294967295", "set route ip route unreachable default table 5201", false},
	{"the IPv6 end of a table is missing", "ip -6 route del unreachable default table 5202 metric 4294967295", "set route ip -6 route unreachable default table 5202", false},
	{"a route is replaced by the WAN's", "ip route replace default dev wan table 5201", "set route ip route default dev ls-se table 5201", false},
	{"a policy table is flushed", "ip route flush table 5201", "set route ip route default dev ls-se table 5201", false},
	{"the WAN's subnet is in the LAN's table", "ip route add 203.0.113.0/24 dev wan table 5200", "delete route ip route 203.0.113.0/24 dev wan table 5200", false},
	{"forwarding is accepted first", "nft insert rule inet lanseal forward accept", "foreign in chain forward: accept", false},
	{"the reject is deleted", "@delete from_lan nothing else leaves", "missing in chain from_lan: goto refuse", false},
	{"masquerading is deleted", "@delete leaving shows the tunnel", "missing in chain leaving: oifname @tunnels masquerade", false},
	{"the refusal is emptied", "nft flush chain inet lanseal refuse", "missing in chain refuse: reject with icmpx admin-prohibited", false},
	{"the uplink counts as near", "nft add element inet lanseal near { wan }", `foreign in set near: elements = { "wan" }`, false},
	{"the LAN is out of the set", "nft delete element inet lanseal lan { br-lan }", `missing in set lan: elements = { "br-lan" }`, false},
	{"the uplink counts as a tunnel", "nft add element inet lanseal tunnels { wan }", `in set tunnels`, false},
	{"a device's way is changed", "nft delete element inet lanseal by_mac { aa:bb:cc:dd:ee:04 }\nnft add element inet lanseal by_mac { aa:bb:cc:dd:ee:04 : goto way_direct }", "aa:bb:cc:dd:ee:04 : goto way_direct", false},
	{"the table is deleted", "nft delete table inet lanseal", "table inet lanseal is missing", false},
	{"everything is flushed", "nft flush ruleset", "table inet lanseal is missing", false},
	{"every chain is flushed", "nft flush table inet lanseal", "missing in chain forward", false},
	{"the table is asleep", "nft add table inet lanseal { flags dormant ; }", "dormant", false},
	{"a chain's policy hook is doubled", "nft add chain inet lanseal early { type filter hook forward priority -200 ; }\nnft add rule inet lanseal early accept", "foreign in chain early", false},
	{"two rules changed places", "@swap", "another order", false},
	{"the third net is deleted", "nft delete table netdev lanseal", "table netdev lanseal is missing", false},
	{"the third net has a hole", "nft insert rule netdev lanseal uplinks accept", "foreign in chain uplinks: accept", false},
	{"the third net is emptied", "nft flush chain netdev lanseal uplinks", "missing in chain uplinks: counter", false},
	{"the third net holds another device", "nft delete table netdev lanseal\nnft add table netdev lanseal\nnft add chain netdev lanseal uplinks { type filter hook egress device mgmt priority 0 ; }", "the net's devices are mgmt instead of wan", false},
	{"the boot seal is left over", "nft add table inet lanseal_guard", "table inet lanseal_guard is there", false},
}

// findings are the differences from a plan in words, as verify sees them.
func (w *walkLab) findings(want rules.Plan) []string {
	w.t.Helper()
	s := w.look(want, want.Firewall)
	var out []string
	for _, step := range rules.Steps(s.Have, want) {
		out = append(out, step.String())
	}
	diffs, err := w.k.FirewallDiffers(context.Background(), want.Firewall)
	if err != nil {
		w.t.Fatal(err)
	}
	return append(out, diffs...)
}

// sabotage runs the commands. "@delete CHAIN TEXT" deletes the rule of the
// chain whose comment has the text.
func (w *walkLab) sabotage(commands string) {
	w.t.Helper()
	for line := range strings.Lines(commands) {
		args := strings.Fields(line)
		switch args[0] {
		case "@delete":
			text := strings.Join(args[2:], " ")
			for rule := range strings.Lines(w.run("nft", "-a", "list", "chain", "inet", rules.NFTable, args[1])) {
				if _, handle, ok := strings.Cut(strings.TrimSpace(rule), "# handle "); ok && strings.Contains(rule, text) {
					w.run("nft", "delete", "rule", "inet", rules.NFTable, args[1], "handle", handle)
				}
			}
		case "@swap": // the drop at the end of into_lan comes first
			w.sabotage("@delete into_lan nothing unsolicited")
			w.run("nft", "insert rule inet lanseal into_lan drop comment \"nothing unsolicited reaches the LAN\"")
		case "nft":
			w.run("nft", strings.TrimPrefix(strings.TrimSpace(line), "nft "))
		default:
			w.run(args...)
		}
	}
}

// Every sabotage is named, and repaired to the last byte.
func TestSabotageIsNamed(t *testing.T) {
	w := newWalkLab(t)
	all := walkStories(t)
	s := all[slices.IndexFunc(all, func(s walkStory) bool { return s.name == "devices" })]
	w.goTo(s.plan, nil, nil)
	w.settled(s.name, s.plan)
	whole := w.held()
	for _, sab := range sabotages { // no subtests: they would run outside the namespace
		w.sabotage(sab.do)
		if sab.elsewhere {
			state := w.look(s.plan, s.plan.Firewall)
			if !slices.ContainsFunc(state.All, func(r rules.Rule) bool { return r.String() == sab.names }) {
				t.Errorf("%s: not seen: %v", sab.name, state.All)
			}
			w.run(strings.Fields(strings.Replace(sab.do, " add ", " del ", 1))...)
			continue
		}
		found := w.findings(s.plan)
		if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, sab.names) }) {
			t.Errorf("%s: not named; found:\n%s", sab.name, strings.Join(found, "\n"))
		}
		w.goTo(s.plan, nil, nil)
		w.settled(sab.name, s.plan)
		if now := w.held(); now != whole {
			t.Errorf("%s: repaired, and different:\n%s", sab.name, walkDiff(whole, now))
		}
	}
}

// With both locks gone the same probes do leak, so their silence says something.
func TestSabotageOfBothLocksLeaks(t *testing.T) {
	w := newWalkLab(t)
	all := walkStories(t)
	s := all[slices.IndexFunc(all, func(s walkStory) bool { return s.name == "usual" })]
	w.goTo(s.plan, nil, nil)
	w.control(s)
	for _, lock := range []string{"nft delete table netdev lanseal\nnft delete table inet lanseal", "ip rule del prio 520 iif br-lan\nip -6 rule del prio 520 iif br-lan"} {
		w.sabotage(lock)
		if strings.HasPrefix(lock, "nft") {
			w.send(walkProbes[0], "the routing lock alone")
			if got := w.arrived(); len(got) > 0 {
				t.Errorf("the routing lock alone lets through: %v", got)
			}
		}
	}
	w.control(walkStory{name: "nothing left", plan: rules.Plan{}})
}
