'use strict';
'require view';
'require dom';
'require poll';
'require ui';
'require lanseal.api as api';

function holds(lock) {
	return lock ? _('holds') : _('absent');
}

return view.extend({
	load: function() {
		return Promise.all([ api.status(), api.leakreport() ]);
	},

	render: function(data) {
		const live = E('div', {}, this.renderLive(data[0])), result = E('div', { 'style': 'margin:1em 0' });

		this.showLeaks(result, data[1]);

		poll.add(L.bind(function() {
			return Promise.all([ api.status(), this.leaking ? api.leakreport() : null ]).then(L.bind(function(data) {
				dom.content(live, this.renderLive(data[0]));

				if (data[1])
					this.showLeaks(result, data[1]);
			}, this));
		}, this), 5);

		return E('div', { 'class': 'cbi-map' }, [
			E('h2', {}, [ _('lanseal') ]),
			E('div', { 'class': 'cbi-map-descr' }, [
				_('Seals the LAN into a VPN tunnel: protected devices reach the internet through an exit, or not at all.')
			]),
			live,
			E('div', { 'class': 'cbi-section' }, [
				E('h3', {}, [ _('See the proof') ]),
				E('p', {}, [ _('“Verify” compares the kernel with the plan and looks for a way past it. The leak test tries to leak as a client would.') ]),
				E('div', {}, [
					E('button', {
						'class': 'btn cbi-button cbi-button-action',
						'click': ui.createHandlerFn(this, 'handleVerify', result)
					}, [ _('Verify') ]),
					' ',
					E('button', {
						'class': 'btn cbi-button cbi-button-action',
						'disabled': L.hasViewPermission() ? null : true,
						'click': ui.createHandlerFn(this, 'handleLeakTest', result)
					}, [ _('Leak test') ])
				]),
				result
			])
		]);
	},

	renderLive: function(st) {
		const locks = st.locks || {}, blocked = st.blocked || {};

		if (st.version == null)
			return [ api.headline(st) ];

		return [
			api.headline(st),
			E('div', { 'class': 'cbi-section' }, [
				E('h3', {}, [ _('Exits') ]),
				api.table(
					[ _('Exit'), _('State'), _('Server'), _('Handshake'), _('Round trip'), _('Traffic'), _('IPv6') ],
					(st.exits || []).map(function(x) {
						return [
							x.name,
							E('span', { 'title': x.reason || null }, [ api.badge(x.state) ]),
							x.endpoint || '–',
							x.handshake ? api.ago(x.handshake) : '–',
							x.rtt_ms > 0 ? _('%.1f ms').format(x.rtt_ms) : '–',
							api.traffic(x),
							x.ipv6 ? _('Yes') : _('No')
						];
					}),
					_('There is no tunnel yet.'))
			]),
			E('div', { 'class': 'cbi-section' }, [
				E('h3', {}, [ _('Seal') ]),
				api.pairs([
					[ _('Kill switch'), st.killswitch ? _('on') : _('off') ],
					[ _('Routing lock'), holds(locks.routing) ],
					[ _('Firewall lock'), '%s (%s)'.format(holds(locks.firewall), st.firewall || '–') ],
					[ _('Refused'), _('%d packets, %1024.1mB').format(blocked.packets || 0, blocked.bytes || 0) ],
					[ _('Repairs'), String(st.healed || 0) ],
					[ _('In this state since'), api.time(st.since) ],
					[ _('Version'), st.version ]
				])
			])
		];
	},

	handleVerify: function(result) {
		return api.verify().then(function(r) {
			if (r.error)
				return dom.content(result, [ api.problem(r.error) ]);

			dom.content(result, [ api.verdict(
				r.ok ? 'success' : 'danger',
				r.ok ? _('No way from the LAN to the WAN was found.') : _('%d findings').format((r.findings || []).length),
				(r.findings || []).map(function(f) { return '%s: %s'.format(f.where, f.what); }).concat(r.notes || []))
			]);
		});
	},

	handleLeakTest: function(result) {
		return api.leaktest().then(L.bind(function(r) {
			if (r.error)
				return dom.content(result, [ api.problem(r.error) ]);

			this.showLeaks(result, r);
		}, this));
	},

	// showLeaks shows the last leak test, which runs for a while.
	showLeaks: function(result, r) {
		this.leaking = r.state == 'running';

		if (this.leaking)
			dom.content(result, [ E('p', { 'class': 'spinning' }, [ _('The leak test is running …') ]) ]);
		else if (r.state == 'done' && r.verdict == 'none')
			dom.content(result, [ api.verdict('success', _('Nothing leaked.'), [ api.time(r.finished) ]) ]);
		else if (r.state == 'done' && r.verdict == 'leak')
			dom.content(result, [ api.verdict('danger', _('Something leaked.'), [ r.why || '', api.time(r.finished) ].concat(r.leaks || [])) ]);
		else if (r.state == 'done')
			dom.content(result, [ api.verdict('warning', _('The leak test could not run.'), [ r.why || '–' ]) ]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
