import { T, say } from './text.js';
import { h, fill, field, failures, select, confirm, busy, tell } from './dom.js';
import { call, get } from './api.js';

const t = T.settings;

// groups say which options are shown, and how.
const groups = [
  [t.groupProtect, [['enabled', 'bool'], ['killswitch', 'bool', t.killswitchHint], ['ipv6', 'choice'], ['router_traffic', 'choice']]],
  [t.groupDNS, [['dns', 'choice'], ['resolver', 'list', t.listHint], ['block_dot', 'bool'], ['block_doh', 'bool'], ['bootstrap', 'list', t.bootstrapHint]]],
  [t.groupNet, [['lan_device', 'list', t.listHint], ['wan_device', 'list', t.listHint], ['lan_network', 'list', t.listHint], ['wan_network', 'list', t.listHint]]],
  [t.groupMore, [['firewall', 'choice'], ['log_level', 'choice'], ['webui_listen', 'text', t.webui_listenHint]]],
];

export function settings(main, model, api) {
  const body = h('div', null, h('p', { class: 'hint' }, T.loading));
  fill(main, h('h1', null, t.title), body);
  model.settings.load().then((v) => { if (main.contains(body)) form(v); }).catch(() => {});

  function form(v) {
    const boxes = {};
    const make = ([name, kind, hint]) => {
      const label = t[name];
      if (kind === 'bool') boxes[name] = field(label, h('input', { type: 'checkbox', role: 'switch', checked: v[name] }), hint);
      if (kind === 'choice') boxes[name] = field(label, select(Object.entries(t[name + 'Opt']), v[name]), hint);
      if (kind === 'text') boxes[name] = field(label, h('input', { type: 'text', value: v[name], spellcheck: 'false', autocomplete: 'off' }), hint);
      if (kind === 'list') boxes[name] = field(label, h('textarea', { rows: Math.max(2, v[name].length), value: v[name].join('\n'), spellcheck: 'false' }), hint);
      return boxes[name];
    };
    const go = h('button', { class: 'primary' }, t.save);
    const rest = h('p', { class: 'error', role: 'alert' });
    fill(body, h('form', { onsubmit: (e) => { e.preventDefault(); save(v, boxes, go, rest); } },
      groups.map(([title, options]) => h('fieldset', { class: 'card' }, h('legend', null, title), options.map(make))), rest, go),
    exceptions(api),
    h('section', { class: 'card row spread' }, h('span', { class: 'hint' }, say(t.about, { version: model.status ? model.status.version : '' })),
      h('button', { type: 'button', onclick: api.signOut }, t.signOut)));
  }

  async function save(v, boxes, go, rest) {
    const change = {};
    for (const [name, box] of Object.entries(boxes)) {
      const c = box.control;
      const now = c.type === 'checkbox' ? c.checked : Array.isArray(v[name]) ? c.value.split(/\s+/).filter(Boolean) : c.value.trim();
      if (JSON.stringify(now) !== JSON.stringify(v[name])) change[name] = now;
    }
    if (Object.keys(change).length === 0) { tell(t.unchanged); return; }
    if (change.enabled === false && !(await confirm(t.enabledOff, t.enabledOffText, t.enabledOffYes, T.cancel))) return;
    if (change.killswitch === false && !(await confirm(t.killswitchOff, t.killswitchOffText, t.killswitchOffYes, T.cancel))) return;
    await busy(go, t.save, async () => {
      try {
        fill(rest);
        model.settings.value = await model.settings.change('PUT', 'settings', change);
        tell(t.saved);
        form(model.settings.value);
      } catch (e) {
        const left = failures(e, boxes);
        fill(rest, left.join(' '));
        if (left.length) tell(T.error.title.replace('{why}', left[0]), true);
      }
    });
  }
}

function exceptions(api) {
  const rows = h('ul', { class: 'plain' });
  let revision = '';
  const boxes = {
    label: field(t.label, h('input', { type: 'text', maxlength: 60, required: true })),
    dest: field(t.dest, h('input', { type: 'text', required: true, spellcheck: 'false' }), t.destHint),
    proto: field(t.proto, select(Object.entries(t.protoOpt), 'any')),
    port: field(t.port, h('input', { type: 'text' }), t.portHint),
    device: field(t.device, h('input', { type: 'text', spellcheck: 'false' }), t.deviceHint),
    until: field(t.until, h('input', { type: 'text' }), t.untilHint),
  };
  const words = (name) => boxes[name].control.value.split(/[\s,]+/).filter(Boolean);
  const show = (all) => fill(rows, all.length === 0 ? h('li', { class: 'hint' }, t.exceptionsNone) : all.map((x) => h('li', null,
    h('span', null, h('strong', null, x.label), ' ', h('span', { class: 'hint' }, [x.dest.join(', '), x.proto, x.port.join(', '), x.device.join(', '), x.until].filter(Boolean).join(' · '))),
    h('button', { type: 'button', 'aria-label': t.remove + ' ' + x.label, onclick: async () => {
      if (!(await confirm(say(t.removeAsk, { name: x.label }), t.removeText, t.remove, T.cancel))) return;
      const a = await api.act(() => call('DELETE', 'exceptions/' + x.id, undefined, revision), say(t.removed, { name: x.label }));
      if (a) { revision = a.revision; show(a.value); } else load();
    } }, t.remove))));
  const load = () => get('exceptions').then((a) => { revision = a.revision; show(a.value); }).catch(() => {});
  const go = h('button', null, t.addException);
  load();
  return h('section', { class: 'card' }, h('h2', null, t.exceptions), h('p', { class: 'hint' }, t.exceptionsText), rows,
    h('details', null, h('summary', null, t.addException), h('form', { onsubmit: (e) => {
      e.preventDefault();
      busy(go, t.addException, async () => {
        try {
          const { value } = await call('POST', 'exceptions', { id: '', label: boxes.label.control.value, dest: words('dest'), proto: boxes.proto.control.value,
            port: words('port'), device: words('device'), until: boxes.until.control.value.trim() });
          tell(say(t.added, { name: value.label }));
          e.target.reset();
          await load();
        } catch (err) {
          const rest = failures(err, boxes);
          if (rest.length) tell(T.error.title.replace('{why}', rest[0]), true);
        }
      });
    } }, Object.values(boxes), go)));
}
