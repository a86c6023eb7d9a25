// The story of the page, told by a browser: see browser_test.go.
import { writeFileSync } from 'node:fs';
import QRCode from 'qrcode';
import { ask, note, open, axe, check, until } from './common.mjs';

const { ADDRESS, PASSWORD, PICTURES, TV, LAPTOP, VPN1, VPN2, PROFILE } = process.env;
const phone = { width: 390, height: 844 };
const desktop = { width: 1280, height: 860 };
const problems = [];

const b = await open(phone, 'light');
const { page } = b;

const shot = (p, name) => p.screenshot({ path: `${PICTURES}/${name}.png` });

async function judge(p, name, onlyLook) {
  const wide = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) problems.push(`${name}: the page is ${wide} px wider than the screen`);
  if (!onlyLook) for (const v of await axe(p)) problems.push(`${name}: ${v}`);
  await shot(p, name);
}

const go = async (p, name) => {
  await p.click(`nav a[href="#/${name}"]`);
  await p.waitForSelector(`nav a[href="#/${name}"][aria-current=page]`);
};
const state = (word, timeout = 40000) => until(page, (w) => document.querySelector('header .badge')?.textContent === w, word, { timeout });
const said = (text, p = page) => until(p, (t) => document.getElementById('toast')?.textContent.includes(t), text);

// First visit: there is no password, and the page says what to do.
for (let i = 0; ; i++) {
  try { await page.goto(ADDRESS); break; } catch (e) { if (i > 40) throw e; await page.waitForTimeout(250); }
}
await page.waitForSelector('text=No password is set yet');
check((await page.textContent('main')).includes('lanseal passwd'), 'the first page does not say how to set a password');
await judge(page, 'first-phone');
await ask('passwd');
await page.click('text=I have set one');
await page.fill('input[type=password]', 'not the password');
await page.click('button:has-text("Sign in")');
await page.waitForSelector('.error:has-text("not right")');
await judge(page, 'login-phone');
await page.fill('input[type=password]', PASSWORD);
await page.keyboard.press('Enter');
await state('Open');
await judge(page, 'off-phone');

// Import a file, switch on, Protected.
await page.click('text=Add a tunnel');
writeFileSync(`${PROFILE}/se.conf`, await ask('file', 'se'));
await page.setInputFiles('#file', `${PROFILE}/se.conf`);
await said('Tunnel se was added');
await page.waitForSelector('li.tunnel[data-name=se]');
// What is wrong is said beside the field.
await page.click('summary:has-text("Paste text")');
await page.fill('textarea', '[Interface]\nPrivateKey = x\n');
await page.click('section[aria-labelledby=add] form button');
await page.waitForSelector('.error:has-text("PrivateKey")');
check(await page.evaluate(() => document.activeElement.tagName === 'TEXTAREA'), 'the field that is wrong has no focus');
// The second by a picture of a QR code.
await QRCode.toFile(`${PROFILE}/no.png`, await ask('file', 'no'), { scale: 5 });
await page.setInputFiles('#picture', `${PROFILE}/no.png`);
await said('was added');
await page.waitForSelector('li.tunnel[data-name=tunnel]');
await go(page, 'overview');
await page.click('text=Switch protection on');
await state('Protected');
await page.waitForSelector('.hero[data-state=protected]');
// The world sees the server, and the page says since when the tunnel is up.
await page.waitForSelector(`#seen:has-text("${VPN1}")`);
check(!(await page.textContent('#seen')).includes('203.0.113.'), 'the world sees the address of the uplink');
const connected = await page.textContent('dt:text-is("Connected for") + dd');
await until(page, (was) => [...document.querySelectorAll('dt')].find((e) => e.textContent === 'Connected for').nextSibling.textContent !== was, connected);

