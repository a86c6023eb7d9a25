'use strict';
'require baseclass';
'require rpc';

// The agent as LuCI sees it: calls of the ubus object luci.lanseal, which never
// fail but answer { error: … }, and the words for what it says.

function declare(method, params) {
	const call = rpc.declare({
		object: 'luci.lanseal',
		method: method,
		params: params,
		expect: { '': {} }
	});

	return function() {
		return call.apply(null, arguments).catch(function(e) {
			return { error: e.message || String(e) };
		});
	};
}

const callHints = rpc.declare({
	object: 'luci-rpc',
	method: 'getHostHints',
	expect: { '': {} }
});

// What each state means, and the class that LuCI's themes colour it with.
function words(state) {
	switch (state) {
	case 'protected':
		return [ 'success', _('Protected'), _('Every device reaches its exit.') ];

	case 'degraded':
		return [ 'warning', _('Degraded'), _('An exit is down. Its devices use their next one, or none.') ];

	case 'connecting':
		return [ 'warning', _('Connecting'), _('No exit is up yet. Nothing leaves the LAN.') ];

	case 'sealed':
		return [ 'warning', _('Sealed'), _('No exit is up. Nothing leaves the LAN.') ];

	case 'open':
		return [ 'danger', _('Open'), _('Devices use the WAN with your real address.') ];

	case 'up':
		return [ 'success', _('up') ];

	case 'down':
		return [ 'important', _('down') ];

	case 'disabled':
		return [ 'notice', _('disabled') ];
	}

	return [ 'warning', _('Unknown'), _('The state cannot be told. “lanseal verify” on the router can.') ];
}

return baseclass.extend({
	status: declare('status', []),
	devices: declare('devices', []),
	tunnels: declare('tunnels', []),
	verify: declare('verify', []),
	leaktest: declare('leaktest', []),
	leakreport: declare('leakreport', []),
	events: declare('events', [ 'since' ]),
	test: declare('test', [ 'name' ]),
	inspect: declare('inspect', [ 'name', 'content' ]),
	importTunnel: declare('import', [ 'name', 'content' ]),

	// hints answers who is known from leases and neighbours:
	// { MAC: { name, ipaddrs, ip6addrs } }.
	hints: function() {
		return callHints().catch(function() { return {}; });
	},

	// badge is a state in one coloured word.
	badge: function(state) {
		const w = words(state);

		return E('span', { 'class': 'label ' + (w[0] == 'danger' ? 'important' : w[0]) }, [ w[1] ]);
	},

	// headline says the state of the whole, and why, at the top of each page.
	headline: function(st) {
		const w = words(st.state), lines = [];
		let css = w[0], means = w[2];

		// Without an agent the locks can be seen in the kernel, the exits cannot.
		if (st.version == null && st.state == 'sealed')
			means = _('Nothing leaves the LAN beside the tunnels.');

		if (st.error && !st.state)
			return this.problem(st.error);

		[ st.reason, st.error ].forEach(function(why) {
			if (why)
				lines.push(E('p', {}, [ why ]));
		});

		if (st.killswitch === false && st.state != 'open') {
			css = 'warning';
			lines.push(E('p', {}, [ _('The kill switch is off: without a working exit, devices fall back to the WAN.') ]));
		}

		if (st.config && st.config.valid === false) {
			lines.push(E('p', {}, [ _('The configuration is not valid and not in force:') ]));
			lines.push(E('ul', {}, (st.config.errors || []).map(function(line) {
				return E('li', {}, [ line ]);
			})));
		}

		return E('div', { 'class': 'alert-message ' + css }, [
			E('h4', {}, [ w[1] ]),
			E('p', {}, [ means ])
		].concat(lines));
	},

	problem: function(text) {
		return E('div', { 'class': 'alert-message danger' }, [ E('p', {}, [ text ]) ]);
	},

	// verdict is the outcome of a check, with its details.
	verdict: function(css, title, lines) {
		return E('div', { 'class': 'alert-message ' + css }, [
			E('h4', {}, [ title ]),
			E('ul', {}, lines.filter(function(line) { return line != ''; }).map(function(line) { return E('li', {}, [ line ]); }))
		]);
	},

	// exit finds an exit in a status; {} if there is none.
	exit: function(st, name) {
		return (st.exits || []).filter(function(x) { return x.name == name; })[0] || {};
	},

	traffic: function(x) {
		if (x.rx_bytes == null)
			return '–';

		return '↓ %1024.1mB ↑ %1024.1mB'.format(x.rx_bytes, x.tx_bytes);
	},

	// time is a time of the agent's in the reader's own zone and form.
	time: function(text) {
		const t = new Date(text);

		return isNaN(t.getTime()) || t.getFullYear() < 2000 ? '–' : t.toLocaleString();
	},

	// ago is how long a time of the agent's is past by the reader's clock.
	ago: function(text) {
		const seconds = Math.round((Date.now() - new Date(text).getTime()) / 1000);

		return isNaN(seconds) ? '–' : _('%t ago').format(Math.max(seconds, 0));
	},

	// pairs is a table of names and what they stand for.
	pairs: function(rows) {
		return E('table', { 'class': 'table' }, rows.map(function(row) {
			return E('tr', { 'class': 'tr' }, [
				E('td', { 'class': 'td left', 'width': '33%' }, [ row[0] ]),
				E('td', { 'class': 'td left' }, [ row[1] ])
			]);
		}));
	},

	// table is one of LuCI's own tables; rows are arrays of texts and nodes.
	table: function(titles, rows, empty) {
		const table = E('table', { 'class': 'table cbi-section-table' }, [
			E('tr', { 'class': 'tr table-titles' }, titles.map(function(title) {
				return E('th', { 'class': 'th' }, [ title ]);
			}))
		]);

		rows.forEach(function(row) {
			table.appendChild(E('tr', { 'class': 'tr' }, row.map(function(cell, i) {
				return E('td', { 'class': 'td', 'data-title': titles[i] || null }, [ cell ]);
			})));
		});

		if (rows.length == 0)
			table.appendChild(E('tr', { 'class': 'tr placeholder' }, [
				E('td', { 'class': 'td' }, [ E('em', {}, [ empty ]) ])
			]));

		return table;
	}
});
