'use strict';
'require view';
'require dom';
'require poll';
'require lanseal.api as api';

const mostShown = 1000;

function kind(k) {
	switch (k) {
	case 'state':
		return _('state');

	case 'healed':
		return _('repair');

	case 'uplink':
		return _('uplink');

	case 'error':
		return _('error');
	}

	return k || '–';
}

return view.extend({
	load: function() {
		return Promise.all([ api.status(), api.events('') ]);
	},

	render: function(data) {
		const head = E('div', {}, [ api.headline(data[0]) ]), list = E('div');

		this.entries = [];
		this.show(list, data[1]);

		// Only what is new is asked for; a new agent's history starts afresh.
		poll.add(L.bind(function() {
			const newest = this.entries.length ? this.entries[this.entries.length - 1].time : '';

			return Promise.all([ api.status(), api.events(newest) ]).then(L.bind(function(data) {
				dom.content(head, [ api.headline(data[0]) ]);
				this.show(list, data[1]);
			}, this));
		}, this), 5);

		return E('div', { 'class': 'cbi-map' }, [
			E('h2', {}, [ _('Log') ]),
			E('div', { 'class': 'cbi-map-descr' }, [ _('Changes of state, dropouts and repairs, the newest first.') ]),
			head,
			E('div', { 'class': 'cbi-section' }, [ list ])
		]);
	},

	show: function(list, answer) {
		if (answer.error) {
			if (this.entries.length == 0)
				dom.content(list, [ E('em', {}, [ answer.error ]) ]);

			return;
		}

		this.entries = this.entries.concat(answer.events || []).slice(-mostShown);

		dom.content(list, [
			api.table([ _('Time'), _('Kind'), _('Exit'), _('What happened') ],
				this.entries.map(function(e) {
					return [ api.time(e.time), kind(e.kind), e.exit || '–', e.text || '–' ];
				}).reverse(),
				_('Nothing has happened yet.'))
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
