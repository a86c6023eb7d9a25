Every wrong value of main is named in one go; enabled and killswitch are then taken for '1'.

-- lanseal --
package lansael
config lanseal 'main'
	option enabled 'maybe'
	option killswitch 'of'
	option killswich '0'
	option color 'red'
	list lan_device 'br-lan'
	list lan_device 'br-lan'
	list lan_device 'eth/0'
	list lan_device 'a-very-long-device'
	list lan_device 'ls-se'
	list wan_device 'br-lan'
	list wan_device 'br lan'
	list lan_network 'lan'
	list wan_network 'lan'
	list via 'moscw'
	list via 'block'
	option ipv6 'on'
	option dns 'custm'
	list resolver '127.0.0.1'
	list resolver '10.64.0.300'
	option block_dot '2'
	list router_traffic 'wan'
	list bootstrap 'dns.quad9.net'
	option firewall 'nftables'
	option webui_listen '8053'
	option log_level 'verbose'
config tunnel 'moscow'
	option type 'device'
	option device 'wg0'
-- want --
errors:
	DIR/lanseal:1: package 'lansael': this file is read as the package 'lanseal'
	DIR/lanseal:3: lanseal 'main': option 'enabled': "maybe" is neither '1' nor '0'
	DIR/lanseal:4: lanseal 'main': option 'killswitch': "of" is neither '1' nor '0'
	DIR/lanseal:5: lanseal 'main': option 'killswich': unknown option (did you mean "killswitch"?)
	DIR/lanseal:6: lanseal 'main': option 'color': unknown option; 'lanseal' sections have enabled, killswitch, lan_network, lan_device, wan_network, wan_device, via, ipv6, dns, resolver, block_dot, block_doh, router_traffic, bootstrap, firewall, webui, webui_listen, log_level
	DIR/lanseal:8: lanseal 'main': option 'lan_device': "br-lan" is named twice
	DIR/lanseal:9: lanseal 'main': option 'lan_device': "eth/0": a device name has only letters, digits, '.', '_' and '-'
	DIR/lanseal:10: lanseal 'main': option 'lan_device': "a-very-long-device": a device name has at most 15 characters
	DIR/lanseal:11: lanseal 'main': option 'lan_device': "ls-se": devices that begin with 'ls-' are lanseal's own
	DIR/lanseal:12: lanseal 'main': option 'wan_device': "br-lan" is also a lan_device; a device is protected or an uplink, not both
	DIR/lanseal:13: lanseal 'main': option 'wan_device': "br lan": a device name has only letters, digits, '.', '_' and '-'
	DIR/lanseal:15: lanseal 'main': option 'wan_network': "lan" is also a network to protect; a network is protected or an uplink, not both
	DIR/lanseal:16: lanseal 'main': option 'via': no exit named "moscw" (did you mean "moscow"?)
	DIR/lanseal:18: lanseal 'main': option 'ipv6': "on" is not one of 'auto' or 'block'
	DIR/lanseal:19: lanseal 'main': option 'dns': "custm" is not one of 'tunnel', 'custom' or 'off' (did you mean "custom"?)
	DIR/lanseal:20: lanseal 'main': option 'resolver': "127.0.0.1" is no address that a resolver elsewhere can have
	DIR/lanseal:21: lanseal 'main': option 'resolver': "10.64.0.300" is no address, like 9.9.9.9 or 2620:fe::fe
	DIR/lanseal:22: lanseal 'main': option 'block_dot': "2" is neither '1' nor '0'
	DIR/lanseal:23: lanseal 'main': option 'router_traffic': takes one value: write option router_traffic 'VALUE', not list
	DIR/lanseal:24: lanseal 'main': option 'bootstrap': "dns.quad9.net" is no address, like 9.9.9.9 or 2620:fe::fe
	DIR/lanseal:25: lanseal 'main': option 'firewall': "nftables" is not one of 'auto', 'nft' or 'iptables' (did you mean "nft"?)
	DIR/lanseal:26: lanseal 'main': option 'webui_listen': "8053" is not ADDR:PORT, like 192.168.1.1:8053 or [fd00::1]:8053
	DIR/lanseal:27: lanseal 'main': option 'log_level': "verbose" is not one of 'info', 'debug', 'warn' or 'error'
enabled true, kill switch true, firewall auto, log INFO, web true on the LAN
lan [lan] [br-lan], wan [] [], via [block]
dns tunnel [], bootstrap [9.9.9.9 149.112.112.112 2620:fe::fe], block ipv6 true dot true doh false, router direct false
exit 1 moscow "moscow" device enabled true, device wg0 foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
