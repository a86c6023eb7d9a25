UCI knows one section per name; two sections of main are read as libuci merges them.

-- lanseal --
config lanseal 'main'
	option enabled '1'
	option killswitch '0'
config lanseal 'main'
	option enabled '0'
config lanseal
config tunnel 'tv'
	option type 'device'
	option device 'wg0'
config device 'tv'
	list ip '192.168.1.50'
config exception 'main'
	list dest '192.0.2.1'
-- want --
errors:
	DIR/lanseal:4: lanseal 'main': the name is taken by lanseal 'main' on line 1; UCI knows one section per name, whatever its type
	DIR/lanseal:6: lanseal (without a name): the section of this type is config lanseal 'main'
	DIR/lanseal:10: device 'tv': the name is taken by tunnel 'tv' on line 7; UCI knows one section per name, whatever its type
	DIR/lanseal:12: exception 'main': the name is taken by lanseal 'main' on line 1; UCI knows one section per name, whatever its type
enabled false, kill switch false, firewall auto, log INFO, web true on the LAN
lan [lan] [], wan [] [], via [tv]
dns tunnel [], bootstrap [9.9.9.9 149.112.112.112 2620:fe::fe], block ipv6 false dot true doh false, router direct false
exit 1 tv "tv" device enabled true, device wg0 foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
