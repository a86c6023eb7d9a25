'use strict';
'require view';
'require dom';
'require form';
'require poll';
'require ui';
'require uci';
'require lanseal.api as api';
'require lanseal.fields as fields';

// known is who is on the LAN: what the agent sees, with the names of leases;
// without an agent, the leases and neighbours alone.
function known(answer, hints) {
	const seen = {};

	Object.keys(hints || {}).forEach(function(mac) {
		const h = hints[mac];

		seen[mac.toLowerCase()] = {
			mac: mac.toLowerCase(),
			name: h.name || '',
			ips: L.toArray(h.ipaddrs || h.ipv4)
		};
	});

	(answer.devices || []).forEach(function(d) {
		const mac = String(d.mac || '').toLowerCase(), old = seen[mac] || { mac: mac, name: '', ips: [] };

		seen[mac || d.name] = {
			mac: mac,
			name: d.label || d.name || d.hostname || old.name,
			ips: L.toArray(d.ips).length ? L.toArray(d.ips) : old.ips,
			exit: d.exit
		};
	});

	return Object.keys(seen).sort().map(function(key) { return seen[key]; });
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
		const s = m.section(fields.Grid, 'device', _('Rules for single devices'));
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

		const head = E('div', {}, [ api.headline(data[0]) ]), live = E('div', {}, this.renderLive(s, data[1], data[2]));

		poll.add(L.bind(function() {
			return Promise.all([ api.status(), api.devices(), api.hints() ]).then(L.bind(function(data) {
				dom.content(head, [ api.headline(data[0]) ]);
				dom.content(live, this.renderLive(s, data[1], data[2]));
			}, this));
		}, this), 5);

		return m.render().then(function(nodes) {
			return E('div', {}, [ head, nodes, E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ _('On the LAN now') ]), live ]) ]);
		});
	},

	// list shows a list in a cell of the table, one value a line.
	list: function(option) {
		return function(section_id) {
			const values = L.toArray(uci.get('lanseal', section_id, option));

			return values.length ? E('div', {}, values.map(function(v) { return E('div', {}, [ v ]); })) : [ '–' ];
		};
	},

	offerHosts: function(o, hints) {
		known({}, hints).forEach(function(d) {
			const who = d.name || d.ips[0];

			o.value(d.mac, who ? '%s (%s)'.format(d.mac, who) : d.mac);
		});
	},

	renderLive: function(s, answer, hints) {
		return [
			api.table([ _('Name'), _('MAC address'), _('IP address'), _('Goes by'), '' ],
				known(answer, hints).map(L.bind(function(d) {
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
		s.preset = { label: device.name || device.mac, mac: [ device.mac ] };

		return s.handleAdd(ev, fields.freeName(device.name || 'device'));
	}
});
