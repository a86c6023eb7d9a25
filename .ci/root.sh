#!/bin/sh
# root.sh TARGET WHY [INSTEAD]: one line for those who are not root.
[ "$(id -u)" = 0 ] && exit 0
echo "$1 needs root for $2: run sudo $1${3:+, or $3}" >&2
exit 1
