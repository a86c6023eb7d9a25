package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/agent/store"
	"github.com/lanseal/lanseal/rules"
	"github.com/lanseal/lanseal/webui"
)

// lanFacts is what the devices' list is made of, as the loop knows it.
type lanFacts struct {
	policy     rules.Policy
	labels     map[string]string // by device section
	firewall   *rules.Firewall
	neighbours []kernel.Neighbour
	err        error // of looking at them
	counted    kernel.Blocked
	counts     bool // by device: nft
}

// Devices is who is on the LAN, or has a rule.
func (w *web) Devices(ctx context.Context) (webui.Devices, error) {
	f, ok := askLoop(ctx, w.a, func() lanFacts {
		w.a.count(ctx, countEvery)
		f := lanFacts{policy: w.a.st.Policy, labels: map[string]string{}, firewall: w.a.want.Firewall, counted: w.a.counted, counts: w.a.k.FirewallName() == "nft"}
		if w.a.cfg != nil {
			for _, d := range w.a.cfg.Devices {
				f.labels[d.Name] = d.Label
			}
		}
		f.neighbours, f.err = w.a.k.Neighbours(f.policy.LAN)
		return f
	})
	if !ok {
		return webui.Devices{}, webui.ErrBusy
	}
	if f.err != nil {
		return webui.Devices{}, f.err
	}
	d := devicesOf(f, readLeases(leaseFiles(dhcpConfig)))
	remember(w.a.store, d.Devices, time.Now())
	return d, nil
}

// remember adds what the store knows of the devices, and tells it what it does
// not know yet.
func remember(s *store.Store, ds []webui.Device, now time.Time) {
	for _, d := range ds {
		if d.Online {
			ip, _ := netip.ParseAddr(strings.Join(d.IPs[:min(len(d.IPs), 1)], ""))
			s.Seen(d.MAC, ip, d.Hostname, now)
		}
	}
	seen := map[string]time.Time{}
	for _, d := range s.Devices() {
		seen[d.MAC] = d.Last
	}
	for i, d := range ds {
		if at, ok := seen[d.MAC]; ok {
			ds[i].Seen = &at
			day := s.LastDay(store.OfDevice, d.MAC)
			ds[i].Day = webui.Carried{Rx: day.Rx, Tx: day.Tx, Blocked: day.Blocked}
		}
	}
}

// devicesOf brings together who answers, who has a lease and who has a rule.
func devicesOf(f lanFacts, leases []lease) webui.Devices {
	byMAC := map[string]*webui.Device{}
	of := func(mac string) *webui.Device {
		d := byMAC[mac]
		if d == nil {
			d = &webui.Device{MAC: mac, IPs: []string{}, Via: []string{}, Vendor: vendor(mac)}
			byMAC[mac] = d
		}
		return d
	}
	has := func(d *webui.Device, ip netip.Addr) {
		if !slices.Contains(d.IPs, ip.String()) && !ip.IsLinkLocalUnicast() {
			d.IPs = append(d.IPs, ip.String())
		}
	}
	for _, n := range f.neighbours {
		if strings.HasPrefix(n.MAC, kernel.LeakClientMAC) {
			continue // the leak test's own
		}
		d := of(n.MAC)
		has(d, n.IP)
		d.Online = d.Online || n.Online
	}
	for _, l := range leases {
		d := of(l.mac)
		has(d, l.ip)
		d.Hostname = l.hostname
	}
	var unseen []*webui.Device
	for _, r := range f.policy.Devices {
		for _, d := range matching(r, byMAC, of) {
			d.Name, d.Label, d.Via = r.Name, f.labels[r.Name], slices.Clone(r.Via)
		}
		for _, ip := range r.IPs {
			if !slices.ContainsFunc(f.neighbours, func(n kernel.Neighbour) bool { return n.IP == ip }) &&
				!slices.ContainsFunc(leases, func(l lease) bool { return l.ip == ip }) {
				unseen = append(unseen, &webui.Device{Name: r.Name, Label: f.labels[r.Name], IPs: []string{ip.String()}, Via: slices.Clone(r.Via)})
			}
		}
	}
	all := unseen
	for _, d := range byMAC {
		all = append(all, d)
	}
	out := webui.Devices{Devices: []webui.Device{}, Counted: f.counts, Default: slices.Clone(f.policy.Via)}
	for _, d := range all {
		d.Exit = wayName(f, *d)
		d.Blocked, d.Tx = f.counted.ByMAC[d.MAC], f.counted.Sent[d.MAC]
		slices.SortFunc(d.IPs, func(a, b string) int { return netip.MustParseAddr(a).Compare(netip.MustParseAddr(b)) })
		for _, ip := range d.IPs {
			d.Rx += f.counted.Received[ip]
		}
		out.Devices = append(out.Devices, *d)
	}
	slices.SortFunc(out.Devices, func(a, b webui.Device) int {
		return cmp.Or(cmp.Compare(strings.ToLower(shownName(a)), strings.ToLower(shownName(b))), cmp.Compare(a.MAC, b.MAC))
	})
	return out
}