// The TV gets a name and another exit; the wire shows that it goes there.
await ask('traffic');
await go(page, 'devices');
const tv = `li.device[data-mac="${TV}"]`;
await page.waitForSelector(tv);
await page.click(`${tv} button:has-text("Rename")`);
await page.fill(`${tv} input`, 'Living-room <img src=x onerror=alert(1)> TV');
await page.click(`${tv} button:has-text("Save")`);
await page.waitForSelector(`${tv} strong:has-text("<img")`);
await page.click(`${tv} button:has-text("Rename")`);
await page.fill(`${tv} input`, 'Living-room TV');
await page.click(`${tv} button:has-text("Save")`);
await page.waitForSelector(`${tv} strong:text-is("Living-room TV")`);
await page.click(`${tv} .choose`);
for (const v of await axe(page)) problems.push(`choosing a way: ${v}`);
await shot(page, 'choose-phone');
await page.click('.choice [data-value=tunnel]');
await page.waitForSelector(`${tv}[data-exit=tunnel]`);
const tvSeen = await ask('tv');
check(tvSeen.seen.includes(VPN2), `the tv is seen as ${tvSeen.seen}, not as the second server's customer`);
check(tvSeen.by >= 20, `only ${tvSeen.by} frames went to the second server`);
check((await ask('config')).includes("option label 'Living-room TV'"), 'the name is not in the configuration');
// Block the laptop with one tap, and let it go again.
const laptop = `li.device[data-mac="${LAPTOP}"]`;
await page.click(`${laptop} button:has-text("Block")`);
await page.waitForSelector(`${laptop}[data-exit=block]`);
await page.click(`${laptop} button:has-text("Unblock")`);
await page.waitForSelector(`${laptop}[data-exit=se]`);

// The leak test finds nothing.
await go(page, 'leaktest');
await page.click('text=Start the test');
await page.waitForSelector('.verdict[data-verdict=none]', { timeout: 40000 });
await page.click('text=Compare the kernel with the plan');
await page.waitForSelector('text=no way past it was found');

// Every page, on a telephone and a desktop, light and dark.
const names = ['overview', 'devices', 'tunnels', 'leaktest', 'history', 'settings'];
const wide = await open(desktop, 'light');
await wide.page.goto(ADDRESS);
await wide.page.fill('input[type=password]', PASSWORD);
await wide.page.click('button:has-text("Sign in")');
await wide.page.waitForSelector('.hero[data-state=protected]');
await wide.page.waitForTimeout(5000); // for a curve to look at
for (const scheme of ['light', 'dark']) {
  for (const [p, size] of [[page, 'phone'], [wide.page, 'desktop']]) {
    await p.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    for (const name of names) {
      await go(p, name);
      await p.waitForTimeout(150);
      // axe sees each page in each size and each scheme once.
      await judge(p, `${name}-${size}-${scheme}`, (size === 'phone') === (scheme === 'dark'));
    }
  }
}
await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });

// By keyboard alone: the skip link, then a page.
await wide.page.reload();
await wide.page.waitForSelector('nav a[aria-current]');
await wide.page.keyboard.press('Tab');
await wide.page.keyboard.press('Enter');
check(await wide.page.evaluate(() => document.activeElement.id === 'main'), 'the skip link does not lead to the content');

// Tunnels: dropped, tested, ordered by drag and by buttons. The exit in use
// follows the order, and the world sees the other server.
await go(wide.page, 'tunnels');
await wide.page.waitForSelector('li.tunnel[data-name=se]');
await wide.page.evaluate(() => {
  const files = new DataTransfer();
  files.items.add(new File(['[Interface]\nPrivateKey = x\n'], 'us.conf', { type: 'text/plain' }));
  document.querySelector('.drop').dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
});
await wide.page.waitForSelector('.error:has-text("PrivateKey")');
await wide.page.click('li.tunnel[data-name=se] button:has-text("Test")');
await said('se answers in', wide.page);
await wide.page.dragAndDrop('li.tunnel[data-name=se] strong', 'li.tunnel[data-name=tunnel] strong');
await until(wide.page, () => document.querySelector('li.tunnel').dataset.name === 'tunnel');
await go(page, 'overview');
await page.waitForSelector(`#seen:has-text("${VPN2}")`);
await wide.page.click('li.tunnel[data-name=se] button[aria-label="Move se up"]');
await until(wide.page, () => document.querySelector('li.tunnel').dataset.name === 'se');
await page.waitForSelector(`#seen:has-text("${VPN1}")`);

