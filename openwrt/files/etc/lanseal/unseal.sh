#!/bin/sh
# unseal.sh: opens the LAN when lanseal itself is gone or broken, for example
# after a sysupgrade to an image without it. It needs sh, the router's own
# ip, nft or iptables, and uci if it is there. It removes lanseal's tables,
# chains, rules and tunnels, and what it keeps in /etc/config/network and
# /etc/config/firewall, and sets enabled '0'. Running it twice does no harm.
#
# Where lanseal works, "lanseal unseal" is better: it puts back every value
# that it changed.
set -u
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin

config=/etc/config/lanseal
sysctls=/var/lib/lanseal/sysctls.json

have() {
	command -v "$1" > /dev/null
}

# switch_off: first of all, so that neither the next boot nor an agent that
# starts in between seals again.
switch_off() {
	[ -f "$config" ] || return 0
	have uci && uci -q set lanseal.main.enabled=0 && uci -q commit lanseal && return 0
	# Without uci, or where it cannot read the file: the line of section main.
	sed -i "/^[[:space:]]*config[[:space:]]\{1,\}.\{0,1\}lanseal/,/^[[:space:]]*config[[:space:]]/ s/^\([[:space:]]*option[[:space:]]\{1,\}.\{0,1\}enabled.\{0,1\}[[:space:]]\{1,\}\).*/\1'0'/" "$config"
}

# stop_agent: it would put back whatever is taken away, and procd would start it
# again. The tunnels that the kernel does not carry are processes of its name.
stop_agent() {
	[ -x /etc/init.d/lanseal ] && /etc/init.d/lanseal stop > /dev/null 2>&1
	have pidof || return 0
	tries=0
	while pids=$(pidof lanseal); do
		signal=TERM
		[ "$tries" -ge 5 ] && signal=KILL
		# shellcheck disable=SC2086 # a list of numbers
		kill -s "$signal" $pids 2> /dev/null
		tries=$((tries + 1))
		[ "$tries" -gt 8 ] && return 0
		sleep 1
	done
}

remove_nft() {
	have nft || return 0
	nft list tables | while read -r _ family table; do
		case $table in
		lanseal | lanseal_*) nft delete table "$family" "$table" ;;
		esac
	done
}

# remove_iptables: by "save" and "restore" alone, because asking iptables on nft
# for a table makes it.
remove_iptables() {
	for tool in iptables ip6tables; do
		have "$tool-save" || continue
		"$tool-save" | awk '
			/^\*/ { table = $0; cut = flush = drop = "" }
			/^:LANSEAL-/ { name = substr($1, 2); flush = flush "-F " name "\n"; drop = drop "-X " name "\n" }
			/^-A / && !/^-A LANSEAL-/ && / -[jg] LANSEAL-/ { sub(/^-A/, "-D"); cut = cut $0 "\n" }
			/^COMMIT/ { if (cut flush != "") printf "%s\n%s%s%sCOMMIT\n", table, cut, flush, drop }
		' > "/tmp/unseal.$$"
		[ -s "/tmp/unseal.$$" ] && "$tool-restore" -n < "/tmp/unseal.$$"
		rm -f "/tmp/unseal.$$"
	done
	have ipset || return 0
	ipset list -n 2> /dev/null | while read -r set; do
		case $set in
		lanseal-*) ipset destroy "$set" ;;
		esac
	done
}

# remove_routing: the busybox ip deletes rules by their priority, but knows no
# tables above 255. A table that no rule leads to is asked by nobody, and is
# gone with the next boot.
remove_routing() {
	for device in /sys/class/net/ls-*; do
		[ -e "$device" ] && ip link delete "${device##*/}"
	done
	for family in -4 -6; do
		priority=500
		while [ "$priority" -le 529 ]; do
			while ip "$family" rule del priority "$priority" 2> /dev/null; do :; done
			priority=$((priority + 1))
		done
		for table in $(ip "$family" route show table all 2> /dev/null | sed -n 's/.* table \(5[23][0-9][0-9]\) .*/\1/p' | sort -u); do
			[ "$table" -le 5321 ] && ip "$family" route flush table "$table"
		done
	done
}

# restore_sysctls: {"net/ipv4/conf/eth0/src_valid_mark":"0", …}
restore_sysctls() {
	[ -f "$sysctls" ] || return 0
	sed 's/[{,}]/\n/g' "$sysctls" | sed -n 's/^[[:space:]]*"\(net\/[^"]*\)":[[:space:]]*"\([^"]*\)"[[:space:]]*$/\1 \2/p' |
		while read -r path value; do
			[ -w "/proc/sys/$path" ] && echo "$value" > "/proc/sys/$path"
		done
	rm -f "$sysctls"
}

# remove_uci PACKAGE: every section named lanseal or lanseal_…
remove_uci() {
	have uci || return 0
	sections=$(uci -q show "$1" | sed -n "s/^$1\.\(lanseal[A-Za-z0-9_]*\)=.*/\1/p")
	[ -n "$sections" ] || return 0
	for section in $sections; do
		uci -q delete "$1.$section"
	done
	uci -q commit "$1"
	[ -x "/etc/init.d/$1" ] && "/etc/init.d/$1" reload
}

echo "unseal.sh: every device of the LAN will use the WAN with your real address"
switch_off
stop_agent
rm -f /etc/lanseal/guard.nft
remove_uci network
remove_uci firewall
remove_nft
remove_iptables
remove_routing
restore_sysctls
# Flows remember the way that they were to take. OpenWrt's kernels forget all
# of them at this; others refuse.
{ echo f > /proc/net/nf_conntrack; } 2> /dev/null

left=$(
	have nft && nft list tables | grep -w 'lanseal[a-z_]*'
	for family in -4 -6; do
		ip "$family" rule | grep '^5[0-2][0-9]:'
	done
)
if [ -n "$left" ]; then
	echo "unseal.sh: still there:" >&2
	echo "$left" >&2
	exit 1
fi
echo "unseal.sh: the LAN is open"
