import { T, say } from './text.js';
import { h, fill, put } from './dom.js';
import { span, ago, clock, number } from './units.js';
import { stretches, dropouts, midnight } from './timeline.js';
import { curve } from './curve.js';
import { deviceName } from './devices.js';
import { sentence } from './sentence.js';

const t = T.overview;

export function overview(main, model, api) {
  const word = h('h1', { id: 'state', tabindex: '-1' });
  const why = h('p', { class: 'why' });
  const reason = h('p', { class: 'reason' });
  const since = h('p', { class: 'hint', 'aria-live': 'off' }); // it counts, and must not be read out each time
  const action = h('div', { class: 'row' });
  const hero = h('section', { class: 'hero', 'aria-live': 'polite', 'aria-labelledby': 'state' }, word, why, reason, since, action);
  const warn = h('div');
  const facts = h('dl', { class: 'facts' });
  const live = curve();
  const today = h('div', { class: 'timeline', role: 'img' });
  const todayText = h('p', { class: 'hint' });
  const blocked = h('p', { class: 'big' });
  const behind = h('ul', { class: 'plain' });
  const locks = h('dl', { class: 'facts' });
  fill(main, hero, warn, h('div', { class: 'grid' },
    card(t.exit, facts), card(t.traffic, live.element, t.live), card(t.today, [today, h('div', { class: 'hours', 'aria-hidden': 'true' }, ['0', '6', '12', '18', '24'].map((x) => h('span', null, x))), todayText]),
    card(t.blocked, [blocked, behind]), card(t.locks, locks)));

  // What counts: texts that are made anew each second.
  let counting = [];
  const tick = () => { for (const [e, text] of counting) put(e, text()); };
  const counts = (text) => {
    const e = h('span', null, text());
    counting.push([e, text]);
    return e;
  };

  let shownAction = null;
  const act = (kind) => {
    if (kind === shownAction) return;
    shownAction = kind;
    if (kind === 'on') {
      fill(action, h('button', { class: 'primary', type: 'button', onclick: async () => {
        await api.act(async () => { await model.settings.load(); return model.settings.change('PUT', 'settings', { enabled: true }); }, t.onDone);
      } }, t.on));
    } else if (kind === 'first') {
      fill(action, h('a', { class: 'button primary', href: '#/tunnels' }, t.firstGo));
    } else fill(action);
  };

  function status() {
    const s = model.status;
    const state = model.state;
    hero.dataset.state = state;
    put(word, T.state[state]);
    const fallback = s && state === 'open' && s.reason.startsWith('no exit');
    put(why, sentence(model));
    if (!s) return;
    counting = [[since, () => say(t.since, { time: clock(s.since), ago: lasting(s.since) })]];
    put(reason, state === 'gone' ? '' : s.reason.replace(/, handshake \S+ ago$/, '')); // its age counts below
    act(state === 'gone' ? '' : s.exits.length === 0 ? 'first' : state === 'open' && !fallback ? 'on' : '');
    fill(warn,
      !s.killswitch && state !== 'open' && h('p', { class: 'warn' }, t.killswitchOff),
      !s.config.valid && h('div', { class: 'warn' }, h('p', null, t.configBad), h('ul', null, (s.config.errors || []).map((e) => h('li', null, e)))),
      s.error && h('p', { class: 'warn' }, t.planBad + s.error));
    const e = s.exits.find((x) => x.in_use) || s.exits[0];
    fill(facts, e ? [
      fact(t.exit, e.name + ' · ' + T.exitState[e.state]), fact(t.server, e.endpoint || t.none),
      fact(t.seen, h('span', { id: 'seen' }, seenAs(e))),
      fact(t.connected, e.state === 'up' ? counts(() => lasting(e.since)) : t.none),
      fact(t.latency, e.rtt_ms ? e.rtt_ms.toFixed(0) + ' ' + T.units.ms : t.none),
      fact(t.handshake, e.handshake ? counts(() => ago(e.handshake)) : t.none), fact(t.resolvers, e.resolvers.join(', ') || t.none),
      fact(t.ipv6, e.ipv6 ? t.carried : t.refused)] : fact(t.exit, t.none));
    fill(locks, fact(t.routing, mark(s.locks.routing)), fact(t.firewall + ' (' + s.firewall + ')', mark(s.locks.firewall)), fact(t.repairs, number(s.healed)), fact(t.running, counts(() => lasting(s.started))));
    tick();
    if (state === 'gone') { // it stands still
      counting = [];
      put(since, '');
    }
    fill(blocked, number(s.blocked.packets), h('span', { class: 'hint' }, ' ' + t.blockedText));
  }

  function day() {
    const now = Date.now();
    const from = midnight(now);
    const parts = stretches(model.today, from, now);
    fill(today, parts.map((p) => {
      const bar = h('span', { 'data-state': p.state, title: T.state[p.state] + ', ' + clock(p.from) + ' – ' + clock(p.to) });
      bar.style.left = (100 * (p.from - from)) / 864e5 + '%';
      bar.style.width = (100 * (p.to - p.from)) / 864e5 + '%';
      return bar;
    }));
    const gaps = dropouts(model.today, from, now);
    const total = span(gaps.reduce((sum, d) => sum + d.to - d.from, 0));
    const text = parts.length === 0 ? t.todayNone : gaps.length === 0 ? t.noDropouts : say(gaps.length === 1 ? t.dropout1 : t.dropouts, { n: gaps.length, time: total });
    put(todayText, text);
    today.setAttribute('aria-label', text);
    today.dataset.dropouts = gaps.length;
  }

  async function who() {
    const d = await model.devices.load().catch(() => null);
    if (!d || !main.contains(behind)) return;
    const worst = d.devices.filter((x) => x.blocked_packets > 0).sort((a, b) => b.blocked_packets - a.blocked_packets).slice(0, 4);
    fill(behind, worst.map((x) => h('li', null, h('span', null, deviceName(x)), h('span', { class: 'num' }, number(x.blocked_packets)))));
  }

  status();
  day();
  who();
  live.draw(model.samples);
  const slow = setInterval(day, 30000);
  const fast = setInterval(tick, 1000);
  return {
    update(what) {
      if (what === 'status') { status(); if (model.state !== 'gone') who(); }
      if (what === 'traffic') live.draw(model.samples);
      if (what === 'event') day();
    },
    leave: () => { clearInterval(slow); clearInterval(fast); },
  };
}

const lasting = (since) => span(Date.now() - new Date(since));

// seenAs is the address that the world sees, or why it is not known.
function seenAs(e) {
  if (!e.in_use) return t.none;
  if (!e.seen_as) return t.seenSoon;
  const a = e.seen_as.addresses;
  return a.length > 0 ? a.map((x) => h('span', { class: 'line' }, x + ' ')) : say(t.seenNot, { why: e.seen_as.why });
}

function card(title, content, note) {
  return h('section', { class: 'card' }, h('h2', null, title, note && h('span', { class: 'hint' }, ' ' + note)), content);
}

function fact(name, value) {
  return h('div', null, h('dt', null, name), h('dd', null, value));
}

function mark(holds) {
  return h('span', { class: holds ? 'good' : 'bad' }, holds ? T.overview.holds : T.overview.absent);
}

