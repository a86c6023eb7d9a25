package config

import (
	"log/slog"
	"net/netip"
	"slices"

	"github.com/lanseal/lanseal/rules"
)

// main reads config lanseal 'main'.
func (l *loader) main(s *Section) {
	l.known(s, "enabled", "killswitch", "lan_network", "lan_device", "wan_network", "wan_device", "via",
		"ipv6", "dns", "resolver", "block_dot", "block_doh", "router_traffic", "bootstrap",
		"firewall", "webui", "webui_listen", "log_level")
	c, p := l.cfg, &l.cfg.Policy

	p.Enabled = l.boolean(s, "enabled", true, true)
	p.KillSwitch = l.boolean(s, "killswitch", true, true)
	p.LAN = l.kernelDevices(s, "lan_device")
	p.WAN = l.kernelDevices(s, "wan_device")
	c.LANNetworks = l.networks(s, "lan_network")
	c.WANNetworks = l.networks(s, "wan_network")
	if len(p.LAN) == 0 && len(c.LANNetworks) == 0 {
		c.LANNetworks = []string{"lan"}
	}
	p.Via = l.via(s, l.enabledExits())

	ipv6, ok := l.enum(s, "ipv6", "auto", "block")
	p.BlockIPv6 = ipv6 == "block" || !ok
	dns, _ := l.enum(s, "dns", string(rules.DNSTunnel), string(rules.DNSCustom), string(rules.DNSOff))
	p.DNS = rules.DNSMode(dns)
	resolvers := l.resolvers(s, "resolver")
	if p.DNS == rules.DNSCustom {
		p.Resolvers = resolvers
		if len(l.list(s, "resolver")) == 0 {
			l.fail(s, "dns", lineOf(s, "dns", dns), "'custom' needs at least one list resolver 'ADDRESS'")
		}
	}
	p.BlockDoT = l.boolean(s, "block_dot", true, true)
	p.BlockDoH = l.boolean(s, "block_doh", false, true)
	traffic, _ := l.enum(s, "router_traffic", "tunnel", "wan")
	p.RouterDirect = traffic == "wan"

	if b := l.resolvers(s, "bootstrap"); len(b) > 0 {
		c.Bootstrap = b
	}
	c.Firewall, _ = l.enum(s, "firewall", FirewallAuto, FirewallNFT, FirewallIPTables)
	c.WebUI = l.boolean(s, "webui", true, false)
	c.WebUIListen = l.listen(s)
	level, _ := l.enum(s, "log_level", "info", "debug", "warn", "error")
	c.LogLevel = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo,
		"warn": slog.LevelWarn, "error": slog.LevelError}[level]
}

// listen reads webui_listen.
func (l *loader) listen(s *Section) netip.AddrPort {
	it, ok, _ := l.scalar(s, "webui_listen")
	if !ok {
		return netip.AddrPort{}
	}
	at, err := netip.ParseAddrPort(it.text)
	if err != nil || at.Port() == 0 {
		l.fail(s, "webui_listen", it.line, "%s is not ADDR:PORT, like 192.168.1.1:8053 or [fd00::1]:8053", shown(it.text))
		return netip.AddrPort{}
	}
	return at
}

// enabledExits is every enabled tunnel in file order, or 'block' if there is
// none: with no way out named, there is none.
func (l *loader) enabledExits() []string {
	var via []string
	for _, e := range l.cfg.Policy.Exits {
		if e.Enabled {
			via = append(via, e.Name)
		}
	}
	if len(via) == 0 {
		return []string{rules.ViaBlock}
	}
	return via
}

// via reads exits in order of preference, or 'direct', or 'block'. If anything
// in it is wrong the answer is 'block': a list with one exit less could be
// another than the user wants.
func (l *loader) via(s *Section, def []string) []string {
	items := l.list(s, "via")
	if len(items) == 0 {
		if o := s.Option("via"); o != nil && slices.ContainsFunc(o.Values, func(v string) bool { return v != "" }) {
			return []string{rules.ViaBlock} // a value that list reported
		}
		return slices.Clone(def)
	}
	words := slices.Concat(l.exits, []string{rules.ViaDirect, rules.ViaBlock})
	var via []string
	wrong := false
	for _, it := range items {
		switch {
		case !slices.Contains(words, it.text):
			hint := didYouMean(it.text, words)
			if hint == "" {
				hint = "; there are " + quotedList(words)
			}
			l.fail(s, "via", it.line, "no exit named %s%s", shown(it.text), hint)
			wrong = true
		case slices.Contains(via, it.text):
			l.fail(s, "via", it.line, "%q is named twice", it.text)
			wrong = true
		default:
			via = append(via, it.text)
		}
	}
	for _, word := range []string{rules.ViaDirect, rules.ViaBlock} {
		if len(via) > 1 && slices.Contains(via, word) {
			l.fail(s, "via", lineOf(s, "via", word), "'%s' stands alone: remove it, or everything beside it", word)
			wrong = true
		}
	}
	if wrong {
		return []string{rules.ViaBlock}
	}
	return via
}
