package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// verifyRounds are sabotages done together while the agent is frozen: verify
// must name each of them.
var verifyRounds = []struct {
	name  string
	do    []string // commands on the router
	undo  []string // what the agent will not repair, because it is not its own
	names []string
}{
	{
		name: "routing",
		do: []string{
			"ip rule del prio 520 iif br-lan",
			"ip -6 rule del prio 520 iif br-lan",
			"ip rule add iif br-lan lookup main prio 505",
			"ip rule add iif br-lan lookup main prio 100",
			// Exits are numbered as their sections come: no, se.
			"ip route add 198.51.100.0/24 via 203.0.113.1 table 5201",
			"ip route del unreachable default table 5202 metric 4294967295",
			"ip route replace default via 203.0.113.1 table 5201",
			"ip -6 route add 2001:db8:5::/48 dev wan table 5201",
		},
		undo: []string{"ip rule del prio 100"},
		names: []string{
			"missing: ip rule 520: from all iif br-lan unreachable",
			"missing: ip -6 rule 520: from all iif br-lan unreachable",
			"foreign: ip rule 505: from all iif br-lan lookup main",
			"comes before the routing lock: ip rule 100: from all iif br-lan lookup main",
			"foreign: ip route 198.51.100.0/24 dev wan table 5201",
			"missing: ip route unreachable default table 5202",
			"missing: ip route default dev ls-no table 5201",
			"foreign: ip -6 route 2001:db8:5::/48 dev wan table 5201",
			"the kernel routes by wan",
		},
	},
	{
		name: "firewall",
		do: []string{
			"nft insert rule inet lanseal forward accept",
			"nft flush chain inet lanseal refuse",
			"nft flush chain inet lanseal leaving",
			"nft add element inet lanseal near { wan }",
			"nft delete element inet lanseal lan { br-lan }",
			"nft delete element inet lanseal by_mac { " + lab.MACTV + " }",
			"nft add element inet lanseal by_mac { " + lab.MACTV + " : goto way_direct }",
			"nft add table inet lanseal_guard",
		},
		names: []string{
			"foreign in chain forward: accept",
			"missing in chain refuse: reject with icmpx admin-prohibited",
			"missing in chain leaving: oifname @tunnels masquerade",
			"foreign in set near",
			"missing in set lan",
			"foreign in map by_mac",
			"table inet lanseal_guard is there",
		},
	},
	{
		name:  "everything",
		do:    []string{"nft delete table inet lanseal"},
		names: []string{"table inet lanseal is missing"},
	},
}

func verify(t *testing.T, a *lab.Agent) (verifyDoc, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var d verifyDoc
	out, errs, exit, err := a.Run(ctx, "verify", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &d)
	}
	if err != nil {
		t.Fatalf("lanseal verify: exit status %d, %v: %s%s", exit, err, out, errs)
	}
	return d, exit
}

// While the agent is frozen nobody repairs: verify exits 1 and names every
// sabotage. Woken, the agent repairs all that is its own, and verify exits 0.
func TestVerifyNamesSabotage(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	a, err := l.StartAgent(lab.AgentConfig{More: "config device 'tv'\n\tlist mac '" + lab.MACTV + "'\n\tlist via 'no'\n"})
	if err != nil {
		t.Fatal(err)
	}
	within := func(d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		t.Cleanup(cancel)
		return ctx
	}
	if err := a.WaitState(within(20*time.Second), "protected"); err != nil {
		t.Fatal(err)
	}
	run := func(commands []string) {
		t.Helper()
		for _, c := range commands {
			argv := strings.Fields(c)
			if argv[0] == "nft" {
				argv = []string{"nft", strings.TrimPrefix(c, "nft ")}
			}
			if out, err := l.Router.Command(within(5*time.Second), argv...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", c, err, out)
			}
		}
	}
	clean := func(when string) {
		t.Helper()
		var d verifyDoc
		exit := 1
		for end := time.Now().Add(10 * time.Second); exit != 0 && time.Now().Before(end); {
			d, exit = verify(t, a)
		}
		if exit != 0 || !d.OK || len(d.Findings) > 0 {
			t.Fatalf("%s verify exits %d and says %v", when, exit, d.Findings)
		}
	}
	clean("before any sabotage")
	for _, round := range verifyRounds {
		if err := a.Stop(); err != nil {
			t.Fatal(err)
		}
		run(round.do)
		d, exit := verify(t, a)
		if exit != 1 || d.OK {
			t.Errorf("%s: exit status %d, ok %v", round.name, exit, d.OK)
		}
		for _, name := range round.names {
			if !slices.ContainsFunc(d.Findings, func(f finding) bool { return strings.Contains(f.What, name) }) {
				t.Errorf("%s: not named: %s", round.name, name)
			}
		}
		if t.Failed() {
			t.Fatalf("verify says:\n%v", d.Findings)
		}
		run(round.undo)
		if err := a.Cont(); err != nil {
			t.Fatal(err)
		}
		clean(round.name + ": repaired,")
	}
}
