// SPDX-License-Identifier: Apache-2.0
// What the pages, the menu, the ACL, the configuration and the translations say
// of each other.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { answers, sections } from './fixtures.mjs';
import { jsmin } from './jsmin.mjs';
import { acl, LuCI, read } from './runtime.mjs';
import { files, pot, strings } from './strings.mjs';

const views = readdirSync(new URL('../htdocs/luci-static/resources/view/lanseal', import.meta.url)).map((f) => f.replace(/\.js$/, ''));

async function opened(name) {
	const l = new LuCI({ sections: sections(), answers: answers() });

	await l.open(name);

	return l;
}

test('the menu leads to every page, and to nothing else', () => {
	const menu = JSON.parse(read('root/usr/share/luci/menu.d/luci-app-lanseal.json'));
	const paths = Object.values(menu).map((n) => n.action.path).filter(Boolean);

	assert.deepEqual(paths.toSorted?.() ?? [ ...paths ].sort(), views.map((v) => `lanseal/${v}`).sort());
	assert.deepEqual(menu['admin/vpn/lanseal'].depends, { acl: [ 'luci-app-lanseal' ], uci: { lanseal: true } });

	for (const [ path, node ] of Object.entries(menu))
		assert.ok(path.startsWith('admin/vpn/lanseal') && node.title && node.order > 0, path);
});

test('the pages call what the ACL grants, and all of it', async () => {
	const declared = new Set();

	for (const v of views)
		(await opened(`view.lanseal.${v}`)).declared.forEach((name) => declared.add(name));

	const granted = [ 'read', 'write' ].flatMap((side) => Object.entries(acl()[side].ubus).flatMap(([ object, methods ]) => methods.map((m) => `${object}/${m}`)));

	assert.deepEqual([ ...declared ].sort(), granted.sort());
	assert.equal(new Set(granted).size, granted.length, 'something is granted twice');
	assert.deepEqual([ acl().read.uci, acl().write.uci, acl().read.file, acl().write.file ], [ [ 'lanseal' ], [ 'lanseal' ], undefined, undefined ]);
});

test('the forms have every option of the configuration, and no other', async () => {
	const known = {}, source = (file) => read(`../agent/config/${file}`);
	const lists = [ ...`${source('loadmain.go')}${source('loadtunnel.go')}${source('loaddevice.go')}`.matchAll(/l\.known\(s, ([^)]*)\)/g) ]
		.map(([ , list ]) => [ ...list.matchAll(/"(\w+)"/g) ].map(([ , name ]) => name).sort());

	[ known.lanseal, known.tunnel, known.device, known.exception ] = lists;
	assert.equal(lists.length, 4, 'the agent reads its options in another way');

	const offered = { lanseal: new Set(), tunnel: new Set(), device: new Set(), exception: new Set() };

	for (const v of views)
		for (const m of (await opened(`view.lanseal.${v}`)).uci.maps)
			for (const s of m.children)
				for (const o of s.children)
					if (!o.option.startsWith('_'))
						offered[s.type].add(o.option);

	for (const type of Object.keys(offered))
		assert.deepEqual([ ...offered[type] ].sort(), known[type], type);
});

test('the template for translators holds every text', async () => {
	assert.equal(read('po/templates/lanseal.pot'), pot(), 'run: cd luci && node test/strings.mjs > po/templates/lanseal.pot');

	// Nothing that a page shows escapes the search.
	for (const v of [ ...views.map((name) => `view.lanseal.${name}`), 'view.status.include.75_lanseal' ])
		for (const text of (await opened(v)).strings)
			assert.ok(strings().has(text), `${v}: “${text}”`);
});

test('the pages keep to what LuCI and its minifier bear', () => {
	for (const file of files().filter((f) => f.endsWith('.js'))) {
		const source = read(file);

		assert.ok(source.startsWith('\'use strict\';\n'), file);

		for (const [ why, pattern ] of [
			[ 'becomes markup', /innerHTML|outerHTML|insertAdjacentHTML|document\.write|rawhtml/ ],
			[ 'the minifier knows no nested texts', /`/ ],
			[ 'the minifier takes it for a division', /(?:\b(?:return|typeof|case|in|of)|=>)\s*\/[^/*]/ ],
			[ 'it is not in 21.02', /addTimeLimitedNotification|\?\?|\?\.[a-z[(]/ ],
			[ 'pages of LuCI are no modules', /^\s*(?:import|export)\b/m ]
		])
			assert.ok(!pattern.test(source), `${file}: ${source.match(pattern)?.[0]}: ${why}`);

		assert.ok(jsmin(source).length < source.length);
	}
});

test('the package is whole', () => {
	assert.match(read('LICENSE'), /Apache License\s+Version 2\.0/);
	assert.match(read('Makefile'), /PKG_LICENSE:=Apache-2\.0[^]*include \$\(TOPDIR\)\/feeds\/luci\/luci\.mk/);
	assert.match(read('root/etc/uci-defaults/40_luci-lanseal'), /^#!\/bin\/sh\n[^]*\nexit 0\n$/);
	assert.ok(existsSync(new URL('../htdocs/luci-static/resources/view/status/include/75_lanseal.js', import.meta.url)));
});
