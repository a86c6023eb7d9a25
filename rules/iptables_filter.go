package rules

import (
	"fmt"
	"slices"
)

// filter prints what may pass.
func (w *iptWriter) filter() {
	fw := w.fw
	w.open("filter", "FORWARD")
	for _, d := range fw.LAN {
		w.rule("from the LAN", "-i "+d, w.into("FROM_LAN"))
	}
	for _, d := range fw.LAN {
		w.rule("into the LAN", "-o "+d, w.into("INTO_LAN"))
	}
	for _, d := range fw.tunnelDevices() {
		w.rule("a tunnel reaches the LAN and nothing else", "-i "+d, iptDrop)
	}
	for _, d := range fw.tunnelDevices() {
		w.rule("nobody but the LAN uses the tunnels", "-o "+d, iptDrop)
	}
	if len(fw.LAN) == 0 {
		w.rule("the LAN is not known: nothing is forwarded", "", iptDrop)
	}
	w.fromLAN()
	w.intoLAN()

	w.open("filter", "INPUT")
	for _, d := range fw.LAN {
		for _, m := range w.mute() {
			for _, p := range iptDNS {
				w.rule("no exit, no answer: not even the router's own resolver's", "-i "+d+" "+iptMark(m)+" "+p, w.into("REFUSE_DNS"))
			}
		}
	}
	w.refuseRedirected()
	for _, d := range fw.tunnelDevices() {
		w.rule("replies through a tunnel", "-i "+d+" -m conntrack --ctstate RELATED,ESTABLISHED", iptReturn)
		if w.family == 6 && slices.Contains(fw.Foreign, d) {
			for _, typ := range []string{"135", "136"} {
				w.rule("neighbour discovery on a device of somebody else's", "-i "+d+" -p ipv6-icmp -m icmp6 --icmpv6-type "+typ, iptReturn)
			}
		}
		w.rule("nobody at a tunnel's other end reaches the router", "-i "+d, iptDrop)
	}
	w.output()

	w.open("filter", "REFUSE")
	w.rule(IPTablesBlocked, "", "")
	w.rule("at once, so that programs do not wait", "", w.into("REJECT"))
	w.open("filter", "REFUSE_DNS")
	w.rule(IPTablesBlocked, "", "")
	w.reject("port-unreachable")
	w.open("filter", "REJECT")
	if w.family == 4 {
		w.reject("admin-prohibited")
	} else {
		w.reject("adm-prohibited")
	}
}

func (w *iptWriter) reject(code string) {
	icmp := "icmp-"
	if w.family == 6 {
		icmp = "icmp6-"
	}
	w.rule("refused at once", "-p tcp", "-j REJECT --reject-with tcp-reset")
	w.rule("refused at once", "", "-j REJECT --reject-with "+icmp+code)
}

func (w *iptWriter) fromLAN() {
	fw, stranded := w.fw, w.stranded()
	w.open("filter", "FROM_LAN")
	for _, m := range w.mute() {
		to := "REFUSE"
		if slices.Contains(stranded, m) {
			to = "REJECT"
		}
		for _, p := range iptDNS {
			w.rule("no resolver for this way", iptMark(m)+" "+p, w.into(to))
		}
	}
	for _, d := range fw.LAN {
		for _, m := range stranded {
			w.rule(IPTablesUnblocked, "-o "+d+" "+iptMark(m), iptReturn)
		}
		w.rule("from LAN to LAN", "-o "+d, iptReturn)
	}
	judge := iptReturn
	if fw.BlockDoT || fw.BlockDoH {
		judge = w.into("EXIT")
	}
	for _, e := range fw.Exits {
		if w.carries(e) {
			w.rule("devices on exit "+e.Name, iptMark(e.Mark)+" -o "+e.Device, judge)
		}
	}
	if usesDirect(fw) && !slices.Contains(stranded, MarkDirect) {
		for _, d := range fw.tunnelDevices() {
			w.rule("direct is not a tunnel", iptMark(MarkDirect)+" -o "+d, w.into("REFUSE"))
		}
		w.rule("direct devices and exceptions, on purpose", iptMark(MarkDirect), iptReturn)
	}
	for _, m := range stranded {
		w.rule("nothing else leaves; counted on arrival", iptMark(m), w.into("REJECT"))
	}
	w.rule("nothing else leaves", "", w.into("REFUSE"))

	w.open("filter", "EXIT")
	if fw.BlockDoT {
		for _, p := range iptDoT {
			w.rule("DNS over TLS and QUIC: clients fall back to 53", p, w.into("REFUSE"))
		}
	}
	if fw.BlockDoH {
		for _, p := range []string{"-p tcp --dport 443", "-p udp --dport 443"} {
			w.rule("perhaps DNS over HTTPS", p, w.into("DOH"))
		}
	}
	w.open("filter", "DOH")
	if fw.BlockDoH {
		const why = "DNS over HTTPS to well-known resolvers"
		if w.opt.IPSets {
			w.rule(why, "-m set --match-set "+ipsetName("doh", w.ipKind(), w.generation)+" dst", w.into("REFUSE"))
		} else {
			for _, a := range w.ours(DoHAddresses()) {
				w.rule(why, "-d "+a.String(), w.into("REFUSE"))
			}
		}
	}
}

