'use strict';
'require baseclass';
'require form';
'require ui';
'require uci';

// Parts of forms that several pages need. Their checks are those of the agent,
// so that a mistake is told while it is typed and not after it was applied.

function exits() {
	return uci.sections('lanseal', 'tunnel').map(function(s) {
		return [ s['.name'], s.label && s.label != s['.name'] ? '%s (%s)'.format(s.label, s['.name']) : s['.name'] ];
	});
}

// choices are the words of a list “via”.
function choices() {
	return exits().concat([
		[ 'direct', _('by the WAN, on purpose') ],
		[ 'block', _('blocked') ]
	]);
}

function nameProblem(name) {
	if (!/^[a-z][a-z0-9_]{0,11}$/.test(name))
		return _('A name is a small letter and then up to 11 small letters, digits or _.');

	if (name == 'main' || name == 'direct' || name == 'block')
		return _('The name %s has a meaning of its own.').format(name);

	if (uci.get('lanseal', name) != null)
		return _('The name %s is taken.').format(name);

	return null;
}

// viaProblem says why a list is no order of exits.
function viaProblem(via) {
	const known = choices().map(function(c) { return c[0]; });

	for (let i = 0; i < via.length; i++) {
		if (known.indexOf(via[i]) < 0)
			return _('There is no exit named %s.').format(via[i]);

		if (via.indexOf(via[i]) != i)
			return _('%s is named twice.').format(via[i]);
	}

	if (via.length > 1 && (via.indexOf('direct') >= 0 || via.indexOf('block') >= 0))
		return _('“direct” and “block” stand alone.');

	return null;
}

// words splits “option via 'se no'”, which UCI takes for a list.
function words(value) {
	return L.toArray(value).join(' ').split(' ').filter(function(w) { return w != ''; });
}

// ViaList is exits in order of preference, to be dragged into it.
const ViaList = form.DynamicList.extend({
	load: function(section_id) {
		return Promise.resolve(this.super('load', [ section_id ])).then(L.bind(function(value) {
			this.keylist = this.vallist = null;
			choices().forEach(function(c) { this.value(c[0], c[1]); }, this);

			return value != null ? words(value) : value;
		}, this));
	},

	validate: function(section_id, value) {
		return value ? viaProblem([ value ]) || true : true;
	},

	parse: function(section_id) {
		const problem = this.isActive(section_id) ? viaProblem(L.toArray(this.formvalue(section_id))) : null;

		if (problem)
			return Promise.reject(new TypeError('%s: %s'.format(section_id, problem)));

		return this.super('parse', [ section_id ]);
	}
});

// ViaMenu is the same list as one choice, for a row of a table: an order that
// was made elsewhere is kept as a choice of its own.
const ViaMenu = form.ListValue.extend({
	load: function(section_id) {
		return Promise.resolve(this.super('load', [ section_id ])).then(L.bind(function(value) {
			this.keylist = this.vallist = null;
			this.value('', _('as the LAN'));
			choices().forEach(function(c) { this.value(c[0], c[1]); }, this);

			uci.sections('lanseal', 'device').forEach(function(s) {
				const via = words(s.via);

				if (via.length > 1 && this.keylist.indexOf(via.join(' ')) < 0)
					this.value(via.join(' '), via.join(' → '));
			}, this);

			return words(value).join(' ');
		}, this));
	},

	write: function(section_id, value) {
		return this.super('write', [ section_id, words(value) ]);
	}
});

// Choice is a menu whose default is not written where nothing was chosen.
const Choice = form.ListValue.extend({
	load: function(section_id) {
		return Promise.resolve(this.super('load', [ section_id ])).then(L.bind(function(value) {
			return value != null ? value : this.default;
		}, this));
	}
});

// Grid is a table of sections whose names the agent accepts.
const Grid = form.GridSection.extend({
	handleAdd: function(ev, name) {
		const problem = nameProblem(name);

		if (problem) {
			ui.addNotification(null, E('p', {}, [ problem ]), 'warning');

			return;
		}

		return this.super('handleAdd', [ ev, name ]);
	},

	// preset is what the next new section starts with.
	addModalOptions: function(modal, section_id) {
		const preset = this.preset || {};

		this.preset = null;
		Object.keys(preset).forEach(function(option) {
			uci.set('lanseal', section_id, option, preset[option]);
		});
	}
});

return baseclass.extend({
	Choice: Choice,
	Grid: Grid,
	ViaList: ViaList,
	ViaMenu: ViaMenu,
	nameProblem: nameProblem,
	viaProblem: viaProblem,

	// freeName makes a name of any text, as the agent does of a file's name.
	freeName: function(hint) {
		let base = String(hint || '').toLowerCase().replace(/[^a-z0-9]+/g, '_').replace(/^_/, '');

		if (!/^[a-z]/.test(base))
			base = 'd' + base;

		base = base.substring(0, 12).replace(/_$/, '');

		for (let n = 1; n < 1000; n++) {
			const tail = n > 1 ? '_' + n : '', name = base.substring(0, 12 - tail.length) + tail;

			if (nameProblem(name) == null)
				return name;
		}

		return base;
	},

	mac: function(section_id, value) {
		if (!value)
			return true;

		if (!/^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$/.test(value))
			return _('This is no MAC address, like aa:bb:cc:dd:ee:ff.');

		if (parseInt(value.substring(0, 2), 16) % 2 == 1)
			return _('This is a group’s MAC address: no device sends from it.');

		return (/[1-9a-fA-F]/).test(value) || _('No device sends from this address.');
	},

	port: function(section_id, value) {
		if (!value)
			return true;

		const m = value.match(/^([0-9]{1,5})(-([0-9]{1,5}))?$/), first = m ? +m[1] : 0, last = m && m[3] ? +m[3] : first;

		if (first < 1 || last < 1 || first > 65535 || last > 65535)
			return _('This is no port or range from 1 to 65535, like 443 or 5000-5999.');

		return first <= last || _('The range begins behind its end.');
	},

	until: function(section_id, value) {
		if (!value)
			return true;

		if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(value) || isNaN(new Date(value).getTime()))
			return _('This is no time with a zone, like 2030-01-31T20:00Z or 2030-01-31T21:00+01:00.');

		return true;
	},

	listen: function(section_id, value) {
		if (!value)
			return true;

		const m = value.match(/^([0-9.]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})$/);

		return (m && +m[2] >= 1 && +m[2] <= 65535) || _('This is not ADDRESS:PORT, like 192.168.1.1:8053 or [fd00::1]:8053.');
	},

	network: function(section_id, value) {
		return !value || (/^[A-Za-z0-9_.-]{1,64}$/).test(value) || _('This is no name of a network, like lan.');
	},

	device: function(section_id, value) {
		if (!value)
			return true;

		if (!/^[A-Za-z0-9._][A-Za-z0-9._-]{0,14}$/.test(value) || value == 'lo' || value == '.' || value == '..')
			return _('This is no name of a network device, like br-lan.');

		return !/^ls-/.test(value) || _('Devices that begin with ls- are lanseal’s own.');
	}
});
