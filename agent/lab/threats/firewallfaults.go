package threats

import (
	"context"
	"errors"
)

// fw4Like is a foreign firewall as OpenWrt's: established flows first, then
// zones, and masquerading.
const fw4Like = `table inet fw4 {
 chain forward { type filter hook forward priority filter; policy drop;
  ct state established,related accept
  iifname "br-lan" accept
  iifname "ls-*" ct state new drop
 }
 chain input { type filter hook input priority filter; policy accept;
  ct state established,related accept
 }
 chain srcnat { type nat hook postrouting priority srcnat; policy accept;
  oifname "wan" masquerade
 }
}
`

// flushIptables is what people type: -F and -X in every table, whatever it
// says to what is put back meanwhile.
func flushIptables(variants ...string) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) (err error) {
		for _, v := range variants {
			err = errors.Join(err, sh(ctx, e.Lab.Router, `for tool in iptables ip6tables; do for table in filter nat mangle raw; do
 $tool-`+v+` -w 5 -t $table -F
 $tool-`+v+` -w 5 -t $table -X 2>/dev/null || true
done; done`))
		}
		return err
	}
}

func restoreNAT(_ context.Context, e *Env) error { return e.Lab.RestoreNAT() }

func firewallFaults() []Scenario {
	again := func(ctx context.Context, e *Env, script string, times int) error {
		for range times {
			if err := e.Lab.Router.NFT(script); err != nil {
				return err
			}
			if err := e.send(ctx, 1); err != nil {
				return err
			}
		}
		return nil
	}
	return []Scenario{
		{
			Name: "T5FlushRuleset", Threat: "T5", Title: "Somebody runs nft flush ruleset",
			User: "A blink; then everything goes on.", RecoversBy: "the agent loads the firewall again", Random: true,
			Breaks: "firewall",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.FlushNft() },
			Undo:   restoreNAT,
			Mutate: noRouting,
		},
		{
			Name: "T5FlushAndDeviceDown", Threat: "T5", Title: "The firewall is flushed and the tunnel device goes down",
			User: "A blink; then everything goes on.", RecoversBy: "the agent", Random: true, Touches: "tunnel",
			Breaks: "firewall",
			Fault: func(_ context.Context, e *Env) error {
				return errors.Join(e.Lab.FlushNft(), e.Lab.LinkDown(device))
			},
			Undo:   restoreNAT,
			Mutate: noRouting,
		},
		{
			Name: "T5FlushIptablesNft", Threat: "T5", Title: "Somebody runs iptables -F and -X in every table (iptables-nft)",
			User: "A blink; then everything goes on.", RecoversBy: "the agent", Random: true,
			Breaks: "firewall",
			Fault:  flushIptables("nft"),
			Undo:   restoreNAT,
			Mutate: unlock,
		},
		{
			Name: "T5FlushIptablesLegacy", Threat: "T5", Title: "Somebody runs iptables -F and -X in every table (iptables-legacy)",
			User: "A blink; then everything goes on.", RecoversBy: "the agent", Random: true,
			Breaks: "firewall",
			Fault:  flushIptables("legacy"),
			Mutate: unlock,
		},
		{
			Name: "T5OwnTableDeleted", Threat: "T5", Title: "Somebody deletes lanseal's own table",
			User: "A blink; then everything goes on.", RecoversBy: "the agent", Random: true, NFTOnly: true,
			Breaks: "firewall",
			Fault: func(_ context.Context, e *Env) error { // also where a fault before has just deleted it
				return e.Lab.Router.NFT("table inet lanseal\ndelete table inet lanseal\n")
			},
			Mutate: noRouting,
		},
		{
			Name: "T5OwnChainsFlushed", Threat: "T5", Title: "Somebody empties lanseal's chains and leaves the table",
			User: "A blink; then everything goes on.", RecoversBy: "the agent", NFTOnly: true,
			Breaks: "firewall",
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.Router.NFT("flush table inet lanseal\n") },
			Mutate: noRouting,
		},
		{
			Name: "T5ForeignTableDeleted", Threat: "T5", Title: "Another firewall (fw4) starts, stops and is gone",
			User: "Nothing.", RecoversBy: "nothing was broken",
			Fault: func(ctx context.Context, e *Env) error {
				return errors.Join(again(ctx, e, fw4Like, 1), again(ctx, e, "delete table inet fw4\n", 1))
			},
			Mutate: unlock,
		},
		{
			Name: "T5Fw4Reload", Threat: "T5", Title: "Another firewall (fw4) reloads three times, deleting and loading its table",
			User: "Nothing.", RecoversBy: "nothing was broken",
			Fault: func(ctx context.Context, e *Env) error {
				return again(ctx, e, "table inet fw4\ndelete table inet fw4\n"+fw4Like, 3)
			},
			Undo:   func(_ context.Context, e *Env) error { return e.Lab.Router.NFT("delete table inet fw4\n") },
			Mutate: unlock,
		},
		{
			Name: "T5FlushAndLoad", Threat: "T5", Title: "A script flushes the whole ruleset and loads its own, three times",
			User: "A blink; then everything goes on.", RecoversBy: "the agent", Breaks: "firewall",
			Fault: func(ctx context.Context, e *Env) error {
				return again(ctx, e, "flush ruleset\n"+fw4Like, 3)
			},
			Undo: func(_ context.Context, e *Env) error {
				return errors.Join(e.Lab.Router.NFT("delete table inet fw4\n"), e.Lab.RestoreNAT())
			},
			Mutate: noRouting,
		},
		{
			Name: "T7BothLocks", Threat: "T7", Title: "Firewall and routing rules are removed in the same moment",
			User: "A blink; then everything goes on.", RecoversBy: "the agent", Breaks: "both",
			Bound: bothLocksBound, Within: bothLocksWithin,
			Fault: func(ctx context.Context, e *Env) error {
				err := sh(ctx, e.Lab.Router, "ip -4 rule flush; ip -6 rule flush; nft flush ruleset\n"+mainRules)
				e.Number = int(e.Lab.WAN.MarkTime())
				return err
			},
			Undo: func(ctx context.Context, e *Env) error {
				if err := e.healed(ctx); err != nil {
					return err
				}
				return restoreNAT(ctx, e)
			},
			Mutate: unlock,
		},
	}
}

// mainRules is what netifd puts back after a flush.
const mainRules = `ip -4 rule add pref 32766 lookup main 2>/dev/null || true
ip -4 rule add pref 32767 lookup default 2>/dev/null || true
ip -6 rule add pref 32766 lookup main 2>/dev/null || true
`

// healed waits until the kernel holds the plan again, as "verify" sees it.
func (e *Env) healed(ctx context.Context) error {
	return eventually(ctx, "verify to find nothing", func() error {
		out, errs, exit, err := e.Agent.Run(ctx, "verify")
		if err == nil && exit != 0 {
			err = errors.New(out + errs)
		}
		return err
	})
}
