// Package openwrt is tests of what OpenWrt gets: the files below files, which
// every package lays 1:1 on a router's root, and the Makefile that builds the
// package in OpenWrt's packages feed.
//
// The tests run the scripts where they will live: a root directory with busybox,
// nft, iptables and stand-ins (testdata/root) for OpenWrt's base scripts, procd
// and uci, in namespaces of its own. Packages made by cross are installed there
// by tar and by the rules of opkg and apk, upgraded and removed, with the real
// agent running. Whatever a test says of a file, it says of its place on a
// router: /etc/init.d/lanseal-guard.
package openwrt
