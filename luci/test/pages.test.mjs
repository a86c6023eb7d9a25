// SPDX-License-Identifier: Apache-2.0
// Every page, as it is and as luci.mk minifies it, on a stand-in of LuCI.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, events, failing, hostile, sections, status } from './fixtures.mjs';
import { jsmin } from './jsmin.mjs';
import { LuCI } from './runtime.mjs';

const pages = [ 'overview', 'devices', 'tunnels', 'exceptions', 'settings', 'log' ].map((name) => `view.lanseal.${name}`);
const tile = 'view.status.include.75_lanseal';
const forms = { 'as written': (s) => s, 'minified': jsmin };

const luci = (o = {}) => new LuCI({ sections: sections(), ...o, answers: { ...answers(), ...o.answers } });
const button = (node, text) => node.all((e) => e.name == 'button' && e.textContent == text);

for (const [ form, transform ] of Object.entries(forms)) {
	test(`pages open and live, ${form}`, async () => {
		for (const name of [ ...pages, tile ]) {
			const l = luci({ transform }), { node } = await l.open(name);

			assert.match(node.textContent, /Protected/, name);
			assert.deepEqual(l.polls.map((p) => p.seconds), name == tile ? [] : [ 5 ], name);

			l.answers['luci.lanseal/status'] = { ...status(), state: 'degraded' };
			await l.tick();

			if (name != tile)
				assert.match(node.textContent, /Degraded/, `${name} does not follow the state`);
		}
	});

	test(`pages open whatever the agent answers, ${form}`, async () => {
		for (const [ how, answer ] of Object.entries(failing)) {
			for (const name of [ ...pages, tile ]) {
				const l = luci({ transform, answers: { 'luci.lanseal/status': answer, 'luci.lanseal/events': answer, 'luci.lanseal/devices': answer, 'luci.lanseal/tunnels': answer, 'luci.lanseal/leakreport': answer, 'luci-rpc/getHostHints': new Error('Access denied') } });
				const { node } = await l.open(name);

				await l.tick();
				assert.match(node.textContent, /Sealed|Unknown|Open|Protected|does not know|Access denied|no answer/, `${name}, ${how}`);

				if (name != tile && how == 'no agent')
					assert.match(node.textContent, /SealedNothing leaves the LAN beside the tunnels\..*no agent is running/, name);

				if (name != tile && how == 'kill switch off')
					assert.equal(node.all((e) => e.hasClass('alert-message'))[0].attributes['class'], 'alert-message warning', name);

				if (name != tile && how == 'not valid')
					assert.ok(node.textContent.includes(hostile), `${name} does not say what is wrong`);
			}
		}
	});
}

test('who may only look sees everything and changes nothing', async () => {
	for (const name of [ ...pages, tile ]) {
		const l = luci({ writable: false }), { node } = await l.open(name);

		for (const b of node.all((e) => e.name == 'button')) {
			if (b.textContent != 'Verify')
				assert.ok(b.disabled, `${name}: “${b.textContent}” may be clicked`);
		}

		assert.equal(node.all((e) => e.name == 'textarea').length, 0, `${name} takes files`);
		assert.deepEqual(l.uci.changes, []);
		assert.ok(l.calls.length > 0);
	}
});

test('overview: proof on demand', async () => {
	const l = luci({ answers: {
		'luci.lanseal/verify': { ok: false, findings: [ { where: 'path', what: hostile } ], notes: [ 'a note' ] },
		'luci.lanseal/leaktest': { state: 'running' }
	} });
	const { node } = await l.open('view.lanseal.overview');

	assert.match(node.textContent, /192\.0\.2\.10:51820.*4\.8 MiB.*holds \(nft\).*7 packets, 4\.0 KiB/);

	await button(node, 'Verify')[0].fire('click');
	assert.ok(node.textContent.includes(`path: ${hostile}`) && node.textContent.includes('a note'));

	l.answers['luci.lanseal/verify'] = { ok: true, findings: [], notes: [] };
	await button(node, 'Verify')[0].fire('click');
	assert.match(node.textContent, /No way from the LAN to the WAN was found/);

	await button(node, 'Leak test')[0].fire('click');
	assert.match(node.textContent, /The leak test is running/);

	l.answers['luci.lanseal/leakreport'] = { state: 'done', verdict: 'leak', why: 'DNS', leaks: [ 'a frame' ], finished: '2026-11-23T10:00:00Z' };
	await l.tick();
	assert.match(node.textContent, /Something leaked\..*DNS.*a frame/);

	const asked = l.calls.filter(([ name ]) => name == 'luci.lanseal/leakreport').length;

	await l.tick();
	assert.equal(l.calls.filter(([ name ]) => name == 'luci.lanseal/leakreport').length, asked, 'a finished test is asked for again');

	for (const [ verdict, says ] of [ [ 'none', /Nothing leaked/ ], [ 'impossible', /could not run.*no exit/ ] ]) {
		const again = luci({ answers: { 'luci.lanseal/leakreport': { state: 'done', verdict, why: 'no exit', leaks: [] } } });

		assert.match((await again.open('view.lanseal.overview')).node.textContent, says);
	}
});

