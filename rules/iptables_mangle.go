package rules

import (
	"fmt"
	"slices"
	"strings"
)

// address prints the guard of the tunnels' addresses, before anything else
// looks at the packet.
func (w *iptWriter) address() {
	table := "raw"
	if w.opt.NoRaw {
		table = "mangle"
	}
	w.open(table, "ADDRESS")
	w.rule("the router to itself", "-i lo", iptReturn)
	for _, t := range w.ourTunnelAddresses() {
		w.unless("the tunnel's address is reached by the tunnel alone (CVE-2019-14899)", "-i ", t.devices, "-d "+t.addr.String())
	}
}

// mangle prints who a packet of the LAN is from and where it may go.
func (w *iptWriter) mangle() {
	fw := w.fw
	w.open("mangle", "MARK")
	if w.opt.NoRaw {
		w.rule("the tunnels' addresses", "", "-j "+iptChain("ADDRESS", w.generation))
	}
	for _, d := range fw.LAN {
		w.rule("who on the LAN is it, and where may it go", "-i "+d, w.into("LAN"))
	}
	for _, e := range fw.Exits {
		w.rule("replies pass a strict reverse path filter", "-i "+e.Device, iptSet("MARK", e.Mark))
	}
	for _, d := range fw.Uplinks {
		w.rule("replies to encrypted packets, likewise", "-i "+d+" "+iptConnmark(MarkTransport), iptSet("MARK", MarkTransport))
	}

	w.open("mangle", "LAN")
	for _, x := range fw.Exceptions {
		w.iptException(x)
	}
	w.members()
	w.rule("devices without a rule of their own", "", w.into(w.iptWayChain(fw.Default)))

	stranded := w.stranded()
	way := func(part string, mark uint32) {
		w.open("mangle", part)
		w.rule("the way, as a mark", "", iptSet("MARK", mark))
		if mark != uint32(WayBlock) {
			w.rule("the way, for the connection", "", iptSet("CONNMARK", mark))
		}
		if slices.Contains(stranded, mark) {
			if e := fw.exit(Way(mark)); e != nil && fw.Hijack && w.redirects(*e) {
				for _, p := range iptDNS {
					w.rule("the router's resolver answers, see chain DNS", p, iptReturn)
				}
			}
			w.rule("nothing carries it", "", w.into("COUNT"))
		}
	}
	for _, e := range fw.Exits {
		way(w.iptWayChain(Way(e.Mark)), e.Mark)
	}
	way("DIRECT", MarkDirect)
	way("BLOCK", uint32(WayBlock))
	w.count()

	w.open("mangle", "MSS")
	for _, e := range fw.Exits {
		const why, syn, clamp = "segments fit the tunnel", " -p tcp --tcp-flags SYN,RST SYN", "-j TCPMSS --clamp-mss-to-pmtu"
		if e.ClampMSS {
			w.rule(why, "-o "+e.Device+syn, clamp)
			w.rule(why, "-i "+e.Device+syn, clamp)
		}
	}

	w.open("mangle", "SOURCE")
	w.rule("the router to itself", "-o lo", iptReturn)
	for _, t := range w.ourTunnelAddresses() {
		const why = "a tunnel's address never shows elsewhere"
		w.unless(why, "-o ", t.devices, "-s "+t.addr.String())
		// This chain is before the source is rewritten: the connection knows
		// what it will be.
		w.unless(why, "-o ", t.devices, "-m conntrack --ctrepldst "+t.addr.String()+" --ctdir ORIGINAL")
	}
}

// unless drops what matches and does not use one of the devices.
func (w *iptWriter) unless(why, flag string, devices []string, match string) {
	if len(devices) == 1 {
		w.rule(why, "! "+flag+devices[0]+" "+match, iptDrop)
		return
	}
	for _, d := range devices {
		w.rule("exits with one address", flag+d+" "+match, iptReturn)
	}
	w.rule(why, match, iptDrop)
}

func (w *iptWriter) ourTunnelAddresses() []tunnelAddress {
	return slices.DeleteFunc(w.fw.tunnelAddresses(), func(t tunnelAddress) bool { return familyOf(t.addr) != w.family })
}

