package openwrt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Turn looks at the system and brings it to the wish, if anything differs. It
// asks for the wish once it has the system to itself, so that an order to
// restore that came meanwhile is not missed.
func (g *Guest) Turn(ctx context.Context, wish func() Wish) Report {
	var r Report
	unlock, err := g.lock()
	if err != nil {
		return Report{Error: err.Error()}
	}
	defer unlock()
	w := wish()
	now, err := g.dump(ctx)
	if err != nil {
		now = nil
		r.Error = err.Error()
	}
	print := fmt.Sprintf("%+v %+v %s", w, now, g.fingerprint())
	if err == nil && g.done == print {
		g.last.Notes = nil
		return g.last
	}
	g.done, g.waiting = "", false
	err = errors.Join(err, g.turn(ctx, w, now, &r))
	if err != nil {
		r.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
	} else if !g.waiting {
		g.done = fmt.Sprintf("%+v %+v %s", w, now, g.fingerprint())
	}
	g.last = r
	return r
}

// Restore puts back everything that was changed.
func (g *Guest) Restore(ctx context.Context) ([]string, error) {
	unlock, err := g.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var r Report
	network, err := g.read(ctx, "network")
	err = errors.Join(err, g.bring(ctx, Wish{Known: true}, nil, network, &r))
	return r.Notes, err
}

