import { T } from './text.js';
import { h, fill, put, tell } from './dom.js';
import { call, get, resource, onSignedOut } from './api.js';
import { login } from './login.js';
import { overview } from './overview.js';
import { devices } from './devices.js';
import { tunnels } from './tunnels.js';
import { leaktest } from './leaktest.js';
import { history } from './history.js';
import { settings } from './settings.js';
import { midnight } from './timeline.js';
import { sentence } from './sentence.js';

const views = { overview, devices, tunnels, leaktest, history, settings };
const firstEvents = 100; // the newest; history asks for more
const nextEvents = 1000;
const mostSamples = 61; // two minutes, one every two seconds

// model is what the page knows. Views read it, and are told when it changes.
export const model = {
  state: '', status: null, samples: [],
  today: [], // changes of state, for the timeline
  events: [], complete: false, // the newest of everything, and whether that is all
  devices: resource('devices'), tunnels: resource('tunnels'), settings: resource('settings'),
};

const root = document.getElementById('app');
let view = null;
let stream = null;
let lost = 0; // timer: the agent may be starting again

function shell() {
  const main = h('main', { id: 'main', tabindex: '-1' });
  const links = Object.fromEntries(Object.keys(views).map((name) => [name,
    h('a', { href: '#/' + name }, icon(name), h('span', null, T.nav[name]))]));
  const badge = h('span', { class: 'badge', 'data-state': '' }, T.state['']);
  const gone = h('p', { class: 'gone', role: 'alert', hidden: true });
  fill(root,
    h('a', { class: 'skip', href: '#main', onclick: (e) => { e.preventDefault(); main.focus(); } }, T.skip),
    h('header', null, h('a', { class: 'brand', href: '#/overview' }, h('img', { src: '/icon.svg', alt: '', width: 28, height: 28 }), T.app), badge),
    h('nav', { 'aria-label': T.nav.label }, Object.values(links)),
    h('div', { class: 'body' }, gone, main));
  const show = () => {
    const name = location.hash.replace(/^#\//, '') in views ? location.hash.replace(/^#\//, '') : 'overview';
    for (const [n, a] of Object.entries(links)) {
      if (n === name) a.setAttribute('aria-current', 'page');
      else a.removeAttribute('aria-current');
    }
    shell.head();
    document.title = T.nav[name] + ' · ' + T.app;
    if (view && view.leave) view.leave();
    fill(main);
    view = views[name](main, model, api);
    scrollTo(0, 0);
  };
  addEventListener('hashchange', shell.show = show);
  shell.head = () => {
    put(badge, T.state[model.state]);
    badge.dataset.state = model.state;
    put(gone, sentence(model));
    gone.hidden = model.state !== 'gone' || /^(#\/overview)?$/.test(location.hash); // there it is said already
  };
  shell.head();
  show();
}

// api is what views may do beside reading the model.
const api = {
  // act runs a change, says how it went, and throws nothing.
  async act(work, done) {
    try {
      const v = await work();
      if (done) tell(typeof done === 'function' ? done(v) : done);
      return v;
    } catch (e) {
      tell(T.error.title.replace('{why}', e.message), true);
      return null;
    }
  },
  // older asks for events before those that are known.
  async older() {
    const oldest = model.events[0];
    const more = (await get('events?limit=' + nextEvents + (oldest ? '&before=' + encodeURIComponent(oldest.time) : '')).catch(noEvents)).value;
    model.events = [...more, ...model.events];
    model.complete = more.length < nextEvents;
  },
  signOut: async () => { await call('POST', 'logout').catch(() => {}); signIn(); },
};

function changed(what) {
  if (shell.head) shell.head();
  if (view && view.update) view.update(what);
}

function icon(name) {
  const paths = {
    overview: 'M12 3 4 6v6c0 5 3.500 8 8 9.500 4.500-1.500 8-4.500 8-9.500V6z',
    devices: 'M4 5h12v9H4zM2 18h10M18 9h4v11h-6V9z',
    tunnels: 'M3 12a4 4 0 0 1 4-4h10a4 4 0 0 1 0 8H7a4 4 0 0 1-4-4zM9 12h6',
    leaktest: 'M12 3c4 5 6 7.500 6 11a6 6 0 0 1-12 0c0-3.500 2-6 6-11z',
    history: 'M12 7v5l3 3M21 12a9 9 0 1 1-3-6.700M21 4v4h-4',
    settings: 'M4 7h10M18 7h2M4 17h2M10 17h10M14 5v4M8 15v4',
  };
  return h('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, h('path', { d: paths[name] }));
}

// listen follows the agent. The browser connects again by itself, and names
// the last event it has seen.
function listen() {
  if (stream) stream.close();
  stream = new EventSource('/api/v1/stream');
  stream.addEventListener('status', (e) => {
    clearTimeout(lost);
    model.status = JSON.parse(e.data);
    model.state = model.status.state;
    changed('status');
  });
  stream.addEventListener('traffic', (e) => {
    model.samples.push(JSON.parse(e.data));
    model.samples.splice(0, model.samples.length - mostSamples);
    changed('traffic');
  });
  stream.addEventListener('event', (e) => {
    const v = JSON.parse(e.data);
    const last = model.events[model.events.length - 1];
    if (last && v.id <= last.id) return;
    model.events.push(v);
    if (v.kind === 'state') model.today.push(v);
    changed('event');
  });
  stream.onerror = () => {
    clearTimeout(lost);
    lost = setTimeout(async () => {
      const s = await get('session').catch(() => null);
      if (s && !s.value.signed_in) { signIn(); return; }
      model.state = 'gone';
      changed('status');
      // A refusal ends a stream for good; a connection that broke does not.
      if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
    }, 1200);
  };
}

const noEvents = () => ({ value: [] });

async function begin() {
  const since = new Date(midnight(Date.now())).toISOString();
  [model.today, model.events] = (await Promise.all([
    get('events?kind=state&limit=300&since=' + since).catch(noEvents), get('events?limit=' + firstEvents).catch(noEvents)])).map((a) => a.value);
  model.complete = model.events.length < firstEvents;
  shell();
  listen();
}

// signIn shows the sign-in page, or how to set a password, until it is done.
function signIn() {
  if (stream) stream.close();
  stream = null;
  clearTimeout(lost);
  removeEventListener('hashchange', shell.show);
  if (view && view.leave) view.leave();
  view = null;
  Object.assign(model, { state: '', status: null, samples: [], today: [], events: [], complete: false });
  login(root, begin);
}

onSignedOut(() => { if (stream) signIn(); });

async function start() {
  const s = await get('session').catch(() => null);
  if (!s) {
    fill(root, h('p', { class: 'gone', role: 'alert' }, T.sentence.gone));
    setTimeout(start, 2000);
  } else if (s.value.signed_in) {
    await begin();
  } else {
    signIn();
  }
}

start();
