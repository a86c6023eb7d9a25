package rules

// redirected are the marks of packets that blocked brings to the router, to
// be refused in its INPUT. Without it they meet the routing lock's
// "unreachable", and the kernel limits those errors: programs would wait. The
// answer gets back the address that was asked by conntrack. Flows from before
// need nothing more: those on a way that has become blocked are forgotten after
// an Apply, and their next packet is new.
//
// With several LANs packets stay as they are: nat comes before the routing
// decision, and could not tell the internet from another LAN. So it is with
// IPv6, which does not limit these errors by themselves: addresses on the LAN
// look like any others, and where a bridge shows ip6tables its packets
// (br_netfilter) hosts on the LAN would lose each other.
func (w *iptWriter) redirected() []uint32 {
	if w.family != 4 || len(w.fw.LAN) != 1 {
		return nil
	}
	return w.stranded()
}

// blocked prints the chain behind the DNS rules. It comes into force after
// refuseRedirected and leaves before it; and on port 0 there is no service.
func (w *iptWriter) blocked() {
	w.open("nat", "BLOCKED")
	w.rule("the router itself", "-m addrtype --dst-type LOCAL,BROADCAST,MULTICAST", iptReturn)
	for _, p := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} {
		w.rule("perhaps the LAN's own: routing knows", "-d "+p, iptReturn)
	}
	for _, m := range w.redirected() {
		for _, p := range []string{"tcp", "udp"} {
			w.rule("to be refused at once, see chain INPUT", iptMark(m)+" -p "+p, "-j REDIRECT --to-ports 0")
		}
	}
}

// refuseRedirected refuses what blocked has redirected, all of it; it was
// counted on arrival. TCP is left to the kernel, which resets what nobody
// listens to: under br_netfilter the reset of REJECT passes conntrack by, and
// would come from an address that was not asked.
func (w *iptWriter) refuseRedirected() {
	for _, m := range w.redirected() {
		from, to := "-i "+w.fw.LAN[0]+" "+iptMark(m), " --dport 0 -m conntrack --ctstate DNAT"
		w.rule("redirected: the kernel resets it", from+" -p tcp"+to, "-j ACCEPT")
		w.rule("redirected: refused at once", from+" -p udp"+to, "-j REJECT --reject-with icmp-port-unreachable")
	}
}
