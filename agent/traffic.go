package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/agent/store"
	"github.com/lanseal/lanseal/rules"
)

// tallyEvery is how often the counters by device are read for the store, while
// something moves on the LAN: as often as the store writes.
const tallyEvery = time.Minute

// tally is what the firewall's counters by device showed last. What they show
// more now has passed since then.
type tally struct {
	begun bool           // there is something to compare with
	last  kernel.Blocked // of the firewall in force
	at    time.Time      // when a beat looked last
	moved uint64         // bytes that the LANs' devices had carried then
}

// tally tells the store what passed for each device. It has no timer of its
// own: a beat does it, and reads nothing while the LAN is quiet, because
// reading costs a program.
func (a *agent) tally(ctx context.Context) {
	now := time.Now()
	t := &a.tallied
	if !a.st.Policy.Enabled || !a.planned || now.Sub(t.at) < tallyEvery {
		return
	}
	t.at = now
	moved := uint64(0)
	carried, err := a.k.Carried()
	for _, lan := range a.st.Policy.LAN {
		moved += carried[lan].Rx + carried[lan].Tx
	}
	if err == nil && t.begun && moved == t.moved {
		return
	}
	t.moved = moved
	if a.count(ctx, 0) {
		a.store.Soon()
	}
}

// endTally is the last one: the next agent begins with what it finds.
func (a *agent) endTally(ctx context.Context) {
	if !a.st.Policy.Enabled {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnLimit)
	defer cancel()
	a.count(ctx, 0)
}

// loaded says that steps were carried out. The counters of a firewall that is
// new begin at nothing; those of one that an agent before this one left begin
// with what they show first, because that agent has told of it.
func (t *tally) loaded(steps []rules.Step) {
	if slices.ContainsFunc(steps, func(s rules.Step) bool { return s.Kind == rules.StepFirewall }) {
		t.begun, t.last = true, kernel.Blocked{}
	}
}

// passed tells the store what the counters show more than they did, and who
// was seen. A stranger's address that nobody answers to is no device.
func (a *agent) passed(now kernel.Blocked) {
	neighbours, err := a.k.Neighbours(a.st.Policy.LAN)
	if err != nil {
		return
	}
	at := time.Now()
	macs, ips := map[string]string{}, map[string]kernel.Neighbour{}
	for _, n := range neighbours {
		if strings.HasPrefix(n.MAC, kernel.LeakClientMAC) {
			continue // the leak test's own
		}
		macs[n.IP.String()] = n.MAC
		if old, ok := ips[n.MAC]; !ok || n.IP.Is4() && !old.IP.Is4() {
			ips[n.MAC] = n
		}
		if n.Online {
			a.store.Seen(n.MAC, ips[n.MAC].IP, "", at)
		}
	}
	for mac, more := range a.tallied.grown(now, macs) {
		if n, ok := ips[mac]; ok {
			a.store.Seen(mac, n.IP, "", at)
		}
		a.store.Passed(mac, more)
	}
}

// grown is what passed for each device since the last look. Who received is
// known by address alone, so macs says whose it is; what nobody is known for
// waits until somebody is.
func (t *tally) grown(now kernel.Blocked, macs map[string]string) map[string]store.Counter {
	begun, old := t.begun, t.last
	t.begun, t.last = true, kernel.Blocked{ByMAC: now.ByMAC, Sent: now.Sent, Received: map[string]uint64{}}
	out := map[string]store.Counter{}
	add := func(mac string, c store.Counter) {
		if sum := out[mac]; begun && c != (store.Counter{}) {
			out[mac] = store.Counter{Rx: sum.Rx + c.Rx, Tx: sum.Tx + c.Tx, Blocked: sum.Blocked + c.Blocked}
		}
	}
	for mac, n := range now.Sent {
		add(mac, store.Counter{Tx: more(old.Sent[mac], n)})
	}
	for mac, n := range now.ByMAC {
		add(mac, store.Counter{Blocked: more(old.ByMAC[mac], n)})
	}
	for ip, n := range now.Received {
		mac := macs[ip]
		if mac == "" && begun {
			t.last.Received[ip] = min(old.Received[ip], n)
			continue
		}
		t.last.Received[ip] = n
		add(mac, store.Counter{Rx: more(old.Received[ip], n)})
	}
	return out
}

// more is what a counter counted since it showed old; one that shows less
// began anew.
func more(old, now uint64) uint64 {
	if now < old {
		return now
	}
	return now - old
}