func (w *iptWriter) intoLAN() {
	fw := w.fw
	const replies = " -m conntrack --ctstate RELATED,ESTABLISHED"
	w.open("filter", "INTO_LAN")
	for _, d := range fw.tunnelDevices() {
		w.rule("replies through a tunnel", "-i "+d+replies, iptReturn)
		w.rule("nothing unsolicited reaches the LAN", "-i "+d, iptDrop)
	}
	if usesDirect(fw) {
		w.rule("replies to direct devices", iptConnmark(MarkDirect)+replies, iptReturn)
		const why = "port forwards to direct devices"
		if as := w.ours(fw.directAddresses()); w.opt.IPSets && len(as) > 0 {
			w.rule(why, "-m set --match-set "+ipsetName("direct", w.ipKind(), w.generation)+" dst", iptReturn)
		} else {
			for _, a := range as {
				w.rule(why, "-d "+a.String(), iptReturn)
			}
		}
	}
	if fw.Default == Way(MarkDirect) {
		w.rule("devices without a rule are not protected", "-m conntrack --ctstate NEW", iptReturn)
	}
	w.rule("nothing unsolicited reaches the LAN", "", iptDrop)
}

// output prints what the router itself may send.
func (w *iptWriter) output() {
	fw := w.fw
	w.open("filter", "OUTPUT")
	w.rule("the router to itself", "-o lo", iptReturn)
	for _, d := range fw.LAN {
		w.rule("the router to the LAN", "-o "+d, iptReturn)
	}
	for _, d := range fw.tunnelDevices() {
		w.rule("an encrypted packet in a tunnel would run in circles", iptMark(MarkTransport)+" -o "+d, iptDrop)
		w.rule("the router through the tunnels", "-o "+d, iptReturn)
	}
	for _, d := range fw.Near {
		for _, p := range slices.Concat(iptDNS[:], iptDoT[:]) {
			w.rule("no resolver but the tunnel's", "-o "+d+" "+p, w.into("REJECT"))
		}
		w.rule("other local networks", "-o "+d, iptReturn)
	}
	w.rule("encrypted packets, remembered for their replies", iptMark(MarkTransport), iptSet("CONNMARK", MarkTransport))
	w.rule("encrypted packets", iptMark(MarkTransport), iptReturn)
	if w.family == 4 {
		w.rule("the uplink's DHCP", "-p udp --sport 68 --dport 67", iptReturn)
	} else {
		w.rule("the uplink's DHCPv6", "-p udp --sport 546 --dport 547", iptReturn)
		for typ := 133; typ <= 137; typ++ {
			w.rule("neighbour discovery", fmt.Sprintf("-p ipv6-icmp -m icmp6 --icmpv6-type %d", typ), iptReturn)
		}
	}
	if fw.RouterTime {
		ntp := fmt.Sprintf("-p udp --dport %d", portNTP)
		w.rule("the router's own NTP, remembered for its replies", ntp, iptSet("CONNMARK", MarkTransport))
		w.rule("the router's own NTP, while the clock is not known and no exit is up", ntp+" -m limit --limit 4/sec --limit-burst 8", iptReturn)
	}
	if len(fw.LAN) == 0 {
		for _, p := range slices.Concat(iptDNS[:], iptDoT[:]) {
			w.rule("the LAN is not known: no question is passed on", p, w.into("REJECT"))
		}
	}
	if !fw.RouterDirect {
		w.rule("nothing else of the router leaves", "", w.into("REJECT"))
	}
}