// matching are the devices that a rule is about. One that is known by a MAC of
// another rule is that rule's, whatever its address.
func matching(r rules.Device, byMAC map[string]*webui.Device, of func(string) *webui.Device) []*webui.Device {
	var out []*webui.Device
	for _, m := range r.MACs {
		out = append(out, of(m))
	}
	for _, d := range byMAC {
		if d.Name == "" && slices.ContainsFunc(r.IPs, func(ip netip.Addr) bool { return slices.Contains(d.IPs, ip.String()) }) {
			out = append(out, d)
		}
	}
	return out
}

// shownName is what a person would call the device.
func shownName(d webui.Device) string {
	first := ""
	if len(d.IPs) > 0 {
		first = d.IPs[0]
	}
	return cmp.Or(d.Label, d.Name, d.Hostname, first, d.MAC)
}

// wayName is where the firewall sends the device now.
func wayName(f lanFacts, d webui.Device) string {
	if !f.policy.Enabled {
		return rules.ViaDirect
	}
	if f.firewall == nil {
		return rules.ViaBlock
	}
	var src netip.Addr
	if len(d.IPs) > 0 {
		src = netip.MustParseAddr(d.IPs[0])
	}
	switch way := f.firewall.WayOf(d.MAC, src); way {
	case rules.Way(rules.MarkDirect):
		return rules.ViaDirect
	case rules.WayBlock:
		return rules.ViaBlock
	default:
		for _, e := range f.firewall.Exits {
			if e.Mark == uint32(way) {
				return e.Name
			}
		}
	}
	return rules.ViaBlock
}

func cmdDevices(ctx context.Context, g globals, args []string) (int, error) {
	var asJSON bool
	if err := none(flags(args, func(fs *flag.FlagSet) { fs.BoolVar(&asJSON, "json", false, "") })); err != nil {
		return 2, err
	}
	var d webui.Devices
	if err := call(ctx, g.socket, "GET", "/api/v1/devices", nil, &d); err != nil {
		return 1, exitError{1, err}
	}
	if asJSON {
		enc := json.NewEncoder(g.stdout)
		enc.SetIndent("", "  ")
		return 0, enc.Encode(d)
	}
	t := tabwriter.NewWriter(g.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tADDRESS\tMAC\tVENDOR\tGOES\tIN\tOUT\tBLOCKED")
	for _, v := range d.Devices {
		in, out := bytesText(v.Day.Rx), bytesText(v.Day.Tx)
		if !d.Counted {
			in, out = "-", "-"
		}
		fmt.Fprintln(t, strings.Join([]string{orDash(plain(shownName(v))), orDash(strings.Join(v.IPs, ",")), orDash(v.MAC), orDash(v.Vendor),
			v.Exit, in, out, strconv.FormatUint(v.Day.Blocked, 10)}, "\t"))
	}
	return 0, t.Flush()
}

func orDash(s string) string { return cmp.Or(s, "-") }

// plain drops what would move a terminal's cursor: names come from strangers.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 32 || r == 127 {
			return -1
		}
		return r
	}, s)
}
