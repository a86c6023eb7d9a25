import { T, say } from './text.js';
import { h, fill, put, field, confirm, choose } from './dom.js';
import { ago, bytes, number } from './units.js';

const t = T.devices;
const page = 60; // rows at first; more on demand
const chunk = 5; // rows made without a pause

export const deviceName = (d) => d.label || d.hostname || d.name || d.ips[0] || d.mac;

// lasting is a name for a rule's first time: an address will not stay.
const lasting = (d) => d.hostname || say(t.nameless, { tail: d.mac.slice(-5).toUpperCase() });

export function devices(main, model, api) {
  const search = h('input', { type: 'search', 'aria-label': t.search, placeholder: t.search, oninput: () => { clearTimeout(rest); rest = setTimeout(list, 120); } });
  const count = h('p', { class: 'hint', role: 'status' });
  const rows = h('ul', { class: 'rows' });
  const more = h('button', { type: 'button', onclick: () => { limit += 250; list(); } });
  fill(main, h('h1', null, t.title), search, count, rows, more);
  more.hidden = true;
  let limit = page;
  let rest = 0; // timer: rows still to be made
  const known = new Map();
  let editing = false; // a list that moves under one's finger is no help

  async function load() {
    if (editing) return;
    await Promise.all([model.devices.load(), model.tunnels.load()]).then(list).catch(() => {});
  }

  // list brings the rows to what is known, a dozen new ones at a time: a
  // telephone must not stand still for all of them. Rows that say the same
  // stay, with whatever is being done in them.
  function list() {
    const d = model.devices.value;
    if (!d || !main.contains(rows)) return;
    const wanted = search.value.trim().toLowerCase();
    const match = d.devices.filter((x) => [deviceName(x), x.mac, x.vendor, x.hostname, x.exit, ...x.ips].join(' ').toLowerCase().includes(wanted));
    put(count, match.length === 0 ? (d.devices.length ? t.noMatch : t.empty) : say(t.count, { n: match.length }) + '. ' + (d.counted ? t.counted : t.notCounted));
    more.hidden = match.length <= limit;
    put(more, say(t.more, { n: match.length - limit }));
    clearTimeout(rest);
    place(match.slice(0, limit), 0, d);
  }

  function place(shown, from, d) {
    let made = 0;
    for (let i = from; i < shown.length; i++) {
      const x = shown[i];
      const key = x.mac || x.name;
      const looks = JSON.stringify([x.mac, deviceName(x), x.vendor, x.ips, x.online, x.via, x.exit, d.default, exits().map((e) => e.label)]);
      let item = known.get(key);
      if (!item || item.looks !== looks) {
        if (made === chunk) { rest = setTimeout(place, 0, shown, i, d); return; }
        made++;
        const fresh = row(x, d);
        fresh.looks = looks;
        if (item && item.parentNode) item.replaceWith(fresh);
        item = fresh;
        known.set(key, item);
      }
      item.recount(x, d);
      if (rows.children[i] !== item) rows.insertBefore(item, rows.children[i] || null);
    }
    while (rows.children.length > shown.length) rows.lastChild.remove();
  }

  const exits = () => (model.tunnels.value ? model.tunnels.value.tunnels : []);

  function ways(x, d) {
    const options = [['', say(t.defaultVia, { via: d.default.join(', ') || t.block })]];
    for (const e of exits()) options.push([e.name, e.label === e.name ? e.name : e.label + ' (' + e.name + ')']);
    options.push(['block', t.block], ['direct', t.direct]);
    const own = ownVia(x, d);
    if (own.length > 1) options.push([own.join(' '), say(t.order, { via: own.join(', ') })]);
    return [options, own.join(' ')];
  }

  async function change(x, body, text) {
    if (!x.name && !body.label) body.label = lasting(x);
    await api.act(async () => {
      model.devices.value = await model.devices.change('PUT', 'devices/' + x.mac, body);
    }, text);
    editing = false;
    list();
  }

  function row(x, d) {
    const name = deviceName(x);
    const [options, value] = ways(x, d);
    const current = (options.find(([v]) => v === value) || options[0])[1];
    // A button, and the choice on demand: hundreds of selects are slow, and a
    // list that fits the thumb is better on a telephone.
    const way = h('button', { type: 'button', class: 'choose', 'aria-haspopup': 'dialog', 'aria-label': say(t.goes, { name }) + ': ' + current, disabled: !x.mac,
      onclick: async () => {
        editing = true;
        const to = await choose(say(t.goes, { name }), options, value, T.cancel);
        editing = false;
        if (to === null || to === value) return;
        if (to === 'direct' && !(await confirm(say(t.directAsk, { name }), t.directText, t.directYes, T.cancel))) return;
        await change(x, { via: to ? to.split(' ') : [] }, say(t.saved, { name }));
      } }, current);
    const blocked = value === 'block';
    const traffic = h('span');
    const seen = h('span', { class: 'hint' });
    const refused = h('span', { class: 'bad' });
    const item = h('li', { class: 'device', 'data-mac': x.mac, 'data-exit': x.exit },
      h('span', { class: x.online ? 'dot on' : 'dot', role: 'img', 'aria-label': x.online ? t.online : t.offline, title: x.online ? t.online : t.offline }),
      h('div', { class: 'who' }, h('strong', null, name), h('span', { class: 'hint' }, [x.vendor, ...x.ips.slice(0, 2), x.mac].filter(Boolean).join(' · ')), seen),
      h('div', { class: 'counts' }, traffic, refused),
      h('div', { class: 'way' }, way, h('span', { class: 'hint' }, say(t.now, { exit: x.exit }))),
      h('div', { class: 'row' },
        h('button', { type: 'button', disabled: !x.mac, 'aria-label': (blocked ? t.unblock : t.blockNow) + ' ' + name, onclick: () => change(x, { via: blocked ? [] : ['block'] }, say(blocked ? t.unblockedDone : t.blockedDone, { name })) }, blocked ? t.unblock : t.blockNow),
        h('button', { type: 'button', disabled: !x.mac, 'aria-label': t.rename + ' ' + name, onclick: () => rename(x, item) }, t.rename)));
    item.recount = (now, all) => {
      put(traffic, all.counted ? '↓ ' + bytes(now.day.rx_bytes) + '  ↑ ' + bytes(now.day.tx_bytes) : '');
      put(refused, now.day.blocked_packets > 0 ? say(t.blockedCount, { n: number(now.day.blocked_packets) }) : '');
      put(seen, now.seen && !now.online ? say(t.seen, { when: ago(now.seen) }) : '');
    };
    return item;
  }

  function rename(x, item) {
    editing = true;
    item.looks = '';
    const name = field(t.name, h('input', { type: 'text', maxlength: 60, value: deviceName(x) }));
    const form = h('form', { class: 'rename', onsubmit: (e) => { e.preventDefault(); change(x, { label: name.control.value }, say(t.saved, { name: name.control.value })); } },
      name, h('div', { class: 'row' }, h('button', { class: 'primary' }, t.save), h('button', { type: 'button', onclick: () => { editing = false; list(); } }, t.cancel)));
    fill(item, form);
    name.control.select();
    name.control.focus();
  }

  load();
  const timer = setInterval(load, 10000);
  return { update: (what) => { if (what === 'event') load(); }, leave: () => { clearInterval(timer); clearTimeout(rest); } };
}

// ownVia is a device's own rule; one that equals the default is none.
function ownVia(x, d) {
  return x.via.join(' ') === d.default.join(' ') ? [] : x.via;
}
