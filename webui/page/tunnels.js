import { T, say } from './text.js';
import { h, fill, put, field, failures, confirm, busy, tell } from './dom.js';
import { call } from './api.js';
import { ago, bytes } from './units.js';
import { scan } from './qrimage.js';

const t = T.tunnels;

export function tunnels(main, model, api) {
  const rows = h('ol', { class: 'rows' });
  const note = h('p', { class: 'hint' }, t.order);
  fill(main, h('h1', null, t.title), note, rows, adder(model, api, load));
  let dragged = null;

  async function load() {
    await model.tunnels.load().then(list).catch(() => {});
  }

  // order is the default order of use, and what is not in it.
  function ordered() {
    const v = model.tunnels.value;
    const by = Object.fromEntries(v.tunnels.map((x) => [x.name, x]));
    const used = v.via.filter((n) => by[n]);
    if (used.length === 0 && v.via.length === 0) return { used: v.tunnels.map((x) => x.name), by, rest: [] };
    return { used, by, rest: v.tunnels.map((x) => x.name).filter((n) => !used.includes(n)) };
  }

  function list() {
    if (!model.tunnels.value || !main.contains(rows)) return;
    const { used, by, rest } = ordered();
    note.hidden = used.length < 2;
    fill(rows, used.map((n, i) => row(by[n], i, used)), rest.map((n) => row(by[n], -1, used)),
      model.tunnels.value.tunnels.length === 0 && h('li', { class: 'empty hint' }, t.empty));
  }

  async function order(names) {
    await api.act(async () => {
      await model.settings.load();
      await model.settings.change('PUT', 'settings', { via: names });
      await load();
    }, t.moved);
  }

  function swap(used, i, j) {
    const names = [...used];
    [names[i], names[j]] = [names[j], names[i]];
    return order(names);
  }

  function row(x, i, used) {
    const name = x.label || x.name;
    const on = h('input', { type: 'checkbox', role: 'switch', checked: x.enabled, 'aria-label': say(t.enabled, { name }), onchange: async () => {
      const to = on.checked;
      const done = await api.act(async () => { model.tunnels.value = await model.tunnels.change('PATCH', 'tunnels/' + x.name, { enabled: to }); return true; },
        say(t.toggled, { name, to: to ? t.on : t.off }));
      if (!done) on.checked = !to;
      list();
    } });
    const test = h('button', { type: 'button', 'aria-label': t.test + ' ' + name, onclick: () => busy(test, t.testing, () => api.act(() => call('POST', 'tunnels/' + x.name + '/test'),
      ({ value }) => (value.answered ? say(t.answered, { name, ms: value.rtt_ms.toFixed(0) }) : say(t.silent, { name, why: value.why })))) }, t.test);
    const remove = h('button', { type: 'button', class: 'quiet danger', 'aria-label': t.remove + ' ' + name, onclick: async () => {
      if (!(await confirm(say(t.removeAsk, { name }), t.removeText, t.removeYes, T.cancel))) return;
      await busy(remove, t.remove, () => api.act(async () => { model.tunnels.value = await model.tunnels.change('DELETE', 'tunnels/' + x.name); }, say(t.removed, { name })));
      list();
    } }, t.remove);
    const item = h('li', { class: 'tunnel', draggable: i >= 0 && used.length > 1, 'data-name': x.name,
      ondragstart: (e) => { dragged = x.name; e.dataTransfer.effectAllowed = 'move'; e.dataTransfer.setData('text/plain', x.name); },
      ondragover: (e) => { if (dragged && i >= 0) e.preventDefault(); },
      ondrop: (e) => {
        if (!dragged || dragged === x.name) return;
        e.preventDefault();
        const names = used.filter((n) => n !== dragged);
        names.splice(names.indexOf(x.name) + (used.indexOf(dragged) < i ? 1 : 0), 0, dragged);
        dragged = null;
        order(names);
      },
      ondragend: () => { dragged = null; } },
    h('div', { class: 'who' }, h('strong', null, name, x.label !== x.name && h('span', { class: 'hint' }, ' ' + x.name)),
      h('span', { class: 'badge', 'data-state': x.state }, T.exitState[x.state]), h('span', { class: 'hint' }, i < 0 ? t.unused : x.state === 'up' ? '' : x.reason)),
    on,
    h('dl', { class: 'facts small' }, fact(t.server, x.endpoint || '–'), fact(t.handshake, x.handshake ? ago(x.handshake) : t.never),
      fact(t.latency, x.rtt_ms ? x.rtt_ms.toFixed(0) + ' ' + T.units.ms : '–'), fact(t.availability24h, share(x.availability_24h)), fact(t.availability30d, share(x.availability_30d)),
      fact(t.carried, '↓ ' + bytes(x.rx_bytes) + '  ↑ ' + bytes(x.tx_bytes))),
    x.warnings.map((w) => h('p', { class: 'warn' }, w)),
    h('div', { class: 'row' },
      i >= 0 && used.length > 1 && [
        h('button', { type: 'button', disabled: i === 0, 'aria-label': say(t.up, { name }), onclick: () => swap(used, i, i - 1) }, '↑'),
        h('button', { type: 'button', disabled: i === used.length - 1, 'aria-label': say(t.down, { name }), onclick: () => swap(used, i, i + 1) }, '↓')],
      i < 0 && h('button', { type: 'button', onclick: () => order([...used, x.name]) }, t.use),
      test, remove));
    return item;
  }

  load();
  const timer = setInterval(() => { if (!dragged && !rows.contains(document.activeElement)) load(); }, 5000);
  return { update: (what) => { if (what === 'status' && !dragged && !rows.contains(document.activeElement)) load(); }, leave: () => clearInterval(timer) };
}

