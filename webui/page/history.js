import { T, say } from './text.js';
import { h, fill, put, select } from './dom.js';
import { moment, clock, span } from './units.js';
import { dropouts } from './timeline.js';

const t = T.history;
const page = 40;

export function history(main, model, api) {
  let limit = page;
  let waiting = 0;
  let second = 0;
  const search = h('input', { type: 'search', placeholder: t.search, 'aria-label': t.search, oninput: later });
  const kind = select([['', t.all], ...Object.entries(t.kinds)], '', { 'aria-label': t.kind, onchange: later });
  const gaps = h('ul', { class: 'plain' });
  const none = h('p', { class: 'hint', role: 'status' });
  const rows = h('ul', { class: 'events' });
  const more = h('button', { type: 'button', onclick: () => { limit += 200; list(); } }, t.more);
  let looking = false;
  let left = false;
  fill(main, h('h1', null, t.title), h('section', { class: 'card' }, h('h2', null, t.dropouts), gaps),
    h('section', { class: 'card' }, h('h2', null, t.events), h('div', { class: 'row' }, search, kind), none, rows, more));

  // Typing is answered when it pauses: ten thousand lines are a lot to look
  // through for each letter.
  function later() {
    limit = page;
    clearTimeout(waiting);
    waiting = setTimeout(list, 120);
  }

  function list() {
    const wanted = search.value.trim().toLowerCase();
    const found = [];
    for (let i = model.events.length - 1; i >= 0 && found.length <= limit; i--) {
      const e = model.events[i];
      if ((!kind.value || e.kind === kind.value) && (!wanted || (e.text + ' ' + e.exit).toLowerCase().includes(wanted))) found.push(e);
    }
    if (found.length <= limit && !model.complete) further();
    more.hidden = found.length <= limit;
    put(none, looking ? T.loading : model.events.length === 0 ? t.empty : found.length === 0 ? t.noMatch : '');
    fill(rows, found.slice(0, limit).map((e) => h('li', { 'data-kind': e.kind, 'data-state': e.exit ? '' : e.state || '' },
      h('time', { datetime: e.time }, moment(e.time)), h('span', { class: 'kind' }, t.kinds[e.kind] || e.kind), h('span', null, e.text))));
  }

  // further asks for older events until there are enough to show, a thousand
  // at a time.
  async function further() {
    if (looking || left) return;
    looking = true;
    await api.older();
    looking = false;
    if (!left) show();
  }

  // show makes the two lists in tasks of their own, so that a slow telephone
  // scrolls in between.
  function show() {
    list();
    clearTimeout(second);
    second = setTimeout(breaks, 0);
  }

  function breaks() {
    const now = Date.now();
    const all = dropouts(model.events, 0, now).reverse().slice(0, 20);
    fill(gaps, all.length === 0 ? h('li', { class: 'hint' }, t.noDropouts) : all.map((d) => h('li', null,
      say(t.dropout, { from: clock(d.from), to: d.to >= now ? t.going : clock(d.to), time: span(d.to - d.from) }))));
  }

  show();
  return { update: (what) => { if (what === 'event') show(); }, leave: () => { left = true; clearTimeout(waiting); clearTimeout(second); } };
}
