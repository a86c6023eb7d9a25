// Package kernel is the one door to the machine's network: it observes what
// the kernel holds, applies a plan's steps and watches for changes. Nothing
// else of lanseal touches nft, iptables, netlink, conntrack or sysctls.
package kernel
