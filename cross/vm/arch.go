package main

import (
	"fmt"
	"slices"
	"strings"
)

// arch is one emulated router.
type arch struct {
	name    string
	is      string   // for the table
	target  string   // in cross/targets.tsv
	qemu    string   // program, and the board
	board   []string // its arguments
	memory  int      // MB
	console string   // device of the kernel's console
	orders  string   // device of the lab's orders, below /dev
	addrs   []string // PCI slots of LAN and WAN, where the defaults stall
	tuple   string   // of the cross compiler, for what is built here; empty: Debian's packages
	debian  string   // Debian's name of the architecture
	image   string   // Debian's kernel package
	nft     bool     // has nft; else iptables, as OpenWrt's firewall3
}

// arches are all emulated routers, in the order in which they run.
func arches() []arch {
	return []arch{
		{name: "x86_64", is: "Debian's kernel, nft", target: "amd64",
			qemu: "qemu-system-x86_64", board: []string{"-M", "q35", "-cpu", "Nehalem"}, memory: 256,
			console: "ttyS0", orders: "ttyS1", debian: "amd64", image: "linux-image-amd64", nft: true},
		// nft's sources are in no package, and Debian 12 has no big-endian MIPS.
		{name: "mips", is: "own kernel, big-endian, iptables", target: "mips",
			qemu: "qemu-system-mips", board: []string{"-M", "malta", "-cpu", "24Kc"}, memory: 64,
			console: "ttyS0", orders: "ttyS1", addrs: []string{"0x12", "0x14"}, tuple: "mips-linux-gnu"},
	}
}

// pickArches returns the named ones, all when there is no name.
func pickArches(names string) ([]arch, error) {
	if names == "" {
		return arches(), nil
	}
	var out []arch
	for _, n := range strings.Split(names, ",") {
		i := slices.IndexFunc(arches(), func(a arch) bool { return a.name == n })
		if i < 0 {
			var known []string
			for _, a := range arches() {
				known = append(known, a.name)
			}
			return nil, fmt.Errorf("no architecture %q: there are %s", n, strings.Join(known, ", "))
		}
		out = append(out, arches()[i])
	}
	return out, nil
}

// netdev names a virtio network card on the board.
func (a arch) netdev(id, mac string, slot int) string {
	s := "virtio-net-pci,netdev=" + id + ",mac=" + mac + ",romfile="
	if a.addrs != nil {
		s += ",addr=" + a.addrs[slot]
	}
	return s
}
