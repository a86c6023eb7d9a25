'use strict';
'require baseclass';
'require lanseal.api as api';

return baseclass.extend({
	title: _('VPN seal (lanseal)'),

	load: function() {
		return api.status();
	},

	render: function(st) {
		if (st == null || st.error && !st.state)
			return E('em', {}, [ st ? st.error : _('no answer') ]);

		const rows = [
			[ _('State'), E('span', {}, [ api.badge(st.state), ' ', st.error || st.reason || '' ]) ]
		];

		(st.exits || []).forEach(function(x) {
			rows.push([
				_('Exit %s').format(x.name),
				E('span', {}, [ api.badge(x.state), ' ', api.traffic(x) ])
			]);
		});

		if (st.blocked)
			rows.push([ _('Refused'), _('%d packets, %1024.1mB').format(st.blocked.packets || 0, st.blocked.bytes || 0) ]);

		return api.pairs(rows);
	}
});