// count prints the counters of packets that have no way, except those to the
// router itself and those that are never forwarded.
func (w *iptWriter) count() {
	w.open("mangle", "COUNT")
	if w.family == 4 {
		w.rule("the router itself", "-m addrtype --dst-type LOCAL,BROADCAST,MULTICAST", iptReturn)
	} else {
		w.rule("the router itself", "-d ff00::/8", iptReturn)
		w.rule("the router itself", "-d fe80::/10", iptReturn)
		w.rule("the router itself", "-m addrtype --dst-type LOCAL", iptReturn)
	}
	w.rule(IPTablesBlocked, "", "")
	if !w.opt.MACSets {
		for _, m := range w.fw.Members {
			if m.MAC != "" {
				w.rule(IPTablesBlockedOf+m.Device, "-m mac --mac-source "+m.MAC, "")
			}
		}
	}
}

// iptException prints one rule for each identity, destination and portion of
// the ports.
func (w *iptWriter) iptException(x FirewallException) {
	who := []string{""}
	if len(x.MACs)+len(x.IPs) > 0 {
		who = nil
		for _, m := range x.MACs {
			who = append(who, "-m mac --mac-source "+m+" ")
		}
		for _, a := range w.ours(x.IPs) {
			who = append(who, "-s "+a.String()+" ")
		}
	}
	what := []string{""}
	switch x.Proto {
	case "tcp", "udp":
		what = []string{" -p " + x.Proto}
		if len(x.Ports) > 0 {
			what = iptPorts(" -p "+x.Proto, x.Ports)
		}
	case "icmp":
		what = []string{" -p icmp"}
		if w.family == 6 {
			what = []string{" -p ipv6-icmp"}
		}
	}
	v4, v6 := splitPrefixes(x.Dest)
	dest := v4
	if w.family == 6 {
		dest = v6
	}
	for _, i := range who {
		for _, d := range dest {
			for _, p := range what {
				w.rule("exception "+x.Name, i+"-d "+d.String()+p, w.into("DIRECT"))
			}
		}
	}
}

// iptPorts splits ports: a multiport match takes 15, and a range counts two.
func iptPorts(proto string, ports []PortRange) []string {
	var all, now []string
	room := 15
	flush := func() {
		if len(now) > 0 {
			all = append(all, proto+" -m multiport --dports "+strings.Join(now, ","))
		}
		now, room = nil, 15
	}
	for _, p := range ports {
		text, need := fmt.Sprint(p.First), 1
		if p.First != p.Last {
			text, need = fmt.Sprintf("%d:%d", p.First, p.Last), 2
		}
		if need > room {
			flush()
		}
		now, room = append(now, text), room-need
	}
	flush()
	return all
}

// nat prints who answers questions, and under what address the LAN leaves.
func (w *iptWriter) nat() {
	fw := w.fw
	w.open("nat", "DNS")
	hijack := fw.Hijack && len(fw.Exits) > 0
	blocked := len(w.redirected()) > 0
	if hijack || blocked {
		for _, d := range fw.LAN {
			w.rule("questions from the LAN", "-i "+d, w.into("DNS_LAN"))
		}
	}
	w.open("nat", "DNS_LAN")
	for _, e := range fw.Exits {
		for _, p := range iptDNS {
			switch r := w.resolver(e); {
			case !hijack:
			case w.redirects(e):
				w.rule("exit "+e.Name+": by the router's resolver", iptMark(e.Mark)+" "+p, "-j REDIRECT --to-ports 53")
			case r.IsValid():
				w.rule("resolver of exit "+e.Name, iptMark(e.Mark)+" "+p, "-j DNAT --to-destination "+r.String())
			}
		}
	}
	if blocked {
		w.rule("not a question, or nobody's to answer", "", w.into("BLOCKED"))
		w.blocked()
	}
	w.open("nat", "DNS_ROUTER")
	for _, e := range fw.Exits {
		for _, p := range iptDNS {
			if r := w.resolver(e); hijack && r.IsValid() {
				w.rule("the router's own questions, resolver of exit "+e.Name, "-o "+e.Device+" "+p, "-j DNAT --to-destination "+r.String())
			}
		}
	}
	w.open("nat", "LEAVING")
	for _, e := range fw.Exits {
		if e.Masquerade {
			w.rule("the LAN shows the tunnel's address", "-o "+e.Device, "-j MASQUERADE")
		}
	}
}
