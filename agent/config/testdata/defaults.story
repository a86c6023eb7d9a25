A main section alone, with one tunnel, has the contract's defaults: on, kill switch, network 'lan', every enabled tunnel.

-- lanseal --
config lanseal 'main'

config tunnel 'se'
	option file 'se.conf'
-- se.conf --
[Interface]
PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
Address = 10.64.0.2
[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 0.0.0.0/0
Endpoint = 192.0.2.10:51820
-- want --
enabled true, kill switch true, firewall auto, log INFO, web true on the LAN
lan [lan] [], wan [] [], via [se]
dns tunnel [], bootstrap [9.9.9.9 149.112.112.112 2620:fe::fe], block ipv6 false dot true doh false, router direct false
exit 1 se "se" wireguard enabled true, device ls-se foreign false mtu 1420
	addresses [10.64.0.2/32] allowed [0.0.0.0/0] resolvers []
	peer xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg= psk false endpoint 192.0.2.10:51820 keepalive 0
