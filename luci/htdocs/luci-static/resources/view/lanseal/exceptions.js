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
		const m = new form.Map('lanseal', _('Exceptions'),
			_('Traffic that may leave by the WAN, on purpose and with your real address: a provider’s television, for example.'));
		const s = m.section(fields.Grid, 'exception');
		let o;

		s.addremove = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add exception');
		s.modaltitle = function(section_id) { return _('Exception') + ' » ' + section_id; };

		o = s.option(form.Value, 'label', _('Label'));
		o.datatype = 'maxlength(128)';
		o.textvalue = function(section_id) { return [ uci.get('lanseal', section_id, 'label') || section_id ]; };

		o = s.option(form.DynamicList, 'device', _('Devices'), _('Devices that have a rule. None: every device.'));
		uci.sections('lanseal', 'device').forEach(function(d) {
			o.value(d['.name'], d.label || d['.name']);
		});
		o.validate = function(section_id, value) {
			const known = !value || uci.sections('lanseal', 'device').some(function(d) { return d['.name'] == value; });

			return known || _('There is no device named %s.').format(value);
		};
		o.textvalue = this.list('device', _('every device'));

		o = s.option(form.DynamicList, 'dest', _('To'), _('At least one network, like 198.51.100.0/24.'));
		o.rmempty = false;
		o.datatype = 'or(cidr,ipaddr("nomask"))';
		o.textvalue = this.list('dest', '–');

		o = s.option(fields.Choice, 'proto', _('Protocol'));
		o.value('any', _('any'));
		o.value('tcp', 'TCP');
		o.value('udp', 'UDP');
		o.value('icmp', 'ICMP');
		o.default = 'any';
		o.textvalue = this.list('proto', _('any'));

		o = s.option(form.DynamicList, 'port', _('Ports'), _('Ports or ranges, like 443 or 5000-5999. None: all.'));
		o.validate = fields.port;
		o.depends('proto', 'tcp');
		o.depends('proto', 'udp');
		o.textvalue = this.list('port', _('all'));

		o = s.option(form.Value, 'until', _('Until'), _('When the exception ends by itself, with the zone: 2030-01-31T20:00Z. Empty: never.'));
		o.validate = fields.until;
		o.textvalue = this.list('until', _('no end'));

		const head = E('div', {}, [ api.headline(data[0]) ]);

		poll.add(function() {
			return api.status().then(function(st) { dom.content(head, [ api.headline(st) ]); });
		}, 5);

		return m.render().then(function(nodes) { return E('div', {}, [ head, nodes ]); });
	},

	list: function(option, none) {
		return function(section_id) {
			return [ L.toArray(uci.get('lanseal', section_id, option)).join(', ') || none ];
		};
	}
});
