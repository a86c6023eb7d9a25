#!/bin/sh
# unseal.sh: opens the LAN when lanseal itself is gone or broken, for example
# after a sysupgrade to an image without it. It needs sh, the router's own
# ip, nft or iptables, and uci if it is there. It removes lanseal's tables,
# chains, rules and tunnels, puts back the files below /etc/config that lanseal
# changed, and sets enabled '0'. Running it twice does no harm.
#
# Where lanseal works, "lanseal unseal" is better: it also undoes its changes in
# a file that somebody has changed since.
set -u
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin

config=/etc/config/lanseal
sysctls=/var/lib/lanseal/sysctls.json
record=/etc/lanseal/openwrt.json

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
		[ "$tries" -ge 2 ] && signal=KILL
		# shellcheck disable=SC2086 # a list of numbers
		kill -s "$signal" $pids 2> /dev/null
		tries=$((tries + 1))
		[ "$tries" -gt 5 ] && return 0
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

# decode: base64, which busybox on OpenWrt has no program for. Its awk may know
# no powers.
decode() {
	awk '
		BEGIN {
			for (i = 0; i < 64; i++) value[substr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", i + 1, 1)] = i
			power[0] = 1
			power[2] = 4
			power[4] = 16
		}
		{
			for (i = 1; i <= length($0) && substr($0, i, 1) != "="; i++) {
				bits = bits * 64 + value[substr($0, i, 1)]
				have += 6
				if (have < 8) continue
				have -= 8
				printf "%c", int(bits / power[have])
				bits = bits % power[have]
			}
		}
	'
}

# restore_files: the record has the files as lanseal found them, and hashes of
# them as it left them: {"files":{"dhcp":{"found":"…","left":["…"], …}}, …}
restore_files() {
	[ -f "$record" ] || return 0
	sed 's/"\([a-z0-9_-]*\)":{"found":"\([A-Za-z0-9+\/=]*\)","left":\["\([^]]*\)"\]/\n@ \1 \2 \3\n/g' "$record" |
		sed -n 's/^@ //p' | while read -r package found left; do
		now=$(sha256sum "/etc/config/$package")
		case $left in
		*"${now%% *}"*)
			echo "$found" | decode > "/tmp/unseal.$$" && cat "/tmp/unseal.$$" > "/etc/config/$package" && echo "$package" >> /tmp/unseal.changed
			rm -f "/tmp/unseal.$$"
			;;
		*) echo "unseal.sh: /etc/config/$package has changed since; look through it for what is lanseal's" >&2 ;;
		esac
	done
	# The comma ends the last name's line: the record itself ends without one,
	# and read passes over a line without an end.
	sed -n 's/.*"made":\[\([^]]*\)\].*/\1,/p' "$record" | tr ',' '\n' | sed -n 's/^"\(.*\/lanseal\.[^"]*\)"$/\1/p' |
		while read -r file; do
			rm -f "$file"
		done
	mv "$record" "$record.old"
}

# remove_uci PACKAGE: every section named lanseal_…, where there is no record.
remove_uci() {
	have uci || return 0
	sections=$(uci -q show "$1" | sed -n "s/^$1\.\(lanseal_[A-Za-z0-9_]*\)=.*/\1/p")
	[ -n "$sections" ] || return 0
	for section in $sections; do
		uci -q delete "$1.$section"
	done
	uci -q commit "$1"
	echo "$1" >> /tmp/unseal.changed
}

# reload_services: those whose files have changed.
reload_services() {
	[ -f /tmp/unseal.changed ] || return 0
	for package in network firewall dhcp; do
		grep -qx "$package" /tmp/unseal.changed || continue
		case $package in
		dhcp) services="dnsmasq odhcpd" ;;
		*) services=$package ;;
		esac
		for service in $services; do
			action=reload
			[ "$service" = dnsmasq ] && action=restart # it forgets a folder of its files only then
			[ -x "/etc/init.d/$service" ] && "/etc/init.d/$service" "$action"
		done
	done
	rm -f /tmp/unseal.changed
}

echo "unseal.sh: every device of the LAN will use the WAN with your real address"
switch_off
stop_agent
rm -f /etc/lanseal/guard.nft /tmp/unseal.changed
restore_files
remove_uci network
remove_uci firewall
reload_services
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
