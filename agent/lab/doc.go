// Package lab is a small internet made of network namespaces, in which a
// built lanseal can be attacked and watched from outside.
//
// It knows nothing of the product's packages: it runs the binary, pulls
// cables, flushes tables, and counts what reaches the wire.
//
//	tv ─┐                      ┌ resolver, RAs           ┌ echo, DNS, STUN
//	    ├─ br-lan  router  wan ── cpe  isp  up ── bridge  internet ─┬─ vpn1
//	laptop ┘                 ▲                                      └─ vpn2
//	                         └ the wire: every frame is captured and classified
//
// A [Lab] is a set of [Host] values. Each host has a network namespace and a
// mount namespace of its own (private /etc, /run and /var/lib), both held by
// one locked thread; [Host.Do] runs a function there, so that a socket it
// makes stays in the namespace for life. Servers and probes are goroutines of
// this process with such sockets. Only WireGuard, whose library opens sockets
// when it likes, is a child process: any binary that calls [Main] first can
// be re-executed as that child.
//
// Two oracles say whether something leaked. The first is a [Wire]: the
// AF_PACKET capture on the ISP's end of the uplink, where every frame of the
// router is ARP, ND, DHCP, MLD, tunnel transport, explained by a rule of the
// test, or a leak. A capture that lost frames proves nothing and says so. The
// second is the source address that the echo servers saw ([Traffic]).
//
// Nothing is proved by silence: [Lab.ControlLeak] shows, in the same lab, that
// the capture would have seen a leak of every kind.
//
// Everything is named after the owner's process id and a counter, so labs run
// side by side, and a human can `ip netns exec lanseal-<pid>-<n>-router …`.
// [Lab.Close] removes all of it, and the next lab removes what a crash left.
package lab
