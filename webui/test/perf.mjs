// 250 devices and 10,000 events on a telephone: what the first load weighs,
// and how long the page keeps its main thread busy at a stretch. Chromium's
// trace says how much processor time each task took; a telephone is taken to
// be four times slower. Processor time, because the time on the wall is also
// that of the machine's other work.
import { open, until, check } from './common.mjs';

const slowdown = 4;
const longest = 50; // ms
const most = 60000; // bytes of the page, packed

const { context, page, complaints } = await open({ width: 390, height: 844 }, 'light');
const cdp = await context.newCDPSession(page);
await cdp.send('Network.enable');
const requests = new Map();
let weight = 0;
cdp.on('Network.responseReceived', (e) => requests.set(e.requestId, new URL(e.response.url).pathname));
cdp.on('Network.loadingFinished', (e) => { if (!(requests.get(e.requestId) || '').startsWith('/api/')) weight += e.encodedDataLength; });

const tasks = [];
cdp.on('Tracing.dataCollected', ({ value }) => tasks.push(...value));
let step = '';
const slow = [];

// during traces what happens while f runs.
async function during(name, f) {
  step = name;
  tasks.length = 0;
  await cdp.send('Tracing.start', { transferMode: 'ReportEvents', categories: 'toplevel,__metadata,devtools.timeline' });
  await f();
  await page.waitForTimeout(400);
  const done = new Promise((r) => { cdp.once('Tracing.tracingComplete', r); });
  await cdp.send('Tracing.end');
  await done;
  const mains = new Set(tasks.filter((t) => t.name === 'thread_name' && t.args.name === 'CrRendererMain').map((t) => t.pid + ':' + t.tid));
  const busy = tasks.filter((t) => t.ph === 'X' && t.tdur && mains.has(t.pid + ':' + t.tid) && /RunTask/.test(t.name)).map((t) => (t.tdur / 1000) * slowdown);
  const worst = Math.max(0, ...busy);
  console.log(`${step}: ${busy.length} tasks, the longest ${worst.toFixed(1)} ms on a telephone`);
  check(busy.length > 0, 'the trace shows no task of the page');
  if (worst > longest) slow.push(`${step}: ${worst.toFixed(1)} ms`);
}

await page.goto(process.env.ADDRESS);
await page.fill('input[type=password]', process.env.PASSWORD);
await page.keyboard.press('Enter');
await page.waitForSelector('.hero[data-state=protected]');
await page.waitForTimeout(500);
console.log(`first load: ${weight} bytes`);
check(weight > 0 && weight <= most, `the first load has ${weight} bytes`);

await during('overview, for a while', () => page.waitForTimeout(3000));
await during('devices', async () => { await page.click('nav a[href="#/devices"]'); await page.waitForSelector('li.device'); });
await during('scrolling devices', async () => { for (let i = 0; i < 12; i++) { await page.mouse.wheel(0, 900); await page.waitForTimeout(50); } });
await during('all devices', async () => {
  await page.click('button:has-text("Show")');
  await until(page, () => document.querySelectorAll('li.device').length === 250);
});
await during('looking for a device', async () => { await page.fill('input[type=search]', 'host-24'); await until(page, () => document.querySelectorAll('li.device').length === 10); });
await during('history', async () => { await page.click('nav a[href="#/history"]'); await page.waitForSelector('.events li'); });
await during('looking for an event', async () => {
  await page.fill('input[type=search]', 'rule 77;');
  await until(page, () => document.querySelectorAll('.events li').length === 1 && document.querySelector('.events li').textContent.includes('rule 77;'));
});
await context.close();
if (complaints.length > 0 || slow.length > 0) {
  console.error([...complaints, ...slow].join('\n'));
  process.exit(1);
}
process.exit(0);
