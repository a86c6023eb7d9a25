#!/bin/sh
# prometheus.sh DIR: unpacks Debian's prometheus and promtool into DIR. The
# package is not installed, because that would start a service.
set -eu

dir=$1
[ -x "$dir/usr/bin/prometheus" ] && [ -x "$dir/usr/bin/promtool" ] && exit 0
echo "== unpacking prometheus"
mkdir -p "$dir"
cd "$dir"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get -q update && apt-get -q -o APT::Sandbox::User=root download prometheus && dpkg -x prometheus_*.deb . && rm -f prometheus_*.deb; } >"$log" 2>&1; then
	cat "$log" >&2
	echo "unpacking prometheus failed" >&2
	exit 1
fi