// Two people: the slower one is told, and loses nothing.
await go(wide.page, 'settings');
await wide.page.waitForSelector('text=Who answers');
await go(page, 'settings');
await page.waitForSelector('text=Who answers');
await page.click('label:has-text("Refuse well-known")');
await page.click('button:has-text("Save")');
await said('Saved');
await wide.page.fill('textarea >> nth=0', '10.9.9.9');
await wide.page.click('button:has-text("Save")');
await until(wide.page, () => document.getElementById('toast')?.textContent.includes('Somebody else'));
await page.click('label:has-text("Refuse well-known")');
await page.click('button:has-text("Save")');
await page.waitForTimeout(300);

// The servers fall silent: Blocked within two seconds of the agent's knowing
// it, without a reload, and on the timeline.
await go(page, 'overview');
await page.evaluate(() => {
  window.stayed = true;
  new MutationObserver(() => {
    if (document.querySelector('.hero').dataset.state === 'sealed') window.sealed = window.sealed || Date.now();
  }).observe(document.querySelector('.hero'), { attributes: true });
});
await ask('drop');
await state('Blocked', 60000);
await until(page, () => window.sealed);
const late = (await page.evaluate(() => window.sealed)) - new Date((await ask('status')).since);
await note(`Blocked was shown ${late} ms after the agent knew it`);
check(late < 2000, `Blocked was shown ${late} ms after the agent knew it`);
check(await page.evaluate(() => window.stayed), 'the page was loaded again');
await until(page, () => Number(document.querySelector('.timeline').dataset.dropouts) > 0);
check((await page.textContent('#seen')).trim() === 'none', 'an address is shown that nobody has while all are blocked');
await page.waitForTimeout(3000);
await judge(page, 'blocked-phone-light');
await ask('recover');
await state('Protected', 60000);

// The agent is gone: the page says so, and comes back with it.
await ask('kill');
await state('No answer', 30000);
check((await page.textContent('.hero')).includes('What it sealed stays sealed'), 'the page does not say that the LAN stays sealed');
await go(page, 'history');
await page.waitForSelector('.gone:visible');
await go(page, 'overview');
await judge(page, 'gone-phone-light');
await ask('start');
await page.waitForSelector('input[type=password]', { timeout: 40000 }); // sessions end with the agent
await page.fill('input[type=password]', PASSWORD);
await page.keyboard.press('Enter');
await state('Protected', 60000);

// What is deleted is asked about first; the TV, which had no other exit, is blocked.
await go(page, 'tunnels');
const last = 'li.tunnel[data-name=tunnel]';
await page.click(`${last} button:has-text("Delete")`);
await page.click('dialog button:has-text("Cancel")');
check(await page.isVisible(last), 'what was not confirmed was deleted');
await page.click(`${last} button:has-text("Delete")`);
await page.click('dialog button.danger');
await said('Tunnel tunnel was deleted');
const left = await ask('config');
check(!left.includes("config tunnel 'tunnel'") && left.includes("list via 'block'"), `after deleting the tunnel: ${left}`);

// Sign out: the cookie is worth nothing any more.
const cookies = await b.context.cookies();
check(cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === 'Strict', `the cookie: ${JSON.stringify(cookies)}`);
await go(page, 'settings');
await page.click('text=Sign out');
await page.waitForSelector('input[type=password]');
await b.context.addCookies(cookies);
await page.reload();
await page.waitForSelector('input[type=password]');

for (const o of [b, wide]) {
  problems.push(...o.complaints.map((c) => 'console: ' + c), ...o.outside.map((u) => 'asked elsewhere: ' + u));
  await o.context.close();
}
if (problems.length > 0) {
  console.error([...new Set(problems)].join('\n'));
  process.exit(1);
}
process.exit(0);
