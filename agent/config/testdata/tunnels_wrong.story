Wrong tunnels keep their number, so that mending one does not renumber the others.

-- lanseal --
config lanseal 'main'
	list lan_device 'br-lan'
	list wan_device 'wan'
config tunnel
	option file 'se.conf'
config tunnel 'SE'
	option file 'se.conf'
config tunnel 'stockholm_sweden'
	option file 'se.conf'
config tunnel 'my-exit'
	option file 'se.conf'
config tunnel 'direct'
	option file 'se.conf'
config tunnel 'a'
	option type 'wiregard'
config tunnel 'b'
	option type 'openvpn'
	option file '/etc/lanseal/tunnels/b.ovpn'
config tunnel 'c'
config tunnel 'd'
	option file 'missing.conf'
config tunnel 'e'
	option type 'device'
config tunnel 'f'
	option type 'device'
	option device 'wan'
config tunnel 'g'
	option type 'device'
	option device 'br-lan'
config tunnel 'h'
	option file 'se.conf'
	option mtu '90'
	option device 'wg0'
config tunnel 'h'
	option file 'se.conf'
config tunnel 'i'
	option file 'open.ovpn'
config tunnel 'j'
	option file 'broken.conf'
config tunel 'k'
config tunnel 'l'
	option file 'se.conf'
	option private_key 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk='
	option mtu '1400'
config tunnel 'm'
	option type 'device'
	option device 'wg1'
	option file 'se.conf'
config tunnel 'n'
	option type 'device'
	option device 'wg1'
