An empty file is an error that says what to do, and the LAN is sealed.

-- lanseal --

-- want --
errors:
	DIR/lanseal: the file holds no section: it needs a section config lanseal 'main'
enabled true, kill switch true, firewall auto, log INFO, web true on the LAN
lan [lan] [], wan [] [], via [block]
dns tunnel [], bootstrap [9.9.9.9 149.112.112.112 2620:fe::fe], block ipv6 true dot true doh false, router direct false