test('devices: a rule from a device on the LAN, and its way from the menu', async () => {
	const l = luci(), { node } = await l.open('view.lanseal.devices'), m = l.uci.maps[0], s = m.children[0];

	assert.match(node.textContent, /On the LAN now/);
	assert.doesNotMatch(node.textContent, /203\.0\.113\.1.*blocked/, 'neighbours on the WAN are no devices');

	const add = button(node, 'Add rule');

	assert.equal(add.length, 1, 'the television has a rule, the laptop has none');
	await add[0].fire('click');
	assert.deepEqual(l.uci.changes, [
		[ 'add', 'device', 'img_src_x_on' ],
		[ 'set', 'device', 'img_src_x_on', 'label', hostile ],
		[ 'set', 'device', 'img_src_x_on', 'mac', [ '02:00:00:00:01:60' ] ]
	]);

	const menu = s.children.find((o) => o.option == 'via' && o.editable);

	assert.ok(menu.keylist.includes('se no'), 'an order made elsewhere is lost');
	menu.typed.tv = 'block';
	await m.save();
	assert.deepEqual(l.uci.changes.at(-1), [ 'set', 'device', 'tv', 'via', [ 'block' ] ]);

	menu.typed.tv = '';
	await m.load();
	await m.save();
	assert.deepEqual(l.uci.changes.at(-1), [ 'unset', 'device', 'tv', 'via' ]);

	l.answers['luci.lanseal/devices'] = failing['no agent'];
	await l.tick();
	assert.match(node.textContent, /Known to the router.*Laptop-of-Ann/);
});

test('devices: names and addresses as the agent takes them', async () => {
	const l = luci();

	await l.open('view.lanseal.devices');

	const s = l.uci.maps[0].children[0], fields = l.require('lanseal.fields');

	for (const bad of [ 'TV', '1tv', 'a-b', 'main', 'block', 'direct', 'tv', 'abcdefghijklm', '' ])
		await s.handleAdd({}, bad);

	assert.equal(l.uci.changes.length, 0);
	assert.equal(l.notifications.length, 9);

	for (const [ check, good, bad ] of [
		[ fields.mac, [ '02:00:00:00:01:50', '02-00-00-00-01-5A' ], [ '01:00:5e:00:00:01', '00:00:00:00:00:00', '02:00:00:00:01', 'tv' ] ],
		[ fields.port, [ '443', '5000-5999' ], [ '0', '65536', '20-10', '1-', 'http' ] ],
		[ fields.until, [ '2030-01-31T20:00Z', '2030-01-31T21:00:00+01:00' ], [ '2030-01-31', '2030-01-31T20:00', '2030-13-31T20:00Z', 'tomorrow' ] ],
		[ fields.listen, [ '192.168.1.1:8053', '[fd00::1]:8053' ], [ '8053', 'router:8053', '192.168.1.1:0', 'fd00::1:8053' ] ],
		[ fields.device, [ 'br-lan', 'eth0.2', 'wan' ], [ 'lo', 'ls-se', '-x', 'a b', 'sixteen-letters0' ] ],
		[ fields.network, [ 'lan', 'guest_2' ], [ 'a b', 'x;y' ] ]
	]) {
		for (const v of [ '', ...good ])
			assert.equal(check('sid', v), true, v);

		for (const v of bad)
			assert.equal(typeof check('sid', v), 'string', v);
	}

	assert.equal(fields.freeName('tv'), 'tv_2');
	assert.equal(fields.freeName('Laptop-of-Ann'), 'laptop_of_an');
	assert.equal(fields.freeName('2nd'), 'd2nd');
	assert.equal(fields.freeName('—'), 'd');
});

test('tunnels: a file is looked at and added; no key goes into UCI', async () => {
	const secret = 'PrivateKey = not-a-real-key', file = `[Interface]\n${secret}\n`;
	const l = luci({ answers: {
		'luci.lanseal/inspect': { type: 'wireguard', server: '192.0.2.1:51820', label: 'x', warnings: [ hostile ] },
		'luci.lanseal/import': () => {
			l.uci.stored.push({ '.name': 'dk', '.type': 'tunnel', type: 'wireguard' });

			return { name: 'dk', type: 'wireguard', warnings: [] };
		}
	} });

	globalThis.FileReader = class {
		readAsText(f) {
			this.result = f.text;
			this.onload();
		}
	};

	const { node } = await l.open('view.lanseal.tunnels'), text = node.all((e) => e.name == 'textarea')[0];
	let kept = 0;

	await text.fire('drop', { dataTransfer: { files: [ { name: 'DK.conf', size: file.length, text: file } ] }, preventDefault: () => kept++ });
	await new Promise(setImmediate);
	assert.equal(kept, 1, 'the browser would open the file instead');
	assert.equal(text.value, file);
	assert.match(node.textContent, /a file for wireguard, server 192\.0\.2\.1:51820/);

	await button(node, 'Add tunnel')[0].fire('click');
	assert.deepEqual(l.calls.filter(([ name ]) => /inspect|import/.test(name)), [
		[ 'luci.lanseal/inspect', 'DK.conf', file ], [ 'luci.lanseal/import', 'DK.conf', file ]
	]);
	assert.match(l.notifications[0].text, /dk was added/);
	assert.equal(text.value, '', 'the key stays on the page');
	assert.ok(l.uci.get('lanseal', 'dk'), 'the page does not know the new tunnel');
	assert.ok(!JSON.stringify([ l.uci.changes, l.uci.stored ]).includes('not-a-real-key'));

	for (const [ content, name, says ] of [ [ ' ', '', /no file yet/ ], [ '\n'.repeat(40000) + 'x', '', /too large/ ], [ file, 'SE', /small letter/ ], [ file, 'se', /is taken/ ] ]) {
		text.value = content;
		node.all((e) => e.attributes.id == 'lanseal-import-name')[0].value = name;
		await button(node, 'Add tunnel')[0].fire('click');
		assert.match(node.textContent, says);
	}

	assert.equal(l.calls.filter(([ name ]) => name == 'luci.lanseal/import').length, 1);
});

