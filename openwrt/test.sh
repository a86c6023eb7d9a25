#!/bin/sh
# test.sh PACKAGE VERSION: run by the CI of the packages feed in a container that
# has the package installed, without network, procd or nft's half of the kernel.
# "lanseal --version" prints the version, so there is no test-version.sh.
set -e

[ "$1" = lanseal ] || exit 0

lanseal version | grep -F "$2"

# The configuration as installed is valid and switched off.
lanseal check
lanseal plan | grep -F "lanseal is disabled"

# A provider's file becomes an exit, and its key stays out of the configuration.
# The key is the SHA-256 of nothing.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf '%s\n' "config lanseal 'main'" "	option enabled '1'" "	list lan_device 'br-lan'" > "$dir/lanseal"
lanseal -c "$dir/lanseal" --persist "$dir" import --name se - << EOF
[Interface]
PrivateKey = 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
Address = 10.64.0.2/32
DNS = 10.64.0.1
[Peer]
PublicKey = 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
Endpoint = 192.0.2.10:51820
AllowedIPs = 0.0.0.0/0
EOF
lanseal -c "$dir/lanseal" check
[ "$(grep -c 47DEQ "$dir/lanseal")" = 0 ]

for script in /etc/init.d/lanseal /etc/init.d/lanseal-guard /etc/hotplug.d/ntp/30-lanseal /etc/lanseal/unseal.sh; do
	sh -n "$script"
	[ -x "$script" ]
done
[ "$(readlink /usr/libexec/rpcd/luci.lanseal)" = /usr/sbin/lanseal ]
