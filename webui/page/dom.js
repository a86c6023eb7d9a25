// h makes an element: h('button', {class: 'x', onclick: f}, 'text', child).
// Text is always text; nothing here reads HTML.
export function h(tag, props, ...children) {
  const svg = tag === 'svg' || tag === 'path' || tag === 'rect' || tag === 'line';
  const e = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) e.addEventListener(name.slice(2), value);
    else if (['value', 'checked', 'disabled', 'hidden', 'draggable'].includes(name)) e[name] = value; // draggable="" would mean no
    else e.setAttribute(name, value === true ? '' : value);
  }
  add(e, children);
  return e;
}

function add(e, children) {
  for (const c of children.flat(Infinity)) {
    if (c === undefined || c === null || c === false) continue;
    e.append(c instanceof Node ? c : document.createTextNode(String(c)));
  }
}

// fill replaces what is in an element.
export function fill(e, ...children) {
  e.replaceChildren();
  add(e, children);
  return e;
}

// put changes a text only where it differs, so that nothing is laid out anew.
export function put(e, text) {
  text = String(text);
  if (e.textContent !== text) e.textContent = text;
}

let fields = 0;

// field is a labelled control with a place for its error.
export function field(label, control, hint) {
  const id = control.id || 'f' + ++fields;
  control.id = id;
  const error = h('p', { class: 'error', id: id + 'e', hidden: true });
  const note = hint && h('p', { class: 'hint', id: id + 'h' }, hint);
  control.setAttribute('aria-describedby', (hint ? id + 'h ' : '') + id + 'e');
  const check = control.type === 'checkbox';
  const l = h('label', { for: id }, label);
  const box = h('div', { class: check ? 'field check' : 'field' }, check ? [control, l] : [l, control], note, error);
  box.control = control;
  box.fail = (text) => {
    error.hidden = !text;
    put(error, text || '');
    if (text) control.setAttribute('aria-invalid', 'true');
    else control.removeAttribute('aria-invalid');
  };
  return box;
}

// failures puts the errors of an answer beside their fields, and returns those
// that have none.
export function failures(err, boxes) {
  for (const b of Object.values(boxes)) b.fail('');
  let first = null;
  const rest = [];
  for (const e of err.errors || [{ error: err.message, field: err.field }]) {
    const box = boxes[e.field];
    if (!box) { rest.push(e.error); continue; }
    box.fail(e.error);
    first = first || box.control;
  }
  if (first) first.focus();
  return rest;
}

export function select(options, value, props = {}) {
  const s = h('select', props, options.map(([v, text]) => h('option', { value: v }, text)));
  s.value = value;
  return s;
}

// confirm asks before something that hurts.
export function confirm(title, text, yes, no) {
  return new Promise((done) => {
    const d = h('dialog', { 'aria-labelledby': 'ask', role: 'alertdialog', 'aria-describedby': 'askt' },
      h('h2', { id: 'ask' }, title), h('p', { id: 'askt' }, text),
      h('div', { class: 'row end' },
        h('button', { type: 'button', onclick: () => d.close('') }, no),
        h('button', { type: 'button', class: 'danger', onclick: () => d.close('yes') }, yes)));
    d.addEventListener('close', () => { d.remove(); done(d.returnValue === 'yes'); });
    document.body.append(d);
    d.showModal();
  });
}

// choose asks for one of several, [value, text] each; null if for none.
export function choose(title, options, value, no) {
  return new Promise((done) => {
    let chosen = null;
    const d = h('dialog', { 'aria-labelledby': 'choice', class: 'choice' }, h('h2', { id: 'choice' }, title),
      options.map(([v, text]) => h('button', { type: 'button', 'aria-pressed': String(v === value), 'data-value': v, onclick: () => { chosen = v; d.close(); } }, text)),
      h('button', { type: 'button', class: 'quiet', onclick: () => d.close() }, no));
    d.addEventListener('close', () => { d.remove(); done(chosen); });
    document.body.append(d);
    d.showModal();
  });
}

let toastTimer;

// tell shows, and speaks, the result of an action.
export function tell(text, bad) {
  let box = document.getElementById('toast');
  if (!box) {
    box = h('div', { id: 'toast', role: 'status', 'aria-live': 'polite' });
    document.body.append(box);
  }
  box.className = bad ? 'show bad' : 'show';
  put(box, text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { box.className = ''; }, bad ? 9000 : 5000);
}

// busy keeps a button from being pressed twice, and says that it works.
export async function busy(button, text, work) {
  const before = [...button.childNodes];
  button.disabled = true;
  button.setAttribute('aria-busy', 'true');
  fill(button, text);
  try {
    return await work();
  } finally {
    button.disabled = false;
    button.removeAttribute('aria-busy');
    fill(button, before);
  }
}