// lock keeps the agent and a command of the same moment apart.
func (g *Guest) lock() (unlock func(), err error) {
	if err := os.MkdirAll(g.state, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(g.state, "openwrt.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = flock(f, syscall.LOCK_EX)
	}
	if err != nil {
		return nil, fmt.Errorf("waiting for another lanseal to end its changes: %w", err)
	}
	return func() { f.Close() }, nil
}

// fingerprint is the content of what a turn reads from files, as far as it can
// change without an event.
func (g *Guest) fingerprint() string {
	var all []byte
	for _, pkg := range packages {
		data, _ := os.ReadFile(g.path("etc/config", pkg))
		all = append(all, hash(data)...)
	}
	for _, path := range append([]string{g.recordPath()}, g.made...) {
		data, _ := os.ReadFile(path)
		all = append(all, hash(data)...)
	}
	return string(all)
}

// turn resolves the networks and, if the plan is in force, makes the changes.
func (g *Guest) turn(ctx context.Context, w Wish, now []Network, r *Report) error {
	network, err := g.read(ctx, "network")
	d := devices(w.LAN, w.WAN, now, network.Config)
	r.LAN, r.WAN = d.LAN, d.WAN
	if len(d.Missing) > 0 {
		err = errors.Join(err, fmt.Errorf("no network named %s in /etc/config/network", strings.Join(d.Missing, ", ")))
	}
	if len(d.Waiting) > 0 {
		err = errors.Join(err, fmt.Errorf("network %s has no device now", strings.Join(d.Waiting, ", ")))
	}
	if !w.Known || w.Armed && now == nil { // what netifd has is not known: nothing is undone for that
		return err
	}
	return errors.Join(err, g.bring(ctx, w, now, network, r))
}

// bring makes the changes of a wish, each file by itself: what fails in one
// does not keep the others from being made or restored.
func (g *Guest) bring(ctx context.Context, w Wish, now []Network, network file, r *Report) error {
	rec, err := g.readRecord()
	if err != nil {
		return err // without it nothing can be undone, so nothing is done
	}
	read := map[string]file{"network": network}
	for _, pkg := range packages[1:] {
		f, readErr := g.read(ctx, pkg)
		read[pkg] = f
		err = errors.Join(err, readErr) // and it is passed over
	}
	before := func(pkg string) Config {
		if fr := rec.Files[pkg]; fr != nil {
			c, _ := theirs(read[pkg].Config, fr.Changes)
			return c
		}
		return read[pkg].Config
	}
	devs := slices.Concat(w.LANDevices, r.LAN)
	lans := slices.Clone(w.LAN)
	for _, n := range networksOn(now, read["network"].Config, devs) {
		lans = addNew(lans, n)
	}
	uplinks := uplinkNetworks(w, now, lans, rec)
	relayed := relays(before("dhcp"), lans)
	want := map[string]func(Config) Config{"network": asIs, "dhcp": asIs, "firewall": asIs}
	var all []instance
	if w.Armed {
		running, svcErr := g.services(ctx)
		if svcErr != nil {
			return svcErr
		}
		recorded := func(id string) bool {
			fr := rec.Files["dhcp"]
			return fr != nil && slices.ContainsFunc(fr.Changes, func(c Change) bool { return c.Section == id && c.Option == "noresolv" })
		}
		if foreign := g.foreignResolver(); w.DNS && foreign == "" {
			all = g.instances(before("dhcp"), running, lans, recorded)
		} else if w.DNS {
			r.Notes = append(r.Notes, foreign+" answers on port 53 of the router: it is left alone, and the LAN's questions go straight to the exit's resolver")
		}
		snippet := autoIncludes(before("firewall"))
		if _, err := os.Stat(g.path("usr/share/nftables.d/chain-pre/forward/10-lanseal.nft")); err != nil || !g.fw4() {
			snippet = false
		}
		ula := newULA()
		want["network"] = func(c Config) Config { return wantNetwork(c, w, lans, uplinks, relayed, g.sameULA(rec, ula)) }
		want["dhcp"] = func(c Config) Config {
			out := c.clone()
			wantResolver(&out, all)
			wantAnnouncements(&out, c, w, lans)
			return out
		}
		want["firewall"] = func(c Config) Config { return wantFirewall(c, w, lans, devs, snippet) }
	}
	for _, name := range fixedPrefixes(before("network"), lans) {
		if w.Armed && w.Hold && w.Withdraw {
			r.Notes = append(r.Notes, "network "+name+" has a global IPv6 address in its configuration: clients keep addresses of that prefix, which browsers may show")
		}
	}
	software, hardware := offloading(read["firewall"].Config)
	r.Hardware = hardware
	if software && w.Armed {
		r.Notes = append(r.Notes, "flow offloading is on: flows of another way are forgotten at every change"+map[bool]string{true: ", those in hardware within two seconds", false: ""}[hardware])
	}
	changed := map[string]bool{}
	errs := []error{err}
	for _, pkg := range packages {
		c, notes, err := g.apply(ctx, &rec, read[pkg], want[pkg])
		changed[pkg] = c
		r.Notes = append(r.Notes, notes...)
		errs = append(errs, err)
	}
	errs = append(errs, g.upstream(&rec, all, w.Upstream), g.reload(ctx, &rec))
	g.made = rec.Made
	g.waiting = slices.ContainsFunc(all, func(in instance) bool { return in.managed && !in.running })
	if errors.Join(errs...) == nil && w.Upstream.Device != "" && everyLAN(all, lans, w.LANDevices, now, read["network"].Config) {
		r.Resolver = w.Upstream.Device
	}
	if w.Armed && w.Hold && w.Withdraw && (changed["network"] || changed["dhcp"]) {
		errs = append(errs, g.withdraw(ctx, w, now, lans, devs, relayed))
	}
	return errors.Join(errs...)
}

// uplinkNetworks names the uplinks: those that the user named, else those with
// a default route, and those that had one when lanseal changed them, because a
// cable that is out is no reason to change a configuration.
func uplinkNetworks(w Wish, now []Network, lans []string, rec record) []string {
	if len(w.WAN) > 0 {
		return w.WAN
	}
	var names []string
	for _, n := range now {
		if (n.Default || slices.Contains(w.WANDevices, n.Device)) && !contains(lans, n.Name) {
			names = addNew(names, n.Name)
		}
	}
	if fr := rec.Files["network"]; fr != nil {
		for _, c := range fr.Changes {
			if c.Option == "classlessroute" && !contains(lans, c.Section) {
				names = addNew(names, c.Section)
			}
		}
	}
	return names
}

// upstream writes the file of each instance that lanseal keeps, and removes
// those of others.
func (g *Guest) upstream(rec *record, all []instance, up Upstream) error {
	var errs []error
	var keep []string
	for _, in := range all {
		if in.managed {
			path := g.path(in.confdir, upstreamFile)
			keep = append(keep, path)
			errs = append(errs, g.ownFile(rec, path, upstreamText(up), "dnsmasq"))
		}
	}
	for _, path := range slices.Clone(rec.Made) {
		if slices.Contains(keep, path) {
			continue
		}
		err := g.ownFile(rec, path, "", "dnsmasq")
		errs = append(errs, err)
		if err == nil {
			rec.Made = slices.DeleteFunc(rec.Made, func(p string) bool { return p == path })
		}
	}
	return errors.Join(errs...)
}

// reload tells the services what they have not heard of yet. What fails stays
// due.
func (g *Guest) reload(ctx context.Context, rec *record) error {
	var errs []error
	done := func(what string, when bool, tell ...func() error) {
		if !when {
			return
		}
		var failed error
		for _, f := range tell {
			failed = errors.Join(failed, f())
		}
		if failed == nil {
			rec.Due = slices.DeleteFunc(rec.Due, func(d string) bool { return d == what })
		}
		errs = append(errs, failed)
	}
	due := slices.Clone(rec.Due)
	dnsmasq := func() error { return g.service(ctx, "dnsmasq", "restart") }
	done("network", contains(due, "network"), func() error {
		_, err := g.run(ctx, "", "ubus", "call", "network", "reload")
		return err
	})
	done("firewall", contains(due, "firewall"), func() error { return g.service(ctx, "firewall", "reload") })
	done("dhcp", contains(due, "dhcp"), dnsmasq, func() error { return g.service(ctx, "odhcpd", "reload") })
	if contains(due, "dhcp") && !contains(rec.Due, "dhcp") {
		rec.Due = slices.DeleteFunc(rec.Due, func(d string) bool { return d == "dnsmasq" }) // it was restarted just now
	}
	done("dnsmasq", contains(rec.Due, "dnsmasq"), dnsmasq)
	return errors.Join(append(errs, g.writeRecord(*rec))...)
}

// everyLAN says whether each protected network is answered by an instance that
// lanseal keeps. A device that no network has is answered by those that listen
// everywhere.
func everyLAN(all []instance, lans, devices []string, now []Network, conf Config) bool {
	answered := func(listens func(Section) bool) bool {
		return slices.ContainsFunc(all, func(in instance) bool { return in.managed && in.running && listens(in.section) })
	}
	for _, n := range lans {
		if !answered(func(s Section) bool { return listens(s, n) }) {
			return false
		}
	}
	for _, d := range devices {
		if len(networksOn(now, conf, []string{d})) == 0 && !answered(func(s Section) bool { return len(s.words("interface")) == 0 }) {
			return false
		}
	}
	return true
}

// fw4 says whether the firewall is firewall4, which includes snippets.
func (g *Guest) fw4() bool {
	_, err := os.Stat(g.path("sbin/fw4"))
	return err == nil
}

// newULA makes a unique local prefix (RFC 4193, section 3.2).
func newULA() string {
	var a [16]byte
	_, _ = rand.Read(a[1:6]) // it never fails
	a[0] = 0xfd
	return netip.PrefixFrom(netip.AddrFrom16(a), 48).String()
}

// sameULA is the prefix that lanseal gave the router before, else a new one.
func (g *Guest) sameULA(rec record, fresh string) string {
	if fr := rec.Files["network"]; fr != nil {
		for _, c := range fr.Changes {
			if c.Section == "globals" && c.Option == "ula_prefix" && c.After != nil && len(c.After.Values) == 1 {
				return c.After.Values[0]
			}
		}
	}
	return fresh
}