test('tunnels: dragged into order, asked for a sign of life, and wrong orders refused', async () => {
	const l = luci({ answers: { 'luci.lanseal/test': (name) => name == 'se' ? { answered: true, rtt_ms: 12.34, why: '' } : { answered: false, why: hostile } } });
	const { node } = await l.open('view.lanseal.tunnels'), m = l.uci.maps[0], [ exits, main ] = m.children, via = main.children[0];

	assert.equal(exits.sortable, true);
	assert.match(node.textContent, /se: mode 0644/);
	await button(node, 'Test')[0].fire('click');
	await button(node, 'Test')[1].fire('click');
	assert.deepEqual(l.notifications.map((n) => n.text), [ 'se answered after 12.3 ms.', `no did not answer: ${hostile}` ]);

	for (const [ order, says ] of [ [ [ 'se', 'block' ], /stand alone/ ], [ [ 'se', 'se' ], /named twice/ ], [ [ 'moscow' ], /no exit named moscow/ ] ]) {
		via.typed.main = order;
		await assert.rejects(m.save(), says);
	}

	via.typed.main = [ 'no', 'se' ];
	await m.save();
	assert.deepEqual(l.uci.changes, [ [ 'set', 'lanseal', 'main', 'via', [ 'no', 'se' ] ] ]);
});

test('what is new opens its dialogue, on a router where nothing is configured yet', async () => {
	for (const [ name, at, type ] of [ [ 'devices', 0, 'device' ], [ 'tunnels', 0, 'tunnel' ], [ 'exceptions', 0, 'exception' ] ]) {
		const l = luci({ sections: [ { '.name': 'main', '.type': 'lanseal', enabled: '0' } ] });

		await l.open(`view.lanseal.${name}`);
		await l.uci.maps[0].children[at].handleAdd({}, 'fresh');
		assert.deepEqual(l.uci.changes, [ [ 'add', type, 'fresh' ] ]);
	}

	for (const name of pages)
		await luci({ sections: [] }).open(name);
});

test('exceptions: for devices that are there, to somewhere', async () => {
	const l = luci();

	await l.open('view.lanseal.exceptions');

	const option = (name) => l.uci.maps[0].children[0].children.find((o) => o.option == name);

	assert.equal(option('device').validate('iptv', 'tv'), true);
	assert.match(option('device').validate('iptv', 'radio'), /no device named radio/);
	await l.uci.maps[0].children[0].handleAdd({}, 'empty');
	await assert.rejects(option('dest').parse('empty'), /must not be empty/);
});

test('settings: the kill switch is written as it is meant', async () => {
	const l = luci();

	await l.open('view.lanseal.settings');

	const m = l.uci.maps[0], option = (name) => m.children[0].children.find((o) => o.option == name);

	await m.save();
	assert.deepEqual(l.uci.changes, [], 'a page that nobody touched changes something');

	option('killswitch').typed.main = '0';
	option('dns').typed.main = 'custom';
	await assert.rejects(m.save(), /resolver: must not be empty/);
	option('resolver').typed.main = [ '9.9.9.9' ];
	await m.save();
	assert.deepEqual(l.uci.changes.filter(([ , , , name ]) => name != 'dns'), [
		[ 'set', 'lanseal', 'main', 'killswitch', '0' ], [ 'set', 'lanseal', 'main', 'resolver', [ '9.9.9.9' ] ]
	]);
});

test('log: the newest first, and only what is new is asked for', async () => {
	const l = luci(), { node } = await l.open('view.lanseal.log');

	assert.ok(node.textContent.indexOf(hostile) < node.textContent.indexOf('sealed: no exit is up'));

	l.answers['luci.lanseal/events'] = (since) => {
		assert.equal(since, events().events[1].time);

		return { events: [ { time: '2026-11-23T10:00:09Z', kind: 'uplink', text: 'the uplink changed' } ], cut: false };
	};
	await l.tick();
	assert.match(node.textContent, /uplink.*the uplink changed.*sealed: no exit is up/);
});