-- se.conf 0644 --
[Interface]
PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
Address = 10.64.0.2
[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 0.0.0.0/0
Endpoint = 192.0.2.10:51820
-- open.ovpn --
client
dev tun
remote 192.0.2.1 1194
-- broken.conf --
[Interface]
PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBm=
Adress = 10.64.0.2/32
[Peer]
PublicKey =
-- want --
errors:
	DIR/lanseal:4: tunnel (without a name): the section needs a name: config tunnel 'se'
	DIR/lanseal:6: tunnel 'SE': a name is a small letter and then up to 11 small letters, digits or _ (like "se")
	DIR/lanseal:8: tunnel 'stockholm_sweden': a name is a small letter and then up to 11 small letters, digits or _ (like "stockholm_sw")
	DIR/lanseal:10: tunnel 'my-exit': section name "my-exit": only letters, digits and _ are allowed
	DIR/lanseal:12: tunnel 'direct': an exit cannot be named 'direct': the word has a meaning of its own in option 'via'
	DIR/lanseal:15: tunnel 'a': option 'type': "wiregard" is not one of 'wireguard', 'openvpn' or 'device' (did you mean "wireguard"?)
	DIR/lanseal:17: tunnel 'b': option 'type': type openvpn is not supported by this version; set option enabled '0', or import a WireGuard file
	DIR/lanseal:19: tunnel 'c': option 'file': type 'wireguard' needs the provider's file: option file '/etc/lanseal/tunnels/c.conf'
	DIR/lanseal:21: tunnel 'd': option 'file': there is no file "DIR/missing.conf"; put the provider's file there, or use lanseal import
	DIR/lanseal:22: tunnel 'e': option 'device': type 'device' needs the interface that somebody else brings up: option device 'l2tp-vpn'
	DIR/lanseal:26: tunnel 'f': option 'device': "wan" is a wan_device; traffic would leave outside any tunnel
	DIR/lanseal:29: tunnel 'g': option 'device': "br-lan" is a lan_device; a tunnel cannot be the LAN it carries
	DIR/lanseal:32: tunnel 'h': option 'mtu': "90" is not a whole number from 576 to 65535
	DIR/lanseal:34: tunnel 'h': the name is taken by tunnel 'h' on line 30; UCI knows one section per name, whatever its type
	DIR/lanseal:37: tunnel 'i': option 'file': "DIR/open.ovpn" is an OpenVPN file; type 'wireguard' needs a wg-quick file
	DIR/lanseal:40: tunel 'k': unknown section type (did you mean "tunnel"?); it is one of 'lanseal', 'tunnel', 'device' or 'exception'
	DIR/lanseal:43: tunnel 'l': option 'private_key': unknown option; 'tunnel' sections have enabled, label, type, file, device, mtu
	DIR/lanseal:51: tunnel 'n': option 'device': "wg1" is the device of tunnel 'm' already
	DIR/broken.conf:1: [Interface] Address: is missing; the tunnel needs an address of its own, like 10.64.0.2/32
	DIR/broken.conf:2: [Interface] PrivateKey: is no WireGuard key: 44 characters of base64, the last one '=', are right, not 43 characters
	DIR/broken.conf:3: [Interface] Adress: unknown key (did you mean "Address"?)
	DIR/broken.conf:5: [Peer] PublicKey: is empty; 44 characters of base64, the last one '=', are right
warnings:
	DIR/lanseal:5: tunnel (without a name): option 'file': "DIR/se.conf" has mode 0644: others on this machine may read the private key; chmod 600 DIR/se.conf
	DIR/lanseal:7: tunnel 'SE': option 'file': "DIR/se.conf" has mode 0644: others on this machine may read the private key; chmod 600 DIR/se.conf
	DIR/lanseal:9: tunnel 'stockholm_sweden': option 'file': "DIR/se.conf" has mode 0644: others on this machine may read the private key; chmod 600 DIR/se.conf
	DIR/lanseal:11: tunnel 'my-exit': option 'file': "DIR/se.conf" has mode 0644: others on this machine may read the private key; chmod 600 DIR/se.conf
	DIR/lanseal:13: tunnel 'direct': option 'file': "DIR/se.conf" has mode 0644: others on this machine may read the private key; chmod 600 DIR/se.conf
	DIR/lanseal:31: tunnel 'h': option 'file': "DIR/se.conf" has mode 0644: others on this machine may read the private key; chmod 600 DIR/se.conf
	DIR/lanseal:33: tunnel 'h': option 'device': is ignored: it is for type 'device'; this tunnel's device is ls-h
	DIR/broken.conf:4: [Peer] AllowedIPs: is missing: this peer carries nothing; 0.0.0.0/0, ::/0 is everything
	DIR/broken.conf:4: [Peer] Endpoint: is missing: this peer has to call first
	DIR/lanseal:42: tunnel 'l': option 'file': "DIR/se.conf" has mode 0644: others on this machine may read the private key; chmod 600 DIR/se.conf
	DIR/lanseal:48: tunnel 'm': option 'file': is ignored: type 'device' reads no file
	DIR/lanseal:42: tunnel 'l': option 'file': is the file of tunnel 'h' too: the server talks to the one that called last
enabled true, kill switch true, firewall auto, log INFO, web true on the LAN
lan [] [br-lan], wan [] [wan], via [f g h l m n]
dns tunnel [], bootstrap [9.9.9.9 149.112.112.112 2620:fe::fe], block ipv6 false dot true doh false, router direct false
exit 6 a "a" wireguard enabled false, device ls-a foreign false mtu 0
	addresses [] allowed [] resolvers []
exit 7 b "b" openvpn enabled false, device ls-b foreign false mtu 0
	addresses [] allowed [] resolvers []
exit 8 c "c" wireguard enabled false, device ls-c foreign false mtu 1420
	addresses [] allowed [] resolvers []
exit 9 d "d" wireguard enabled false, device ls-d foreign false mtu 1420
	addresses [] allowed [] resolvers []
exit 10 e "e" device enabled false, device ls-e foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
exit 11 f "f" device enabled false, device ls-f foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
exit 12 g "g" device enabled false, device ls-g foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
exit 13 h "h" wireguard enabled true, device ls-h foreign false mtu 1420
	addresses [10.64.0.2/32] allowed [0.0.0.0/0] resolvers []
	peer xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg= psk false endpoint 192.0.2.10:51820 keepalive 0
exit 14 i "i" wireguard enabled false, device ls-i foreign false mtu 1420
	addresses [] allowed [] resolvers []
exit 15 j "j" wireguard enabled false, device ls-j foreign false mtu 1420
	addresses [] allowed [] resolvers []
exit 16 l "l" wireguard enabled true, device ls-l foreign false mtu 1400
	addresses [10.64.0.2/32] allowed [0.0.0.0/0] resolvers []
	peer xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg= psk false endpoint 192.0.2.10:51820 keepalive 0
exit 17 m "m" device enabled true, device wg1 foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
exit 18 n "n" device enabled false, device ls-n foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
