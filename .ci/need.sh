#!/bin/sh
# need.sh TARGET COMMAND:PACKAGE[,PACKAGE]…: installs the Debian packages whose
# commands are missing, without what they recommend, so that nothing comes along
# that starts a service.
set -eu

target=$1
shift
PATH=$PATH:/usr/sbin:/sbin
missing=
for pair; do
	command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
missing=$(echo "$missing" | tr , ' ')
[ -n "${missing# }" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "$target needs$missing: apt-get install them, or run sudo $target" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "$target needs$missing: there is no apt-get here, install them by hand" >&2
	exit 1
fi

echo "== installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # a list of names
if ! { apt-get -q update && apt-get -qy install --no-install-recommends $missing; } >"$log" 2>&1; then
	cat "$log" >&2
	echo "$target: installing$missing failed" >&2
	exit 1
fi
