// What the scripts share: the browser, the way back to the Go test, axe.
import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// ask has the Go test do something, and waits for what came of it.
export async function ask(what, text = '') {
  process.stdout.write(JSON.stringify({ do: what, text }) + '\n');
  const { value } = await lines.next();
  const answer = JSON.parse(value);
  if (answer.error) throw new Error(`${what}: ${answer.error}`);
  return answer.value;
}

export const note = (text) => ask('note', text);

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export async function open(size, scheme) {
  const context = await chromium.launchPersistentContext(process.env.PROFILE + '/' + size.width + scheme, {
    executablePath: '/usr/bin/chromium', viewport: size, colorScheme: scheme, deviceScaleFactor: 1, locale: 'en-GB', timezoneId: 'UTC',
    reducedMotion: 'reduce', hasTouch: size.width < 500, isMobile: size.width < 500,
    args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const page = context.pages()[0] || await context.newPage();
  page.setDefaultTimeout(20000);
  const complaints = [];
  const outside = [];
  page.on('console', (m) => { if (m.type() === 'error' && !/status of (401|403|412|400|503)|ERR_(CONNECTION|INCOMPLETE|NETWORK|EMPTY|SOCKET|TIMED)/.test(m.text())) complaints.push(m.text()); });
  page.on('pageerror', (e) => complaints.push(String(e)));
  page.on('request', (r) => { if (!r.url().startsWith(process.env.ADDRESS) && !/^(data|blob):/.test(r.url())) outside.push(r.url()); });
  return { context, page, complaints, outside };
}

// axe returns what it finds wrong, in one line each.
export async function axe(page) {
  // The page's policy lets no script in that is not its own: axe is put there
  // by the debugger.
  if (!(await page.evaluate('typeof axe !== "undefined"'))) await page.evaluate(axeSource + '; undefined');
  const found = await page.evaluate(`axe.run(document, { resultTypes: ['violations'] })`);
  return found.violations.map((v) => `${v.id} (${v.impact}): ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.target.join(' ') + ' ' + (n.any[0] ? n.any[0].message : '')).join('; ')}`);
}

export function check(ok, text) {
  if (!ok) throw new Error(text);
}

// until asks the page until the answer is yes. Playwright's own way of waiting
// for a function needs eval, which the page's policy forbids.
export async function until(page, f, arg, { timeout = 20000 } = {}) {
  const end = Date.now() + timeout;
  for (;;) {
    if (await page.evaluate(f, arg)) return;
    if (Date.now() > end) throw new Error(`waited ${timeout} ms for ${f} ${JSON.stringify(arg ?? '')}`);
    await new Promise((next) => { setTimeout(next, 50); });
  }
}
