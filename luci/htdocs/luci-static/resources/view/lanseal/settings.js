'use strict';
'require view';
'require dom';
'require form';
'require poll';
'require uci';
'require lanseal.api as api';
'require lanseal.fields as fields';

return view.extend({
	load: function() {
		return Promise.all([ api.status(), uci.load('lanseal') ]);
	},

	render: function(data) {
		const m = new form.Map('lanseal', _('Settings'));
		const s = m.section(form.NamedSection, 'main', 'lanseal');
		let o;

		s.tab('general', _('General'));
		s.tab('dns', _('DNS'));
		s.tab('networks', _('Networks'));
		s.tab('advanced', _('Advanced'));

		o = s.taboption('general', form.Flag, 'enabled', _('Enabled'),
			_('Off: lanseal changes nothing, and the LAN uses the WAN with your real address.'));
		o.default = '1';
		o.rmempty = false;

		o = s.taboption('general', form.Flag, 'killswitch', _('Kill switch'),
			_('On: the LAN reaches the internet through a tunnel or not at all: before boot completes, after a crash, after a stop. Off: without a working exit, devices use the WAN with your real address. The router stays reachable from the LAN either way.'));
		o.default = '1';
		o.rmempty = false;

		o = s.taboption('general', fields.Choice, 'ipv6', _('IPv6'), _('Refused at once where no tunnel carries it, so that clients fall back to IPv4.'));
		o.value('auto', _('through the tunnel'));
		o.value('block', _('always refused'));
		o.default = 'auto';

		o = s.taboption('general', fields.Choice, 'router_traffic', _('The router’s own traffic'),
			_('Updates, time and names that the router itself asks for.'));
		o.value('tunnel', _('through the tunnel'));
		o.value('wan', _('by the WAN'));
		o.default = 'tunnel';

		o = s.taboption('dns', fields.Choice, 'dns', _('DNS'), _('Who answers the LAN’s questions on port 53, whoever they are addressed to; always through the tunnel.'));
		o.value('tunnel', _('the tunnel’s resolvers'));
		o.value('custom', _('the resolvers below'));
		o.value('off', _('not touched'));
		o.default = 'tunnel';

		o = s.taboption('dns', form.DynamicList, 'resolver', _('Resolvers'));
		o.datatype = 'ipaddr("nomask")';
		o.rmempty = false;
		o.depends('dns', 'custom');

		o = s.taboption('dns', form.Flag, 'block_dot', _('Refuse DNS over TLS and QUIC'), _('Port 853 to the outside, so that clients fall back to port 53.'));
		o.default = '1';

		o = s.taboption('dns', form.Flag, 'block_doh', _('Refuse DNS over HTTPS'), _('Well-known resolvers, by address.'));

		o = s.taboption('dns', form.DynamicList, 'bootstrap', _('Bootstrap resolvers'),
			_('Asked outside the tunnel, by the agent alone, for the names of VPN servers alone.'));
		o.datatype = 'ipaddr("nomask")';
		o.placeholder = '9.9.9.9';

		o = s.taboption('networks', form.DynamicList, 'lan_network', _('Networks to protect'), _('As in Network » Interfaces. Empty: lan.'));
		o.validate = fields.network;
		o.placeholder = 'lan';

		o = s.taboption('networks', form.DynamicList, 'lan_device', _('Devices to protect'), _('Kernel devices, besides the networks above, like br-lan.'));
		o.validate = fields.device;

		o = s.taboption('networks', form.DynamicList, 'wan_network', _('Uplinks'), _('Empty: every network that holds a default route.'));
		o.validate = fields.network;

		o = s.taboption('networks', form.DynamicList, 'wan_device', _('Uplink devices'), _('Kernel devices, besides the networks above.'));
		o.validate = fields.device;

		o = s.taboption('advanced', fields.Choice, 'firewall', _('Firewall'));
		o.value('auto', _('automatic'));
		o.value('nft', 'nftables');
		o.value('iptables', 'iptables');
		o.default = 'auto';

		o = s.taboption('advanced', form.Flag, 'webui', _('Web page'), _('The agent’s own page, beside LuCI.'));
		o.default = '1';

		o = s.taboption('advanced', form.Value, 'webui_listen', _('Address of the web page'), _('Empty: the LAN’s addresses, port 8053.'));
		o.validate = fields.listen;
		o.depends('webui', '1');

		o = s.taboption('advanced', fields.Choice, 'log_level', _('Log level'));
		[ 'debug', 'info', 'warn', 'error' ].forEach(function(level) { o.value(level); });
		o.default = 'info';

		const head = E('div', {}, [ api.headline(data[0]) ]);

		poll.add(function() {
			return api.status().then(function(st) { dom.content(head, [ api.headline(st) ]); });
		}, 5);

		return m.render().then(function(nodes) { return E('div', {}, [ head, nodes ]); });
	}
});
