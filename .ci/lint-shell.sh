#!/bin/sh
# lint-shell.sh: shellcheck and shfmt over every shell file of the tree, which
# shfmt finds by name and by first line.
set -eu

files=$(shfmt -f .ci agent rules luci openwrt cross webui 2>/dev/null | grep -v node_modules || true)
[ -n "$files" ] || exit 0
# shellcheck disable=SC2086 # a list of names, none with blanks
shellcheck $files
# shellcheck disable=SC2086
shfmt -d $files
