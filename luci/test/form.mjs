// SPDX-License-Identifier: Apache-2.0
// Stand-ins of LuCI's classes, its form and its uci. They know what is
// documented from 21.02 to 25.12; anything else throws, so that a page which
// needs more fails here and not on an old router.
import { E, Element } from './dom.mjs';

// Base is LuCI.baseclass: extend() makes classes, super() calls the method that
// a class has replaced.
export class Base {
	static extend(props) {
		const parent = this;
		const made = class extends parent {};

		for (const [ key, value ] of Object.entries(props))
			Object.defineProperty(made.prototype, key, { value, writable: true, configurable: true, enumerable: true });

		return made;
	}

	super(key, args) {
		const owner = (o) => {
			while (o && !Object.hasOwn(o, key))
				o = Object.getPrototypeOf(o);

			return o;
		};
		const running = this.__running ||= {}, before = running[key];
		const next = owner(Object.getPrototypeOf(before || owner(Object.getPrototypeOf(this))));

		if (!next)
			throw new Error(`super: nothing above has ${key}`);

		running[key] = next;

		try {
			return next[key].apply(this, args || []);
		}
		finally {
			running[key] = before;
		}
	}
}

// only makes an object that throws on unknown names.
export function only(what, members) {
	return new Proxy(members, {
		get(o, key) {
			if (typeof key == 'string' && !(key in o) && key != 'then')
				throw new Error(`${what}.${key} is not documented from 21.02 to 25.12`);

			return o[key];
		}
	});
}

// strict lets a page set documented properties alone.
function strict(object, what, settable) {
	return new Proxy(object, {
		set(o, key, value) {
			if (!(key in o) && !settable.includes(key) && !key.startsWith('__'))
				throw new Error(`${what}.${key} is not documented from 21.02 to 25.12`);

			o[key] = value;

			return true;
		}
	});
}

const optionProps = [ 'default', 'datatype', 'placeholder', 'optional', 'modalonly', 'editable', 'textvalue', 'inputtitle', 'inputstyle', 'onclick', 'keylist', 'vallist' ];
const sectionProps = [ 'addremove', 'anonymous', 'sortable', 'nodescriptions', 'addbtntitle', 'modaltitle', 'preset' ];

class Value extends Base {
	rmempty = true;
	typed = {}; // what the test's user has entered, by section
	loaded = {};

	constructor(section, option, title, description) {
		super();
		Object.assign(this, { section, map: section.map, option, title, description, rules: [] });

		return strict(this, this.constructor.name, optionProps);
	}

	depends(field, value) {
		this.rules.push([ field, value ]);
	}

	value(key, label) {
		(this.keylist ||= []).push(String(key));
		(this.vallist ||= []).push(label ?? key);
	}

	load(sid) {
		return this.map.uci.get(this.map.config, sid, this.option);
	}

	async fetch(sid) {
		this.loaded[sid] = await this.load(sid);
	}

	cfgvalue(sid) {
		return this.loaded[sid];
	}

	formvalue(sid) {
		return this.typed[sid] ?? this.cfgvalue(sid) ?? this.default ?? null;
	}

	isActive(sid) {
		return this.rules.length == 0 || this.rules.some(([ field, value ]) => {
			const other = this.section.children.find((o) => o.option == field);

			if (!other)
				throw new Error(`${this.option} depends on ${field}, which is not there`);

			return other.isActive(sid) && String(other.formvalue(sid)) == value;
		});
	}

	validate() {
		return true;
	}

	// problem is why the value is refused, or null.
	problem(sid) {
		for (const v of [].concat(this.formvalue(sid) ?? '')) {
			const verdict = this.validate(sid, v);

			if (verdict !== true)
				return verdict;
		}

		return null;
	}

	// parse is LuCI's: what differs from the configuration is written, the
	// default of what is not set too.
	async parse(sid) {
		const active = this.isActive(sid), value = active ? this.formvalue(sid) : null, before = this.cfgvalue(sid);
		const empty = value == null || value.length == 0, problem = active ? this.problem(sid) : null;

		if (problem)
			throw new TypeError(`${this.option}: ${problem}`);

		if (!empty && JSON.stringify(value) != JSON.stringify(before))
			return this.write(sid, value);

		if (empty && (!active || this.rmempty))
			return this.remove(sid);

		if (empty)
			throw new TypeError(`${this.option}: must not be empty`);
	}

	write(sid, value) {
		return this.map.uci.set(this.map.config, sid, this.option, value);
	}

	remove(sid) {
		return this.map.uci.unset(this.map.config, sid, this.option);
	}

	textvalue(sid) {
		const value = this.cfgvalue(sid) ?? this.default;

		return value == null ? null : [ String(value) ];
	}

	render(sid) {
		if (this.keylist && new Set(this.keylist).size != this.keylist.length)
			throw new Error(`${this.option}: a choice is there twice: ${this.keylist}`);

		return E('div', { 'class': 'cbi-value', 'data-name': this.option }, [ this.title, ...(this.vallist || []), this.description || '', String(this.formvalue(sid) ?? '') ]);
	}
}

class Flag extends Value {
	default = '0';

	async parse(sid) {
		const value = this.isActive(sid) ? this.formvalue(sid) : null;

		return value == null || (value == this.default && this.rmempty) ? this.remove(sid) : this.write(sid, value);
	}
}

class ListValue extends Value {
	problem(sid) {
		const value = String(this.formvalue(sid) ?? '');

		return this.keylist.includes(value) || value === '' ? super.problem(sid) : `${value} is no choice`;
	}

	render(sid) {
		if (!this.keylist)
			throw new Error(`${this.option}: a menu without choices is an error in LuCI`);

		return super.render(sid);
	}

