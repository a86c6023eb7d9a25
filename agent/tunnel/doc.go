// Package tunnel keeps tunnel devices in being: one [Driver] per type.
//
// [NewWireGuard] makes a device of the kernel's WireGuard where there is one.
// Where there is none it starts a child of the same binary ([ChildCommand],
// [ChildMain]) that serves a TUN device and the usual socket in
// /var/run/wireguard. The child is a session of its own and holds nothing of
// the agent's: when the agent is killed the tunnel goes on, and the next agent
// adopts it. Both kinds are configured by the same calls, so no key is ever on
// a command line or in an environment. [NewDevice] watches a device that
// somebody else brings up.
//
// Three rules hold throughout:
//
//   - the transport mark is set before there is a peer, so that no encrypted
//     packet leaves unmarked;
//   - what is there is read first, and only what differs is changed, so that an
//     Up that changes nothing disturbs nothing;
//   - endpoint names are asked of the bootstrap resolvers by [Resolver], over
//     marked sockets, and never of the system's resolver.
//
// The drivers work in the network and mount namespaces of the process, not of
// the calling thread. Addresses, routes and rules are agent/kernel's.
package tunnel
