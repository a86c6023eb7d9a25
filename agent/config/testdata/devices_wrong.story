A device whose rule cannot be understood is blocked, never sent out another way.

-- lanseal --
config lanseal 'main'
	list via 'direct'
config tunnel 'se'
	option type 'device'
	option device 'wg0'
config tunnel 'moscow'
	option type 'device'
	option device 'wg1'
	option enabled '0'
config device 'tv'
	list mac 'aa:bb:cc:dd:ee:ff'
	list ip '192.168.1.50'
	list via 'moscw'
config device 'phone'
	list mac 'AA:BB:CC:DD:EE:FF'
	list mac '01:00:5e:00:00:01'
	list mac 'aa:bb:cc:dd:ee'
	list ip '192.168.1.50'
	list ip '192.168.1.0/24'
	list ip 'fe80::1%br-lan'
	list via 'se'
	list via 'direct'
config device 'ghost'
	list via 'moscow'
config device 'plain'
	list ip '192.168.1.51'
config device 'words'
	list ip '192.168.1.52'
	option via 'moscow se'
config device 'se'
	list ip '192.168.1.53'
config device
	list ip '192.168.1.54'
-- want --
errors:
	DIR/lanseal:13: device 'tv': option 'via': no exit named "moscw" (did you mean "moscow"?)
	DIR/lanseal:15: device 'phone': option 'mac': "AA:BB:CC:DD:EE:FF" belongs to device 'tv' on line 10
	DIR/lanseal:16: device 'phone': option 'mac': "01:00:5e:00:00:01" is a group's MAC address; no device sends from it
	DIR/lanseal:17: device 'phone': option 'mac': "aa:bb:cc:dd:ee" is no MAC address, like aa:bb:cc:dd:ee:ff
	DIR/lanseal:18: device 'phone': option 'ip': "192.168.1.50" belongs to device 'tv' on line 10
	DIR/lanseal:19: device 'phone': option 'ip': "192.168.1.0/24" is a prefix; a device has single addresses, like 192.168.1.50
	DIR/lanseal:20: device 'phone': option 'ip': "fe80::1%br-lan" has a zone, which means nothing here
	DIR/lanseal:22: device 'phone': option 'via': 'direct' stands alone: remove it, or everything beside it
	DIR/lanseal:23: device 'ghost': option 'mac': the device needs a list mac 'aa:bb:cc:dd:ee:ff' or a list ip '192.168.1.50' to be known by
	DIR/lanseal:30: device 'se': the name is taken by tunnel 'se' on line 3; UCI knows one section per name, whatever its type
	DIR/lanseal:32: device (without a name): the section needs a name: config device 'tv'
enabled true, kill switch true, firewall auto, log INFO, web true on the LAN
lan [lan] [], wan [] [], via [direct]
dns tunnel [], bootstrap [9.9.9.9 149.112.112.112 2620:fe::fe], block ipv6 false dot true doh false, router direct false
exit 1 se "se" device enabled true, device wg0 foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
exit 2 moscow "moscow" device enabled false, device wg1 foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
device tv "tv" [aa:bb:cc:dd:ee:ff] [192.168.1.50] via [block]
device phone "phone" [] [] via [block]
device ghost "ghost" [] [] via [moscow]
device plain "plain" [] [192.168.1.51] via [direct]
device words "words" [] [192.168.1.52] via [moscow se]