	// A menu has something chosen, its first entry if nothing else.
	formvalue(sid) {
		return super.formvalue(sid) ?? this.keylist[0];
	}
}

class DynamicList extends Value {
	formvalue(sid) {
		return [].concat(super.formvalue(sid) ?? []);
	}
}

class DummyValue extends Value {
	parse() {
		return Promise.resolve();
	}
}

class Button extends DummyValue {
	render(sid) {
		return E('button', { 'click': (ev) => this.onclick(ev, sid), 'disabled': this.map.readonly || null }, [ this.inputtitle ]);
	}
}

class Section extends Base {
	constructor(map, type, title, description) {
		super();
		Object.assign(this, { map, type, title, description, children: [], tabs: [] });

		return strict(this, this.constructor.name, sectionProps);
	}

	option(cls, option, ...more) {
		this.children.push(new cls(this, option, ...more));

		return this.children.at(-1);
	}

	tab(name) {
		this.tabs.push(name);
	}

	taboption(tab, ...more) {
		if (!this.tabs.includes(tab))
			throw new Error(`there is no tab ${tab}`);

		return this.option(...more);
	}

	cfgsections() {
		return this.map.uci.sections(this.map.config, this.type).map((s) => s['.name']);
	}

	parse(sid) {
		return Promise.all(this.children.map((o) => o.parse(sid)));
	}

	cell(o, sid) {
		if (o.editable || !this.table)
			return o.render(sid);

		const text = o.textvalue(sid);

		if (typeof text == 'string')
			throw new Error(`${o.option}: a bare text of textvalue becomes markup in LuCI`);

		return E('td', {}, text);
	}

	render() {
		return E('div', { 'class': 'cbi-section' }, [ this.title || '', this.description || '' ].concat(this.cfgsections().flatMap((sid) =>
			this.children.filter((o) => !this.table || !o.modalonly).map((o) => this.cell(o, sid)))));
	}
}

class NamedSection extends Section {
	constructor(map, name, type, ...more) {
		super(map, type, ...more).name = name;
	}

	name = null;

	cfgsections() {
		return this.map.uci.get(this.map.config, this.name) ? [ this.name ] : [];
	}
}

class GridSection extends Section {
	table = true;

	// What is not in the table is asked for, and read, by a dialogue of its own.
	parse(sid) {
		return Promise.all(this.children.filter((o) => o.editable && !o.modalonly).map((o) => o.parse(sid)));
	}

	handleAdd(ev, name) {
		this.map.uci.add(this.map.config, this.type, name);
		this.addModalOptions(this, name, ev);

		return this.openDialogue(name);
	}

	// openDialogue shows one section alone, with all but what is the table's.
	async openDialogue(sid) {
		const shown = this.children.filter((o) => o.modalonly !== false);

		for (const o of shown)
			await o.fetch(sid);

		return E('div', {}, shown.map((o) => o.render(sid)));
	}

	addModalOptions() {}
}

class FormMap extends Base {
	constructor(uci, config, title, description) {
		super();
		Object.assign(this, { uci, config, title, description, children: [] });
		uci.maps.push(this);
	}

	section(cls, ...more) {
		this.children.push(new cls(this, ...more));

		return this.children.at(-1);
	}

	async load() {
		this.readonly = !this.uci.writable;
		await this.uci.load(this.config);

		for (const s of this.children)
			for (const sid of s.cfgsections())
				for (const o of s.children)
					await o.fetch(sid);
	}

	async render() {
		await this.load();

		return this.reset();
	}

	async reset() {
		const body = [ E('h2', {}, [ this.title || '' ]), E('div', {}, [ this.description || '' ]), ...this.children.map((s) => s.render()) ];

		if (!body.every((n) => n instanceof Element))
			throw new Error('a section renders no element');

		return E('div', { 'class': 'cbi-map' }, body);
	}

	async save() {
		for (const s of this.children)
			for (const sid of s.cfgsections())
				await s.parse(sid);

		await this.uci.save();
	}
}

// formFor is the module “form” over one uci.
export function formFor(uci) {
	return only('form', {
		Map: class extends FormMap {
			constructor(...args) {
				super(uci, ...args);
			}
		},
		NamedSection, GridSection, Value, Flag, ListValue, DynamicList, DummyValue, Button
	});
}

// uciFor is the module “uci” over the sections of /etc/config/lanseal.
export function uciFor(sections, writable) {
	let here = null;
	const find = (sid) => here?.find((s) => s['.name'] == sid) ?? null;
	const change = (what) => {
		if (!writable)
			throw new Error('Access denied');

		uci.changes.push(what);
	};
	const uci = {
		maps: [], changes: [], saved: 0, writable, stored: sections,

		async load(config) {
			if (config != 'lanseal')
				throw new Error(`no access to ${config}`);

			here ??= structuredClone(uci.stored);
		},
		unload() { here = null; },
		get: (config, sid, option) => option ? find(sid)?.[option] ?? null : find(sid),
		sections: (config, type) => (here || []).filter((s) => s['.type'] == type),
		add(config, type, name) {
			change([ 'add', type, name ]);
			here.push({ '.name': name, '.type': type });

			return name;
		},
		set(config, sid, option, value) {
			if (JSON.stringify(find(sid)[option]) == JSON.stringify(value))
				return;

			change([ 'set', find(sid)['.type'], sid, option, value ]);
			find(sid)[option] = value;
		},
		unset(config, sid, option) {
			if (!(option in find(sid)))
				return;

			change([ 'unset', find(sid)['.type'], sid, option ]);
			delete find(sid)[option];
		},
		async save() {
			uci.saved++;
			uci.stored = structuredClone(here);
		}
	};

	return only('uci', uci);
}
