import { T, say } from './text.js';
import { h, fill, put, busy } from './dom.js';
import { call, get } from './api.js';
import { clock, number } from './units.js';

const t = T.leaktest;

export function leaktest(main, model, api) {
  const go = h('button', { type: 'button', class: 'primary', onclick: start }, t.start);
  const verdict = h('div', { class: 'verdict', role: 'status' });
  const table = h('div');
  const check = h('button', { type: 'button', onclick: verify }, t.verify);
  const checked = h('div', { role: 'status' });
  let timer = 0;
  fill(main, h('h1', null, t.title), h('section', { class: 'card' }, h('p', null, t.text), go, verdict, table),
    h('section', { class: 'card' }, h('h2', null, t.tool), check, checked));

  function show(d) {
    const running = d.state === 'running';
    go.disabled = running;
    put(go, running ? t.running : d.state === 'done' ? t.again : t.start);
    go.toggleAttribute('aria-busy', running);
    verdict.dataset.verdict = d.verdict;
    fill(verdict, running ? h('progress', { 'aria-label': t.running }) : d.state === 'none' ? h('p', { class: 'hint' }, t.never)
      : [h('h2', null, t[d.verdict]), h('p', null, d.why.charAt(0).toUpperCase() + d.why.slice(1) + '.'), h('p', { class: 'hint' }, say(t.at, { time: clock(d.finished) }))]);
    fill(table, d.probes.length > 0 && h('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': t.title }, h('table', null,
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, t.way), h('th', { scope: 'col', class: 'num' }, t.sent), h('th', { scope: 'col', class: 'num' }, t.leaked))),
      h('tbody', null, d.probes.map((p) => h('tr', null, h('td', null, p.name), h('td', { class: 'num' }, number(p.sent)), h('td', { class: p.leaked ? 'num bad' : 'num good' }, number(p.leaked))))))),
    d.leaks.length > 0 && h('ul', null, d.leaks.map((l) => h('li', null, l))));
    clearTimeout(timer);
    if (running) timer = setTimeout(load, 700);
  }

  const load = () => get('leaktest').then(({ value }) => show(value)).catch(() => { timer = setTimeout(load, 3000); });

  async function start() {
    const a = await api.act(() => call('POST', 'leaktest'));
    if (a) show(a.value);
  }

  async function verify() {
    await busy(check, t.verifying, async () => {
      const a = await api.act(() => call('POST', 'verify'));
      if (!a) return;
      const d = a.value;
      fill(checked, h('p', { class: d.ok ? 'good' : 'bad' }, d.ok ? t.verified : say(t.differs, { n: d.findings.length })),
        h('ul', null, d.findings.map((f) => h('li', null, f.where + ': ' + f.what)), d.notes.map((n) => h('li', { class: 'hint' }, n))));
    });
  }

  load();
  return { leave: () => clearTimeout(timer) };
}
