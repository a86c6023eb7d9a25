// Package rules turns what the user wants into what the kernel must hold.
//
// It is pure: no files, no sockets, no clock. A [Policy] says what the user
// wants, [Facts] what is true of the machine now; [Compile] makes a [Plan] of
// them: ip rules, routes, addresses, sysctls and one firewall. [Sealed] is the
// plan in which nothing leaves. [Steps] orders the way from one plan to
// another so that the LAN is sealed after every prefix of it, and [Explain]
// says what a plan does with one flow. The printers turn a plan into nft text,
// iptables-restore text and readable routes and rules.
//
// Two locks hold the LAN, and each alone is enough:
//
//   - the routing lock: a LAN packet consults table 5200 (the LAN's own
//     subnets) and the table of its exit, then meets "unreachable"; it never
//     sees the main table, so no route that the WAN pushes can attract it;
//   - the firewall lock: a LAN packet may leave by a LAN device or by the
//     device of its own exit, by name, and by nothing else.
package rules
