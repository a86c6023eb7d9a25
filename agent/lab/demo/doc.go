// Package demo shows lanseal to somebody who has never seen it: a small
// internet with two clients that never stop sending, what their ISP sees of
// them without lanseal, and what it sees with it, while one thing after
// another breaks or attacks.
//
// It plays in one lab with one agent, as on a router that lives through all of
// it. A row of the table is one fault: it is laid, traffic goes on, the service
// comes back, and everything that left the router meanwhile has been counted.
// Two oracles judge: the capture on the ISP's wire, and the address that the
// servers saw. The first thing shown is that both can see a leak.
//
// "sealed" is the time from the fault to the last leaked frame, 0 when none
// leaked. "back" is the time from the fault to the end of the longest silence
// of any kind of probe that lost one; it is counted from the repair, and
// marked with *, where the fault itself cuts the line.
package demo
