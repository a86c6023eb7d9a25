// SPDX-License-Identifier: Apache-2.0
// The rest of LuCI's runtime as the pages see it, and the loader that gives a
// page the modules its first lines require.
import { readFileSync } from 'node:fs';
import { dom, E, format } from './dom.mjs';
import { Base, formFor, only, uciFor } from './form.mjs';

const root = new URL('../', import.meta.url);

export const read = (path) => readFileSync(new URL(path, root), 'utf8');
export const acl = () => JSON.parse(read('root/usr/share/rpcd/acl.d/luci-app-lanseal.json'))['luci-app-lanseal'];

String.prototype.format = function(...values) {
	return format(String(this), values);
};

// LuCI is one signed-in browser: answers are by "object/method", a function or a
// value; an Error is thrown. What the ACL does not grant is denied, and what it
// grants to writers alone is denied to others.
export class LuCI {
	calls = [];
	declared = [];
	polls = [];
	notifications = [];
	strings = new Set();

	constructor({ answers = {}, sections = [], writable = true, transform = (source) => source } = {}) {
		Object.assign(this, { answers, writable, transform, loaded: {} });
		this.uci = uciFor(sections, writable);
	}

	declare(o) {
		for (const key of Object.keys(o))
			if (![ 'object', 'method', 'params', 'expect' ].includes(key))
				throw new Error(`rpc.declare: ${key} is not documented`);

		const granted = acl(), name = `${o.object}/${o.method}`;
		const may = (side) => (granted[side].ubus[o.object] || []).includes(o.method);

		if (!may('read') && !may('write'))
			throw new Error(`the ACL does not grant ${name}`);

		this.declared.push(name);

		return async (...args) => {
			if (args.length > (o.params || []).length)
				throw new Error(`${name}: ${args.length} values for ${o.params}`);

			if (!may('read') && !this.writable)
				throw new Error('Access denied');

			this.calls.push([ name, ...args ]);

			const answer = this.answers[name], got = typeof answer == 'function' ? answer(...args) : answer;

			if (got instanceof Error)
				throw got;

			const [ key, fallback ] = Object.entries(o.expect)[0], value = key ? got?.[key] : got;

			return value != null && Array.isArray(value) == Array.isArray(fallback) && typeof value == typeof fallback ? structuredClone(value) : fallback;
		};
	}

	modules() {
		const ui = only('ui', {
			createHandlerFn: (ctx, fn, ...args) => (...more) => Promise.resolve((typeof fn == 'string' ? ctx[fn] : fn).call(ctx, ...args, ...more)),
			addNotification: (title, children, ...classes) => { this.notifications.push({ text: E('div', {}, children).textContent, classes }); }
		});
		const poll = only('poll', { add: (fn, seconds) => { this.polls.push({ fn, seconds }); } });
		const view = class extends Base {};

		return { baseclass: Base, view, dom: only('dom', dom), ui, poll, uci: this.uci, form: formFor(this.uci), rpc: only('rpc', { declare: (o) => this.declare(o) }) };
	}

	// require loads a module of the app by its dotted name, once.
	require(name) {
		return this.loaded[name] ??= this.evaluate(this.transform(read(`htdocs/luci-static/resources/${name.replaceAll('.', '/')}.js`)), name);
	}

	evaluate(source, name) {
		const builtin = this.builtin ??= this.modules(), names = [], values = [];

		// As LuCI reads them: the strings before anything else.
		for (const [ , text ] of source.match(/^(?:\s*(?:'[^'\n]*'|"[^"\n]*");?)*/)[0].matchAll(/['"]([^'"]*)['"]/g)) {
			const m = text.match(/^require[ \t]+(\S+)(?:[ \t]+as[ \t]+([a-zA-Z_]\S*))?$/);

			if (!m && text != 'use strict')
				throw new Error(`${name}: what is “${text}”?`);

			if (m) {
				names.push(m[2] || m[1].replace(/[^a-zA-Z0-9_]/g, '_'));
				values.push(m[1] in builtin ? builtin[m[1]] : this.require(m[1]));
			}
		}

		const L = only('L', {
			bind: (fn, self, ...args) => fn.bind(self, ...args),
			toArray: (v) => v == null ? [] : Array.isArray(v) ? v : String(v).trim().split(/\s+/).filter((w) => w != ''),
			hasViewPermission: () => this.writable
		});
		const translate = (text) => {
			this.strings.add(text);

			return text;
		};
		const made = new Function('window', 'document', 'L', 'E', '_', ...names, source)(undefined, undefined, L, E, translate, ...values);

		if (!(made?.prototype instanceof Base))
			throw new Error(`${name} returns no class`);

		return new made();
	}

	// open loads and renders a page, or a tile of the status page.
	async open(name) {
		const page = this.require(name);

		return { page, node: await page.render(await page.load()) };
	}

	async tick() {
		for (const p of this.polls)
			await p.fn();
	}
}
