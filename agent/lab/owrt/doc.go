// Package owrt stands in for OpenWrt's own programs in tests: uci, ubus and
// init scripts, which work on real files below one root. It reuses nothing of
// the product, so that the two cannot be wrong in the same way.
//
// uci is as strict and as loose as the real one where it matters: anonymous
// sections get libuci's own names, a commit writes the file anew without its
// comments, and what is staged below tmp/.uci is taken along with everything
// that is loaded or committed under that name.
//
// netifd is a state file, run/netifd.json, that "network reload" brings in
// step with the configuration; with LANSEAL_STANDIN_NET=1 it also lays the
// configured ip rules. The init script of dnsmasq runs the real dnsmasq.
package owrt
