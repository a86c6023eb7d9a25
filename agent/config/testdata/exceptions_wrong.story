An exception with anything wrong in it is none: half of it could open more than all of it.

-- lanseal --
config lanseal 'main'
config tunnel 'se'
	option type 'device'
	option device 'wg0'
config device 'tv'
	list ip '192.168.1.50'
config exception 'nodest'
	option label 'Nothing'
config exception 'badref'
	list device 'vt1'
	list dest '192.168.100.0/24'
config exception 'icmpports'
	list dest '192.168.100.0/24'
	option proto 'icmp'
	list port '80'
config exception 'anyports'
	list dest '192.168.100.0/24'
	list port '80'
config exception 'ports'
	list dest '192.168.100.0/24'
	option proto 'tcp'
	list port '0'
	list port '90-80'
	list port 'http'
config exception 'hostbits'
	list dest '192.168.100.5/24'
	list dest '192.168.100.0/33'
	list dest 'example.com'
config exception 'when'
	list dest '192.168.100.0/24'
	option until 'tomorrow'
config exception 'nozone'
	list dest '192.168.100.0/24'
	option until '2026-11-23T20:00'
config exception 'over'
	list dest '192.168.100.0/24'
	option until '2026-11-23T19:00:00Z'
config exception 'later'
	list dest '192.168.100.7'
	option until '2026-11-23T21:30+01:00'
config exception 'all'
	list dest '0.0.0.0/0'
-- want --
errors:
	DIR/lanseal:7: exception 'nodest': option 'dest': is missing: an exception says where to, at least one list dest '192.168.100.0/24'
	DIR/lanseal:10: exception 'badref': option 'device': no device named "vt1"; it needs a section config device 'NAME'
	DIR/lanseal:15: exception 'icmpports': option 'port': ports need option proto 'tcp' or 'udp'; it is 'icmp'
	DIR/lanseal:18: exception 'anyports': option 'port': ports need option proto 'tcp' or 'udp'; it is 'any'
	DIR/lanseal:22: exception 'ports': option 'port': "0" is no port or range from 1 to 65535, like '443' or '5000-5999'
	DIR/lanseal:23: exception 'ports': option 'port': "90-80" begins behind its end: '80-90' is right
	DIR/lanseal:24: exception 'ports': option 'port': "http" is no port or range from 1 to 65535, like '443' or '5000-5999'
	DIR/lanseal:26: exception 'hostbits': option 'dest': "192.168.100.5/24" has bits behind the prefix: write 192.168.100.0/24 for the network or 192.168.100.5 for the host
	DIR/lanseal:27: exception 'hostbits': option 'dest': "192.168.100.0/33": the prefix length is a number from 0 to 32
	DIR/lanseal:28: exception 'hostbits': option 'dest': "example.com" is no address or prefix, like 192.0.2.0/24 or 2001:db8::/32
	DIR/lanseal:31: exception 'when': option 'until': "tomorrow" is no time with a zone, like '2026-11-23T20:00Z' or '2026-11-23T21:00:00+01:00'
	DIR/lanseal:34: exception 'nozone': option 'until': "2026-11-23T20:00" is no time with a zone, like '2026-11-23T20:00Z' or '2026-11-23T21:00:00+01:00'
warnings:
	DIR/lanseal:42: exception 'all': option 'dest': 0.0.0.0/0 is the whole internet: what this exception names leaves outside every tunnel
enabled true, kill switch true, firewall auto, log INFO, web true on the LAN
lan [lan] [], wan [] [], via [se]
dns tunnel [], bootstrap [9.9.9.9 149.112.112.112 2620:fe::fe], block ipv6 false dot true doh false, router direct false
exit 1 se "se" device enabled true, device wg0 foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
device tv "tv" [] [192.168.1.50] via [se]
exception later devices [] to [192.168.100.7/32] any []
exception all devices [] to [0.0.0.0/0] any []
ended exception over 2026-11-23 19:00:00 +0000 UTC
next change 2026-11-23 21:30:00 +0100 +0100
