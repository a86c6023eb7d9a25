package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// Devices of the rivals' tunnels, and what tells them apart in a script.
const (
	deviceA = "wga"
	deviceB = "wgb"
)

// bothTunnels brings up both tunnels and routes the LAN into the first.
func bothTunnels(ctx context.Context, l *lab.Lab) error {
	_, errA := l.StartPlainClient(l.VPN1, deviceA)
	_, errB := l.StartPlainClient(l.VPN2, deviceB)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	err := sh(ctx, l.Router, "ip rule add iif br-lan lookup 100 prio 400\nip route add default dev "+deviceA+" table 100")
	return errors.Join(err, l.VPN1.WaitHandshake(ctx, time.Time{}), l.VPN2.WaitHandshake(ctx, time.Time{}))
}

// switchTo is what a rival does when it has noticed: the route, and the flows
// that bear the old tunnel's address.
const switchTo = "ip route replace default dev %s table 100; conntrack -F >/dev/null 2>&1\n"

// watchdog is the loop that people publish for WireGuard: ping through the
// tunnel, switch when nothing comes back, sleep.
func watchdog(ctx context.Context, l *lab.Lab) error {
	if err := bothTunnels(ctx, l); err != nil {
		return err
	}
	_, err := l.Router.Start("sh", "-c", fmt.Sprintf(`while :; do
	if ! ping -q -n -I %s -c 3 -W 2 %s >/dev/null 2>&1; then
		`+switchTo+`		exit
	fi
	sleep 5
done`, deviceA, l.VPN1.Resolver4(), deviceB))
	return err
}

// mwan3Style tracks as mwan3 does where nothing is configured: one ping in ten
// seconds, four seconds to answer, and five failures in a row make an uplink
// that is offline.
func mwan3Style(ctx context.Context, l *lab.Lab) error {
	if err := bothTunnels(ctx, l); err != nil {
		return err
	}
	_, err := l.Router.Start("sh", "-c", fmt.Sprintf(`failed=0
while [ "$failed" -lt 5 ]; do
	if ping -q -n -I %s -c 1 -W 4 %s >/dev/null 2>&1; then
		failed=0
	else
		failed=$((failed + 1))
	fi
	[ "$failed" -ge 5 ] || sleep 10
done
`+switchTo, deviceA, lab.Echo4, deviceB))
	return err
}

// keepalived runs the real one: a virtual router whose state follows a track
// script, and a notify script that switches.
func keepalived(ctx context.Context, l *lab.Lab) error {
	if err := bothTunnels(ctx, l); err != nil {
		return err
	}
	script := func(body string) string { return "#!/bin/sh\nPATH=$PATH:/usr/sbin:/sbin\n" + body }
	conf := `global_defs {
	script_user root
	enable_script_security
}
vrrp_script tunnel {
	script "/etc/bench/check"
	interval 1
	timeout 1
	fall 2
	rise 2
}
vrrp_instance lan {
	interface br-lan
	virtual_router_id 51
	priority 100
	advert_int 1
	track_script {
		tunnel
	}
	notify_master "/etc/bench/master"
	notify_fault "/etc/bench/fault"
}
`
	err := errors.Join(
		l.Router.WriteFile("/etc/bench/check", script(fmt.Sprintf("exec ping -q -n -I %s -c 1 -W 1 %s >/dev/null\n", deviceA, l.VPN1.Resolver4())), 0o755),
		l.Router.WriteFile("/etc/bench/master", script(fmt.Sprintf(switchTo+"touch /etc/bench/is-master\n", deviceA)), 0o755),
		l.Router.WriteFile("/etc/bench/fault", script(fmt.Sprintf(switchTo, deviceB)), 0o755),
		l.Router.WriteFile("/etc/bench/keepalived.conf", conf, 0o644))
	if err != nil {
		return err
	}
	p, err := l.Router.Start("keepalived", "--dont-fork", "--log-console", "--vrrp", "--use-file=/etc/bench/keepalived.conf")
	if err != nil {
		return err
	}
	return poll(ctx, 50*time.Millisecond, func() error {
		_, err := l.Router.ReadFile("/etc/bench/is-master")
		if err != nil {
			err = fmt.Errorf("keepalived is not master: %s", p.Log())
		}
		return err
	})
}
