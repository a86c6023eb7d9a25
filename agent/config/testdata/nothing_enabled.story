Without an enabled tunnel the default way out is none.

-- lanseal --
config lanseal 'main'
	list lan_device br-lan
config tunnel 'off'
	option enabled 0
	option file 'missing.conf'
-- want --
warnings:
	DIR/lanseal:5: tunnel 'off': option 'file': there is no file "DIR/missing.conf"; put the provider's file there, or use lanseal import
enabled true, kill switch true, firewall auto, log INFO, web true on the LAN
lan [] [br-lan], wan [] [], via [block]
dns tunnel [], bootstrap [9.9.9.9 149.112.112.112 2620:fe::fe], block ipv6 false dot true doh false, router direct false
exit 1 off "off" wireguard enabled false, device ls-off foreign false mtu 1420
	addresses [] allowed [] resolvers []
