'use strict';
'require view';
'require dom';
'require form';
'require poll';
'require ui';
'require uci';
'require lanseal.api as api';
'require lanseal.fields as fields';

const mostSent = 60000; // bytes: uhttpd takes 64 KiB, with all that is round it

return view.extend({
	load: function() {
		return Promise.all([ api.status(), api.tunnels(), uci.load('lanseal') ]);
	},

	render: function(data) {
		const m = new form.Map('lanseal', _('Tunnels'), _('Each tunnel is an exit. All that are enabled are kept up, so that a change of exit takes no time.'));
		const cells = {};
		let s, o;

		s = m.section(fields.Grid, 'tunnel', _('Exits'),
			_('Drag them into the order in which devices without a rule use them. A tunnel from a file is added below; by name, one whose file or device is on the router already.'));
		s.addremove = true;
		s.sortable = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add by name');
		s.modaltitle = function(section_id) { return _('Exit') + ' » ' + section_id; };

		o = s.option(form.Flag, 'enabled', _('Enabled'));
		o.default = '1';
		o.editable = true;

		o = s.option(form.Value, 'label', _('Label'));
		o.datatype = 'maxlength(128)';
		o.textvalue = function(section_id) { return [ uci.get('lanseal', section_id, 'label') || section_id ]; };

		o = s.option(fields.Choice, 'type', _('Type'));
		o.value('wireguard', 'WireGuard');
		o.value('openvpn', 'OpenVPN');
		o.value('device', _('device'));
		o.default = 'wireguard';
		o.textvalue = function(section_id) { return [ uci.get('lanseal', section_id, 'type') || 'wireguard' ]; };

		o = s.option(form.DummyValue, '_live', _('State'));
		o.modalonly = false;
		o.textvalue = L.bind(function(section_id) {
			cells[section_id] = E('span', {}, this.renderCell(data[0], section_id));

			return cells[section_id];
		}, this);

		o = s.option(form.Button, '_test', _('Sign of life'));
		o.modalonly = false;
		o.editable = true;
		o.inputtitle = _('Test');
		o.inputstyle = 'action';
		o.onclick = L.bind(function(ev, section_id) { return this.handleTest(section_id); }, this);

		o = s.option(form.Value, 'file', _('File'), _('The provider’s file on the router, with the keys: wg-quick or OpenVPN, mode 0600.'));
		o.modalonly = true;
		o.rmempty = false;
		o.datatype = 'file';
		o.depends('type', 'wireguard');
		o.depends('type', 'openvpn');

		o = s.option(form.Value, 'device', _('Device'), _('An interface that somebody else brings up, like l2tp-vpn.'));
		o.modalonly = true;
		o.rmempty = false;
		o.validate = fields.device;
		o.depends('type', 'device');

		o = s.option(form.Value, 'mtu', _('MTU'), _('Empty: from the file, else computed.'));
		o.modalonly = true;
		o.datatype = 'range(576,65535)';

		s = m.section(form.NamedSection, 'main', 'lanseal', _('Order of preference'));
		o = s.option(fields.ViaList, 'via', _('Devices without a rule go by'),
			_('Empty: every enabled tunnel, in the order of the table above. “direct”: only devices with a rule use a tunnel. “block”: only they get out.'));

		const head = E('div', {}, [ api.headline(data[0]) ]);

		poll.add(L.bind(function() {
			return api.status().then(L.bind(function(st) {
				data[0] = st;
				dom.content(head, [ api.headline(st) ]);
				Object.keys(cells).forEach(function(name) { dom.content(cells[name], this.renderCell(st, name)); }, this);
			}, this));
		}, this), 5);

		return m.render().then(L.bind(function(nodes) {
			return E('div', {}, [ head, this.renderWarnings(data[1]), nodes, m.readonly ? '' : this.renderImport(m) ]);
		}, this));
	},

	// renderWarnings is what the agent found strange in the tunnels' files.
	renderWarnings: function(answer) {
		const lines = [];

		(answer.tunnels || []).forEach(function(t) {
			(t.warnings || []).forEach(function(w) { lines.push('%s: %s'.format(t.name, w)); });
		});

		return lines.length ? api.verdict('warning', _('Worth a look'), lines) : '';
	},

	renderCell: function(st, name) {
		const x = api.exit(st, name);

		if (!x.state)
			return [ '–' ];

		return [
			api.badge(x.state), ' ', x.endpoint || '',
			E('br'), E('small', {}, [ api.traffic(x) ])
		];
	},

	handleTest: function(name) {
		return api.test(name).then(function(r) {
			const text = r.error || (r.answered ? _('%s answered after %.1f ms.').format(name, r.rtt_ms) : _('%s did not answer: %s').format(name, r.why || '–'));

			ui.addNotification(null, E('p', {}, [ text ]), r.answered ? 'info' : 'warning');
		});
	},

	// renderImport is where a provider's file goes in: dropped, pasted or chosen.
	renderImport: function(m) {
		const name = E('input', {
			'type': 'text', 'class': 'cbi-input-text', 'maxlength': '12', 'id': 'lanseal-import-name',
			'placeholder': _('made from the file’s name')
		});
		const text = E('textarea', {
			'class': 'cbi-input-textarea', 'rows': '8', 'style': 'width:100%; margin:.5em 0; font-family:monospace', 'spellcheck': 'false', 'autocomplete': 'off',
			'placeholder': _('Drop the provider’s file here, or paste it.'),
			'aria-label': _('Contents of the file'),
			'dragover': function(ev) { ev.preventDefault(); },
			'drop': L.bind(function(ev) {
				if (ev.dataTransfer.files.length == 0)
					return;

				ev.preventDefault();
				this.readFile(ev.dataTransfer.files[0]);
			}, this),
			'change': L.bind(function() { return this.look(); }, this)
		});
		const file = E('input', {
			'type': 'file', 'accept': '.conf,.ovpn,.txt', 'id': 'lanseal-import-file',
			'change': L.bind(function(ev) { this.readFile(ev.currentTarget.files[0]); }, this)
		});

		this.box = { name: name, text: text, file: file, found: E('div'), hint: '' };

		return E('div', { 'class': 'cbi-section' }, [
			E('h3', {}, [ _('Add a tunnel from a file') ]),
			E('p', {}, [ _('As the provider gives it: wg-quick or OpenVPN. The keys go into a file that only the router’s administrator can read, not into the configuration. The tunnel is added at once.') ]),
			E('div', { 'class': 'cbi-value' }, [
				E('label', { 'class': 'cbi-value-title', 'for': 'lanseal-import-file' }, [ _('File') ]),
				E('div', { 'class': 'cbi-value-field' }, [ file ])
			]),
			text,
			this.box.found,
			E('div', { 'class': 'cbi-value' }, [
				E('label', { 'class': 'cbi-value-title', 'for': 'lanseal-import-name' }, [ _('Name of the exit') ]),
				E('div', { 'class': 'cbi-value-field' }, [ name ])
			]),
			E('div', { 'class': 'right', 'style': 'margin-bottom:1em' }, [
				E('button', {
					'class': 'btn cbi-button cbi-button-add important',
					'click': ui.createHandlerFn(this, 'handleImport', m)
				}, [ _('Add tunnel') ])
			])
		]);
	},

	readFile: function(file) {
		if (!file)
			return;

		const reader = new FileReader();

		reader.onload = L.bind(function() {
			this.box.text.value = String(reader.result);
			this.box.hint = file.name;
			this.look();
		}, this);
		reader.onerror = L.bind(function() {
			dom.content(this.box.found, [ api.problem(_('The file cannot be read.')) ]);
		}, this);

		if (file.size > mostSent)
			dom.content(this.box.found, [ api.problem(_('The file is too large to be a tunnel’s.')) ]);
		else
			reader.readAsText(file);
	},

	// tooLarge measures as JSON does: ends of lines count twice.
	tooLarge: function(content) {
		return JSON.stringify(content).length > mostSent;
	},

	// look says what the agent makes of the file before it is added.
	look: function() {
		const content = this.box.text.value;

		if (content.trim() == '' || this.tooLarge(content)) {
			dom.content(this.box.found, content.trim() == '' ? [] : [ api.problem(_('The file is too large to be a tunnel’s.')) ]);

			return Promise.resolve();
		}

		return api.inspect(this.box.hint || 'tunnel', content).then(L.bind(function(r) {
			if (r.error)
				return dom.content(this.box.found, [ api.problem(r.error) ]);

			dom.content(this.box.found, [
				E('p', {}, [ _('This is a file for %s, server %s.').format(r.type, r.server || '–') ]),
				E('ul', {}, (r.warnings || []).map(function(w) { return E('li', {}, [ w ]); }))
			]);
		}, this));
	},

	handleImport: function(m) {
		const box = this.box, content = box.text.value, name = box.name.value.trim();
		const problem = name != '' ? fields.nameProblem(name) : null;

		if (problem || content.trim() == '' || this.tooLarge(content)) {
			dom.content(box.found, [ api.problem(problem || (content.trim() == '' ? _('There is no file yet.') : _('The file is too large to be a tunnel’s.'))) ]);

			return Promise.resolve();
		}

		// What was changed on the page and not saved is not lost.
		return m.save(null, true).then(function() {
			return api.importTunnel(name || box.hint || 'tunnel', content);
		}).then(L.bind(function(r) {
			if (r.error)
				return dom.content(box.found, [ api.problem(r.error) ]);

			box.text.value = box.name.value = box.file.value = box.hint = '';
			dom.content(box.found, []);
			ui.addNotification(null, E('div', {}, [
				E('p', {}, [ _('The tunnel %s was added.').format(r.name) ]),
				E('ul', {}, (r.warnings || []).map(function(w) { return E('li', {}, [ w ]); }))
			]), 'info');

			uci.unload('lanseal');

			return m.load().then(L.bind(m.reset, m));
		}, this));
	}
});
