Lines that are no UCI are named one by one, and do not hide what stands below them.

-- lanseal --
config lanseal 'main'
	option enabled '1
	option killswitch '0'
	optoin ipv6 'block'
	option label Living room
	list lan_device 'br-lan';
	option
	option log-level 'debug'
config tunnel 'my tunnel'
config
	option file 'x'
config tunnel 'se' # comment
	option type "device"
	option de'vice' w"g"\0
-- want --
errors:
	DIR/lanseal:2: lanseal 'main': the quote is not closed on this line
	DIR/lanseal:4: lanseal 'main': unknown command "optoin" (did you mean "option"?); a line begins with 'config', 'option', 'list' or '#'
	DIR/lanseal:5: lanseal 'main': too many words: put a value with spaces in quotes: option NAME 'VALUE'
	DIR/lanseal:6: lanseal 'main': a ';' outside quotes: put the value in quotes, and every option on its own line
	DIR/lanseal:7: lanseal 'main': 'option' needs a name: option NAME 'VALUE'
	DIR/lanseal:8: lanseal 'main': option name "log-level": only letters, digits and _ are allowed
	DIR/lanseal:9: tunnel 'my tunnel': section name "my tunnel": only letters, digits and _ are allowed
	DIR/lanseal:9: tunnel 'my tunnel': option 'file': type 'wireguard' needs the provider's file: option file '/etc/lanseal/tunnels/my_tunnel.conf'
	DIR/lanseal:10: config (without a name): 'config' needs a section type: config tunnel 'se'
enabled true, kill switch false, firewall auto, log INFO, web true on the LAN
lan [lan] [], wan [] [], via [se]
dns tunnel [], bootstrap [9.9.9.9 149.112.112.112 2620:fe::fe], block ipv6 false dot true doh false, router direct false
exit 2 se "se" device enabled true, device wg0 foreign true mtu 0
	addresses [] allowed [0.0.0.0/0 ::/0] resolvers []
