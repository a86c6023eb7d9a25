// SPDX-License-Identifier: Apache-2.0
// A small document: enough of one for LuCI's E() and dom, and no more. What it
// does not know throws, innerHTML above all.

class Node {
	childNodes = [];
	parentNode = null;

	appendChild(node) {
		if (!(node instanceof Node))
			throw new TypeError('appendChild takes a node, not ' + typeof node);

		if (node instanceof Fragment) {
			for (const child of [ ...node.childNodes ])
				this.appendChild(child);

			return node;
		}

		node.parentNode?.removeChild(node);
		node.parentNode = this;
		this.childNodes.push(node);

		return node;
	}

	removeChild(node) {
		this.childNodes.splice(this.childNodes.indexOf(node), 1);
		node.parentNode = null;
	}

	get textContent() {
		return this.childNodes.map((n) => n.textContent).join('');
	}

	set innerHTML(_) {
		throw new Error('innerHTML: what others wrote would become markup');
	}

	// all lists the elements below for which a test holds, in document order.
	all(test = () => true) {
		return this.childNodes.flatMap((n) => [ ...(n instanceof Element && test(n) ? [ n ] : []), ...n.all(test) ]);
	}
}

class Text extends Node {
	constructor(data) {
		super();
		this.data = data;
	}

	get textContent() {
		return this.data;
	}
}

class Fragment extends Node {}

export class Element extends Node {
	attributes = {};
	listeners = {};
	value = '';
	disabled = false;

	constructor(name) {
		super();
		this.name = name;
	}

	setAttribute(name, value) {
		this.attributes[name] = String(value);

		if (name == 'disabled')
			this.disabled = true;

		if (name == 'value')
			this.value = String(value);
	}

	hasClass(name) {
		return (this.attributes['class'] || '').split(' ').includes(name);
	}

	// fire runs the listeners as a browser would, and waits for what they return.
	async fire(type, event = {}) {
		if (this.disabled && type == 'click')
			throw new Error('a disabled button is clicked');

		for (const f of this.listeners[type] || [])
			await f({ type, currentTarget: this, target: this, preventDefault() {}, ...event });
	}
}

// append is LuCI's dom.append for an element's contents, less one thing: there
// a bare text becomes markup, here it throws. Texts go into arrays.
function append(node, children) {
	if (typeof children == 'string' || typeof children == 'number')
		throw new Error(`a bare text (“${children}”) becomes markup in LuCI: put it into an array`);

	if (Array.isArray(children))
		for (const c of children)
			node.appendChild(c instanceof Node ? c : new Text(c == null ? '' : String(c)));
	else if (children != null)
		node.appendChild(children);
}

export const dom = {
	append,
	elem: (node) => node instanceof Element,

	content(node, children) {
		for (const c of [ ...node.childNodes ])
			node.removeChild(c);

		append(node, children);

		return node;
	}
};

export function E(name, attributes, children) {
	if (!/^[a-z][a-z0-9]*$/.test(name))
		throw new Error(`E() takes the name of an element, not “${name}”`);

	if (attributes instanceof Node || Array.isArray(attributes) || typeof attributes == 'string')
		[ attributes, children ] = [ {}, attributes ];

	const element = new Element(name);

	for (const [ key, value ] of Object.entries(attributes || {})) {
		if (typeof value == 'function')
			(element.listeners[key] ||= []).push(value);
		else if (value != null)
			element.setAttribute(key, value);
	}

	append(element, children);

	return element;
}

// format is what LuCI gives to texts, as far as the pages use it.
export function format(text, values) {
	let i = 0;

	return text.replace(/%(%|(\d+)?(?:\.(\d+))?([sdfht]|mB?))/g, (all, _, base, digits, kind) => {
		if (all == '%%')
			return '%';

		if (i >= values.length)
			throw new Error(`“${text}” wants more values than the ${values.length} it gets`);

		const v = values[i++];

		switch (kind) {
		case 's':
			return String(v);
		case 'h':
			return String(v).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
		case 'd':
			return String(Math.trunc(Number(v)));
		case 'f':
			return Number(v).toFixed(digits ?? 6);
		case 't':
			return `${Math.floor(v / 3600)}h ${Math.floor(v % 3600 / 60)}m ${v % 60}s`;
		}

		if (base != '1024')
			throw new Error(`“${all}”: sizes are counted in 1024`);

		let n = Number(v), unit = 0;

		for (; n >= 1024 && unit < 5; unit++)
			n /= 1024;

		return `${n.toFixed(unit ? digits ?? 0 : 0)} ${[ '', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi' ][unit]}${kind.slice(1)}`;
	});
}
