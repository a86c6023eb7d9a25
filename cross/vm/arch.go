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
	slots   []string // PCI slots of LAN, WAN, flash, entropy; nil: as QEMU likes
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
			console: "ttyS0", orders: "ttyS1", slots: []string{"0x12", "0x14", "0x13", "0x15"}, tuple: "mips-linux-gnu"},
		{name: "mipsel", is: "Debian's kernel, nft", target: "mipsle",
			qemu: "qemu-system-mipsel", board: []string{"-M", "malta", "-cpu", "24Kf"}, memory: 128,
			console: "ttyS0", orders: "ttyS1", slots: []string{"0x12", "0x14", "0x13", "0x15"}, debian: "mipsel", image: "linux-image-4kc-malta", nft: true},
		{name: "arm64", is: "Debian's kernel, nft", target: "arm64",
			qemu: "qemu-system-aarch64", board: []string{"-M", "virt,gic-version=3", "-cpu", "cortex-a53"}, memory: 256,
			console: "ttyAMA0", orders: "vport0p1", debian: "arm64", image: "linux-image-arm64", nft: true},
		{name: "armv7", is: "Debian's kernel, nft", target: "arm7",
			qemu: "qemu-system-arm", board: []string{"-M", "virt,highmem=off", "-cpu", "cortex-a15"}, memory: 256,
			console: "ttyAMA0", orders: "vport0p1", debian: "armhf", image: "linux-image-armmp", nft: true},
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

// slot puts a device where the board wants it.
func (a arch) slot(device string, n int) string {
	if a.slots == nil {
		return device
	}
	return device + ",addr=" + a.slots[n]
}

// ordersArgs plugs the lab's orders into a second serial port, or into a port of
// virtio where the board has no second one.
func (a arch) ordersArgs() []string {
	if strings.HasPrefix(a.orders, "vport") {
		return []string{"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=orders"}
	}
	return []string{"-serial", "chardev:orders"}
}
