#!/bin/sh
# A stand-in for OpenWrt's base scripts, as far as packages and init scripts of
# lanseal meet them: what is run, in which order, with which variables.

# $1 is the name of a variable that holds words.
list_contains() {
	eval "set -- \"\$2\" \$$1"
	wanted=$1
	shift
	for word; do
		[ "$word" = "$wanted" ] && return 0
	done
	return 1
}

# The package is that of apk's $pkgname, or of opkg's script, name.postinst.
package_of() {
	[ -n "${pkgname:-}" ] || pkgname=$(basename "${1%.*}")
	info=/usr/lib/opkg/info/$pkgname
	files=$info.list
	[ -f "/lib/apk/packages/$pkgname.list" ] && files=/lib/apk/packages/$pkgname.list
	return 0
}

# listed FOLDER: the package's files below it.
listed() {
	grep "^$1" "$files"
}

add_group_and_user() { :; }

default_postinst() {
	package_of "$1"
	status=0
	for script in $(listed /etc/uci-defaults/); do
		# shellcheck disable=SC1090 # found at run time
		(. "$script") && rm -f "$script"
	done
	if [ -f "$info.postinst-pkg" ]; then
		# shellcheck disable=SC1090,SC1091
		(. "$info.postinst-pkg")
		status=$?
	fi
	for script in $(listed /etc/init.d/); do
		[ "${PKG_UPGRADE:-}" = 1 ] || "$script" enable
		"$script" start
	done
	return $status
}

default_prerm() {
	package_of "$1"
	status=0
	if [ -f "$info.prerm-pkg" ]; then
		# shellcheck disable=SC1090,SC1091
		(. "$info.prerm-pkg")
		status=$?
	fi
	for script in $(listed /etc/init.d/); do
		[ "${PKG_UPGRADE:-}" = 1 ] || "$script" disable
		"$script" stop
	done
	return $status
}
