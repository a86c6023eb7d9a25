import { T, say } from './text.js';
import { h, fill, field, failures, busy } from './dom.js';
import { call, get } from './api.js';

// login shows the form, or how to set the first password, and calls done when
// somebody has signed in.
export async function login(root, done) {
  document.title = T.login.title + ' · ' + T.app;
  const s = await get('session').catch(() => null);
  const brand = h('p', { class: 'brand' }, h('img', { src: '/icon.svg', alt: '', width: 40, height: 40 }), T.app);
  if (s && !s.value.password_set) {
    const how = s.value.how_to;
    fill(root, h('main', { class: 'login card' }, brand, h('h1', null, T.login.first),
      h('p', null, say(T.login.firstText, { how: how.charAt(0).toUpperCase() + how.slice(1) })),
      h('button', { type: 'button', class: 'primary', onclick: () => login(root, done) }, T.login.firstGo)));
    return;
  }
  const password = field(T.login.password, h('input', { type: 'password', name: 'password', autocomplete: 'current-password', required: true }));
  const go = h('button', { class: 'primary' }, T.login.go);
  const form = h('form', {
    onsubmit: async (e) => {
      e.preventDefault();
      await busy(go, T.login.busy, async () => {
        try {
          await call('POST', 'login', { password: password.control.value });
          await done();
        } catch (err) {
          const rest = failures(err, { password });
          if (rest.length) password.fail(rest[0]);
        }
      });
    },
  }, password, go);
  fill(root, h('main', { class: 'login card' }, brand, h('h1', null, T.login.title), form));
  password.control.focus();
}
