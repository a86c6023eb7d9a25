import { T } from './text.js';

// ApiError is an answer that is an error: its status, the field, all of them.
export class ApiError extends Error {
  constructor(status, body) {
    super(body.error || T.error.offline);
    this.status = status;
    this.field = body.field || '';
    this.errors = body.errors;
  }
}

// signedOut is called when the session is over.
let signedOut = () => {};
export const onSignedOut = (f) => { signedOut = f; };

// call asks the agent. A change names the revision that it was made from.
export async function call(method, path, body, revision) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (revision) headers['If-Match'] = revision;
  let resp;
  try {
    resp = await fetch('/api/v1/' + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'same-origin' });
  } catch {
    throw new ApiError(0, { error: T.error.offline });
  }
  const value = await resp.json().catch(() => ({}));
  if (!resp.ok) {
    if (resp.status === 401 && path !== 'login') signedOut();
    if (resp.status === 412) value.error = T.error.stale;
    throw new ApiError(resp.status, value);
  }
  return { value, revision: resp.headers.get('ETag') || '' };
}

export const get = (path) => call('GET', path);

// cached answers that a page keeps while it is open: devices, tunnels, settings.
export function resource(path) {
  const r = {
    value: null, revision: '',
    async load() {
      const a = await get(path);
      r.value = a.value;
      r.revision = a.revision;
      return r.value;
    },
    // change sends an edit of what was last read, and reads again if somebody
    // else was faster.
    async change(method, at, body) {
      try {
        const a = await call(method, at, body, r.revision);
        if (a.revision) r.revision = a.revision;
        return a.value;
      } catch (e) {
        if (e.status === 412) await r.load();
        throw e;
      }
    },
  };
  return r;
}
