// Package clock is the machine's clock as far as lanseal has to do with it.
//
// Routers have no clock that runs while they are off. A WireGuard server
// refuses a handshake whose time is not later than the last it has seen
// (whitepaper, section 5.1), so a router that boots into the past reaches no
// server, hence no time server behind one either: a deadlock. Three things
// undo it. Before the first handshake the clock is moved forward to the last
// time that was good, if it is behind it. Until the clock is synchronised and
// while no exit is up, the router's own NTP may leave by the WAN. And when the
// clock is stepped, handshakes are begun anew.
//
// The clock is never moved back, and never beyond what a mistake could not
// explain: a handshake sent with a time in the future burns the key until that
// time has come.
package clock
