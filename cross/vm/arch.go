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
	label   string   // OpenWrt's, of the package
	qemu    string   // program, and the board
	board   []string // its arguments
	memory  int      // MB
	console string   // device of the kernel's console
	orders  string   // device of the lab's orders, below /dev, as a pattern
	flash   string   // device of the flash, below /dev
	slots   []string // PCI slots of LAN and WAN; nil: as QEMU likes
	tuple   string   // of the cross compiler, for what is built here; empty: Debian's packages
	debian  string   // Debian's name of the architecture
	image   string   // Debian's kernel package
	nft     bool     // has nft; else iptables, as OpenWrt's firewall3
}

// arches are all emulated routers, in the order in which they run.
//
// On the malta board two PCI devices that share an interrupt lose some, and
// stall: so there are two network cards in slots that do not, and the flash is
// the board's own disk.
func arches() []arch {
	malta := arch{console: "ttyS0", orders: "ttyS1", flash: "sda", slots: []string{"0x12", "0x14"}}
	virt := arch{console: "ttyAMA0", orders: "vport*p1", flash: "vda", memory: 256}

	amd64 := arch{name: "x86_64", is: "Debian's kernel, nft", target: "amd64", label: "x86_64",
		qemu: "qemu-system-x86_64", board: []string{"-M", "q35", "-cpu", "Nehalem"}, memory: 256,
		console: "ttyS0", orders: "ttyS1", flash: "vda", debian: "amd64", image: "linux-image-amd64", nft: true}

	// nft's sources are in no package, and Debian 12 has no big-endian MIPS.
	mips := malta
	mips.name, mips.is, mips.target, mips.label = "mips", "own kernel, big-endian, iptables", "mips", "mips_24kc"
	mips.qemu, mips.board, mips.memory = "qemu-system-mips", []string{"-M", "malta", "-cpu", "24Kc"}, 64
	mips.tuple = "mips-linux-gnu"

	mipsel := malta
	mipsel.name, mipsel.is, mipsel.target, mipsel.label = "mipsel", "Debian's kernel, nft", "mipsle", "mipsel_24kc"
	mipsel.qemu, mipsel.board, mipsel.memory = "qemu-system-mipsel", []string{"-M", "malta", "-cpu", "24Kf"}, 128
	mipsel.debian, mipsel.image, mipsel.nft = "mipsel", "linux-image-4kc-malta", true

	arm64 := virt
	arm64.name, arm64.is, arm64.target, arm64.label = "arm64", "Debian's kernel, nft", "arm64", "aarch64_cortex-a53"
	arm64.qemu, arm64.board = "qemu-system-aarch64", []string{"-M", "virt,gic-version=3", "-cpu", "cortex-a53"}
	arm64.debian, arm64.image, arm64.nft = "arm64", "linux-image-arm64", true

	armv7 := virt
	armv7.name, armv7.is, armv7.target, armv7.label = "armv7", "Debian's kernel, nft", "arm7", "arm_cortex-a15_neon-vfpv4"
	armv7.qemu, armv7.board = "qemu-system-arm", []string{"-M", "virt,highmem=off", "-cpu", "cortex-a15"}
	armv7.debian, armv7.image, armv7.nft = "armhf", "linux-image-armmp", true

	return []arch{amd64, mips, mipsel, arm64, armv7}
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

// flashArgs plugs the flash in: as a disk of virtio, or as the board's own.
func (a arch) flashArgs(file string) []string {
	if a.flash == "sda" {
		return []string{"-drive", "file=" + file + ",format=raw,if=ide"}
	}
	return []string{"-drive", "file=" + file + ",format=raw,if=none,id=flash", "-device", "virtio-blk-pci,drive=flash"}
}
