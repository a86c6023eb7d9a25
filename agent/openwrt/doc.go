// Package openwrt is the guest's manners on OpenWrt: what lanseal learns from
// the system's own services, what it changes in their configuration, and how
// it puts every byte back.
//
// A [Guest] is told a [Wish] and answers with a [Report]; everything between
// is one [Guest.Turn]:
//
//   - ubus says which kernel devices the logical networks have (networks.go);
//   - uci's export of network, dhcp and firewall is read into a [Config]
//     (uci.go), a private copy of each, so that what somebody has staged but
//     not committed is neither seen nor committed;
//   - what lanseal wants of them is a pure function of that and of the wish
//     (wants*.go);
//   - the difference is made by uci in the private copy, the record of what
//     was there before is written to flash, and the copy takes the file's
//     place in one step (apply.go, record.go);
//   - the services concerned are reloaded, and nothing else (guest.go).
//
// The record holds the whole file as it was found. While a file is as lanseal
// left it, undoing means putting these bytes back; if somebody has changed it
// since, lanseal's own options are undone one by one, where they still have
// the value that it gave them.
//
// dnsmasq's upstream is a file of its own in the instance's confdir, in RAM:
// it changes with the exit and costs no flash (dnsmasq.go). Clients forget the
// ISP's IPv6 prefix by router advertisements (advertise.go).
package openwrt
