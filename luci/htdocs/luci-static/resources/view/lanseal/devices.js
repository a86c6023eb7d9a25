'use strict';
'require view';
'require dom';
'require form';
'require poll';
'require ui';
'require uci';
'require lanseal.api as api';
'require lanseal.fields as fields';

// hosts are the leases and neighbours that the router knows, on any network.
function hosts(hints) {
	return Object.keys(hints || {}).sort().map(function(mac) {
		const h = hints[mac];

		return { mac: mac.toLowerCase(), name: h.name || '', ips: L.toArray(h.ipaddrs || h.ipv4) };
	});
}

// present are the devices on the LAN as the agent sees them, with the names of
// leases.
function present(devices, hints) {
	const leases = {};

	hosts(hints).forEach(function(h) { leases[h.mac] = h; });

	return devices.map(function(d) {
		const mac = String(d.mac || '').toLowerCase(), lease = leases[mac] || { name: '', ips: [] };

		return {
			mac: mac,
			name: d.label || d.name || d.hostname || lease.name,
			ips: L.toArray(d.ips).length ? L.toArray(d.ips) : lease.ips,
			exit: d.exit
		};
	});
}

// way says where a device goes now, or which way it is to go.
function way(d) {
	switch (d.exit) {
	case 'direct':
		return _('by the WAN, on purpose');

	case 'block':
		return _('blocked');
	}

	return d.exit || _('as the LAN');
}

// rule finds the section of a device, if it has one.
function rule(device) {
	return uci.sections('lanseal', 'device').filter(function(s) {
		return L.toArray(s.mac).some(function(m) { return m.toLowerCase().replace(/-/g, ':') == device.mac; }) ||
			L.toArray(s.ip).some(function(ip) { return device.ips.indexOf(ip) >= 0; });
	})[0];
}

return view.extend({
	load: function() {
		return Promise.all([ api.status(), api.devices(), api.hints(), uci.load('lanseal') ]);
	},

	render: function(data) {
		const m = new form.Map('lanseal', _('Devices'),
			_('Which way each device goes. A device without a rule goes as the whole LAN does: by the exits in order of preference.'));
		const s = m.section(fields.Grid, 'device', _('Rules for single devices'),
			_('A rule has a short name, like tv. The list below makes one with a click.'));
		let o;

		s.addremove = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add rule');
		s.modaltitle = function(section_id) { return _('Device') + ' » ' + section_id; };

		o = s.option(form.Value, 'label', _('Label'));
		o.datatype = 'maxlength(128)';
		o.textvalue = function(section_id) { return [ uci.get('lanseal', section_id, 'label') || section_id ]; };

		o = s.option(form.DynamicList, 'mac', _('MAC address'), _('One device may have several: its cable and its radio.'));
		o.validate = fields.mac;
		o.textvalue = this.list('mac');
		this.offerHosts(o, data[2]);

		o = s.option(form.DynamicList, 'ip', _('IP address'),
			_('Prefer the MAC address: a device that is known by an IPv4 address alone is one without a rule when it speaks IPv6.'));
		o.datatype = 'ipaddr("nomask")';
		o.textvalue = this.list('ip');

		o = s.option(fields.ViaMenu, 'via', _('Goes by'));
		o.modalonly = false;
		o.editable = true;

		o = s.option(fields.ViaList, 'via', _('Goes by'),
			_('Exits in order of preference; the next is taken while the one before is down, and the device is blocked while all are. Empty: as the LAN.'));
		o.modalonly = true;

		return m.render().then(L.bind(function(nodes) {
			const head = E('div', {}, [ api.headline(data[0]) ]);
			const live = E('div', { 'class': 'cbi-section' }, this.renderLive(s, data[1], data[2]));

			poll.add(L.bind(function() {
				return Promise.all([ api.status(), api.devices(), api.hints() ]).then(L.bind(function(data) {
					dom.content(head, [ api.headline(data[0]) ]);
					dom.content(live, this.renderLive(s, data[1], data[2]));
				}, this));
			}, this), 5);

			return E('div', {}, [ head, nodes, live ]);
		}, this));
	},

	// list shows a list in a cell of the table, one value a line.
	list: function(option) {
		return function(section_id) {
			const values = L.toArray(uci.get('lanseal', section_id, option));

			return values.length ? E('div', {}, values.map(function(v) { return E('div', {}, [ v ]); })) : [ '–' ];
		};
	},

	offerHosts: function(o, hints) {
		hosts(hints).forEach(function(d) {
			const who = d.name || d.ips[0];

			o.value(d.mac, who ? '%s (%s)'.format(d.mac, who) : d.mac);
		});
	},

	renderLive: function(s, answer, hints) {
		const list = answer.devices ? present(answer.devices, hints) : hosts(hints);

		return [
			E('h3', {}, [ answer.devices ? _('On the LAN now') : _('Known to the router') ]),
			api.table([ _('Name'), _('MAC address'), _('IP address'), _('Goes by'), '' ],
				list.map(L.bind(function(d) {
					const r = rule(d);

					return [
						d.name || '–',
						d.mac || '–',
						d.ips.join(', ') || '–',
						d.exit || !r ? way(d) : L.toArray(r.via).join(' → ') || way(d),
						r ? '' : E('button', {
							'class': 'btn cbi-button cbi-button-add',
							'disabled': s.map.readonly || !d.mac || null,
							'click': ui.createHandlerFn(this, 'handleAssign', s, d)
						}, [ _('Add rule') ])
					];
				}, this)),
				_('Nobody is known to be on the LAN.'))
		];
	},

	handleAssign: function(s, device, ev) {
		s.preset = device.name ? { label: device.name, mac: [ device.mac ] } : { mac: [ device.mac ] };

		return s.handleAdd(ev, fields.freeName(device.name || 'device'));
	}
});
