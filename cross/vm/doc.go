// Command vm boots real kernels in QEMU and runs the agent there as the router
// of a lab: a guest between the clients and the ISP of agent/lab, whose wire is
// watched from outside, through boot, faults, shutdown and reboot.
//
//	go run ./cross/vm kernels [-arch NAMES]  gets or builds kernels and userland
//	go run ./cross/vm run [-arch NAMES]      boots each and runs every scenario
//	go run ./cross/vm exec ARCH PROGRAM …    runs a program in a guest, as the
//	                                         runner of "go test -exec"
//
// It is a black box round the built agent: it knows the lab, QEMU, and what a
// person at the router's console could see.
//
// arch.go says what is emulated; debian.go and build.go fill the cache with
// kernels and programs; image.go packs a root file system of busybox and guest/
// (OpenWrt's start order, and the effects of its netifd, firewall and opkg), on
// which the guest lays its flash and installs lanseal's package; machine.go runs
// QEMU in the lab; scenario.go and rows.go say what must hold; exec.go is the
// runner.
//
// The emulation is in software: what is asserted is behaviour, never speed.
package main