function fact(name, value) {
  return h('div', null, h('dt', null, name), h('dd', null, value));
}

// share is a part of a time in which an exit was watched, if it was.
function share(part) {
  return part === null ? '–' : (100 * part).toFixed(part > 0.99 && part < 1 ? 2 : 0) + ' %';
}

// adder takes a provider's file by drop, choice, paste or picture.
function adder(model, api, done) {
  const text = field(t.pasteLabel, h('textarea', { rows: 6, spellcheck: 'false', autocomplete: 'off' }));
  const name = field(t.name, h('input', { type: 'text', maxlength: 12, autocapitalize: 'none', autocomplete: 'off', spellcheck: 'false' }), t.nameHint);
  const said = h('div', { role: 'status' });
  const boxes = { content: text, name };
  const go = h('button', { class: 'primary' }, t.import);

  async function add(content, hint) {
    for (const b of Object.values(boxes)) b.fail('');
    put(said, say(t.importing, { name: name.control.value || hint }));
    try {
      const { value } = await call('POST', 'tunnels', { name: name.control.value || hint, content });
      const v = model.tunnels.value;
      if (v && v.via.length > 0 && !v.via.includes(value.name)) {
        await model.settings.load();
        await model.settings.change('PUT', 'settings', { via: [...v.via, value.name] });
      }
      text.control.value = '';
      name.control.value = '';
      fill(said, value.warnings.length > 0 && h('div', { class: 'warn' }, h('p', null, t.ignored), h('ul', null, value.warnings.map((w) => h('li', null, w)))));
      tell(say(t.added, { name: value.name }));
      await done();
    } catch (e) {
      put(said, '');
      open.open = true;
      const rest = failures(e, boxes);
      if (rest.length) text.fail(rest.join(' '));
    }
  }

  async function file(f) {
    if (!f) return;
    if (f.type.startsWith('image/')) {
      put(said, t.reading);
      const content = await scan(f).catch(() => null);
      if (content) await add(content, 'tunnel.conf');
      else { put(said, ''); tell(t.noQR, true); }
      return;
    }
    const content = await f.text();
    if (content.includes('\0') || content.length > 500000) tell(t.notText, true);
    else await add(content, f.name);
  }

  const chooser = (accept, id) => h('input', { type: 'file', id, class: 'visually-hidden', accept, onchange: async (e) => { const f = e.target.files[0]; await file(f); e.target.value = ''; } });
  const zone = h('div', { class: 'drop',
    ondragover: (e) => { if (e.dataTransfer.types.includes('Files')) { e.preventDefault(); zone.classList.add('over'); } },
    ondragleave: () => zone.classList.remove('over'),
    ondrop: (e) => { e.preventDefault(); zone.classList.remove('over'); file(e.dataTransfer.files[0]); } },
  h('p', null, t.drop),
  h('div', { class: 'row center' }, chooser('.conf,.txt,.ovpn,text/plain', 'file'), h('label', { class: 'button primary', for: 'file' }, t.choose),
    chooser('image/*', 'picture'), h('label', { class: 'button', for: 'picture' }, t.qr)));
  const open = h('details', null, h('summary', null, t.paste), h('form', { onsubmit: (e) => { e.preventDefault(); busy(go, t.import, () => add(text.control.value, 'tunnel.conf')); } }, text, name, go));
  return h('section', { class: 'card', 'aria-labelledby': 'add' }, h('h2', { id: 'add' }, t.add), zone, open, said);
}
