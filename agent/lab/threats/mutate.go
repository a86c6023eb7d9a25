package threats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// sh runs a script on a host.
func sh(ctx context.Context, h *lab.Host, script string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := h.Command(ctx, "sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; set -e\n"+script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", h.Name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// freeze stops the agent, so that nothing heals, and takes the third net away,
// which would hide that a lock is missing.
func freeze(e *Env) error {
	e.Frozen = true
	return errors.Join(e.Agent.Stop(), noNet(e))
}

func noNet(e *Env) error {
	return e.Lab.Router.NFT("table netdev lanseal\ndelete table netdev lanseal\n")
}

const deleteTables = `for t in lanseal lanseal_guard; do nft delete table inet $t 2>/dev/null || true; done
`

// deleteRules takes lanseal's ip rules out, one by one, as no tool can name a
// range; the last first, so that no encrypted packet is led into the tunnel on
// the way.
const deleteRules = `for f in 4 6; do for p in $(ip -$f rule | sed -n 's/^\(5[012][0-9]\):.*/\1/p' | sort -rn); do ip -$f rule del pref $p; done; done
`

const deleteUnreachable = `for f in 4 6; do
 for p in 520 522; do while ip -$f rule del pref $p 2>/dev/null; do :; done; done
 for t in 5201 5202; do ip -$f route del unreachable default table $t metric 4294967295 2>/dev/null || true; done
done
`

// unlock removes both locks and freezes the agent: an ordinary router again.
func unlock(ctx context.Context, e *Env) error {
	return errors.Join(freeze(e), sh(ctx, e.Lab.Router, deleteTables+deleteRules))
}

// naive is what people set up by hand: the LAN is routed into the tunnel and
// masqueraded there, and that is all. It works until something breaks.
func naive(ctx context.Context, e *Env) error {
	e.Naive = true
	return errors.Join(freeze(e), sh(ctx, e.Lab.Router, naiveWay+deleteTables+deleteRules+deleteUnreachable))
}

const naiveWay = `T=5201; if ip route show table 5202 2>/dev/null | grep -q ls-se; then T=5202; fi
for f in 4 6; do
 ip -$f rule add pref 400 iif br-lan lookup 5200
 ip -$f rule add pref 402 iif br-lan lookup $T
done
nft -f - <<'end'
table inet naive {
 chain p { type nat hook postrouting priority srcnat - 5; policy accept;
  oifname "ls-*" masquerade
 }
}
end
`

// suppress is naive as wg-quick(8) does it: more specific routes of main come
// first. The ISP's resolver on the uplink's own link would leak by that at
// once; here only the fault shall.
func suppress(ctx context.Context, e *Env) error {
	return errors.Join(naive(ctx, e), sh(ctx, e.Lab.Router, `ip rule add pref 400 iif br-lan to 203.0.113.0/24 lookup 5201
for f in 4 6; do
 ip -$f rule add pref 401 iif br-lan lookup main suppress_prefixlength 0
done`))
}

// noRouting removes the routing lock's end, so that what is not marked goes on
// to main.
func noRouting(ctx context.Context, e *Env) error {
	return errors.Join(freeze(e), sh(ctx, e.Lab.Router, deleteUnreachable))
}

// noFirewall removes the firewall lock.
func noFirewall(ctx context.Context, e *Env) error {
	return errors.Join(freeze(e), sh(ctx, e.Lab.Router, deleteTables))
}

// noChain empties one chain of the firewall lock.
func noChain(names ...string) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) error {
		script := ""
		for _, n := range names {
			script += "nft flush chain inet lanseal " + n + "\n"
		}
		return errors.Join(freeze(e), sh(ctx, e.Lab.Router, script))
	}
}
