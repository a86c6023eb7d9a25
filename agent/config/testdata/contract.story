The example of the contract, word for word but for the paths, is valid and means what its comments say.

-- lanseal --
config lanseal 'main'
	option enabled '1'               # 0 (as installed): lanseal is off, changes nothing, the LAN is open
	option killswitch '1'            # 1: a protected LAN reaches the internet through a tunnel or not at all —
	                                 #    before boot completes, after a crash, after stop, during upgrade
	                                 # 0: without a working exit, devices fall back to the WAN (said everywhere)
	list   lan_network 'lan'         # OpenWrt logical networks to protect; empty on OpenWrt: 'lan'
	list   lan_device 'br-lan'       # or kernel device names (any Linux); both lists may be used
	list   wan_network 'wan'         # uplinks; empty: every network that holds a default route
	list   wan_device ''
	list   via 'se'                  # exits in order of preference for devices without an own rule;
	list   via 'no'                  #   empty: every enabled tunnel in file order;
	                                 #   'direct': only devices with a rule use a tunnel; 'block': only they get out
	option ipv6 'auto'               # auto: through the tunnel when it carries IPv6, otherwise blocked | block
	option dns 'tunnel'              # tunnel: the resolvers of the tunnel in use | custom: 'resolver' below | off
	list   resolver '10.64.0.1'      # always reached through the tunnel
	option block_dot '1'             # reject 853/tcp+udp to the outside, so clients fall back to 53
	option block_doh '0'             # reject well-known DoH resolvers by address, answer canary names
	option router_traffic 'tunnel'   # the router's own traffic: tunnel | wan
	list   bootstrap '9.9.9.9'       # asked outside the tunnel, by the agent alone, for endpoint names alone
	option firewall 'auto'           # auto | nft | iptables
	option webui '1'
	option webui_listen ''           # empty: the LAN addresses, port 8053; or ADDR:PORT
	option log_level 'info'

config tunnel 'se'                   # section name = exit name: [a-z][a-z0-9_]{0,11}
	option enabled '1'
	option label 'Sweden'
	option type 'wireguard'          # wireguard | openvpn | device
	option file 'se.conf'            # as the provider gives it: wg-quick or OpenVPN; mode 0600
	option device ''                 # type device: an interface somebody else brings up (l2tp, amneziawg, sing-box …)
	option mtu ''                    # empty: from the file, else computed

config tunnel 'no'
	option type 'device'
	option device 'l2tp-no'

config tunnel 'us'
	option enabled '0'
	option type 'openvpn'
	option file 'us.ovpn'

config device 'tv'
	option label 'Living-room TV'
	list   mac 'AA-BB-CC-DD-EE-FF'
	list   ip '192.168.1.50'
	list   via 'us'                  # exits in order | 'block' | 'direct' (leaves by the WAN, on purpose)

config exception 'iptv'              # traffic that may leave by the WAN, on purpose
	option label 'Provider IPTV'
	list   device 'tv'               # empty: every device
	list   dest '192.168.100.0/24'   # required: at least one prefix
	option proto 'udp'               # any | tcp | udp | icmp
	list   port '5000-5999'
	option until '2026-11-23T20:00Z' # optional end (captive portals)
-- se.conf --
[Interface]
# Device: Quick Fox
PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
Address = 10.64.0.2/32, fc00:bbbb:bbbb:bb01::2/128
DNS = 10.64.0.1

[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = 192.0.2.10:51820
-- want --
enabled true, kill switch true, firewall auto, log INFO, web true on the LAN
lan [lan] [br-lan], wan [wan] [], via [se no]
dns tunnel [], bootstrap [9.9.9.9], block ipv6 false dot true doh false, router direct false
exit 1 se "Sweden" wireguard enabled true, device ls-se foreign false mtu 1420
	addresses [10.64.0.2/32 fc00:bbbb:bbbb:bb01::2/128] allowed [0.0.0.0/0 ::/0] resolvers [10.64.0.1]
	peer xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg= psk false endpoint 192.0.2.10:51820 keepalive 0
exit 2 no "no" device enabled true, device l2tp-no foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
exit 3 us "us" openvpn enabled false, device ls-us foreign false mtu 0
	addresses [] allowed [] resolvers []
device tv "Living-room TV" [aa:bb:cc:dd:ee:ff] [192.168.1.50] via [us]
exception iptv devices [tv] to [192.168.100.0/24] udp [5000-5999]
next change 2026-11-23 20:00:00 +0000 UTC
