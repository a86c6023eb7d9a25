// The reader of QR codes against a writer that is not ours: every version and
// level, damage, pictures at an angle, in poor light, and mirrored.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import QRCode from 'qrcode';
import { readMatrix } from '../page/qr.js';
import { find } from '../page/qrfind.js';

// A fixed sequence, so that a failure can be seen again.
function dice(seed) {
  let s = seed;
  return () => { s = (Math.imul(s, 1664525) + 1013904223) >>> 0; return s / 2 ** 32; };
}

const config = '[Interface]\nPrivateKey = ' + 'x'.repeat(43) + '=\nAddress = 10.64.0.2/32, fd64::2/128\nDNS = 10.64.0.1\n\n'
  + '[Peer]\nPublicKey = ' + 'y'.repeat(43) + '=\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = vpn.example:51820\n';

const matrix = (code) => [(x, y) => code.modules.get(y, x), code.modules.size];

test('every version and level', () => {
  const roll = dice(1);
  for (let version = 1; version <= 40; version++) {
    for (const level of ['L', 'M', 'Q', 'H']) {
      const text = Array.from({ length: version * 2 + 1 }, () => String.fromCharCode(97 + Math.floor(roll() * 26))).join('');
      const code = QRCode.create(text, { version, errorCorrectionLevel: level });
      assert.equal(readMatrix(...matrix(code)), text, `version ${version} ${level}`);
    }
  }
});

test('numbers, capitals, bytes, and all of them in one', () => {
  for (const text of ['0123456789', '7', '42', 'HELLO WORLD $%*+-./:', 'A', 'ünï → 字', 'ABC123456789def', config]) {
    assert.equal(readMatrix(...matrix(QRCode.create(text))), text);
  }
});

test('damage up to a tenth of the code is mended, or nothing is read', () => {
  const roll = dice(7);
  for (let round = 0; round < 40; round++) {
    const code = QRCode.create(config, { errorCorrectionLevel: 'H' });
    const size = code.modules.size;
    const x0 = 9 + Math.floor(roll() * (size - 30));
    const y0 = 9 + Math.floor(roll() * (size - 30));
    const flip = (x, y) => (x >= x0 && x < x0 + 12 && y >= y0 && y < y0 + 12 ? 1 : 0);
    assert.equal(readMatrix((x, y) => code.modules.get(y, x) ^ flip(x, y), size), config);
  }
  for (let round = 0; round < 40; round++) {
    const code = QRCode.create(config, { errorCorrectionLevel: 'L' });
    const text = readMatrix((x, y) => (roll() < 0.15 ? 1 : 0) ^ code.modules.get(y, x), code.modules.size);
    assert.ok(text === null || text === config, 'a damaged code was read as something else');
  }
});

// photo draws a code as a camera sees it: turned, at an angle, blurred by
// sampling, with noise and a shadow.
function photo(code, { turn = 0, tilt = 0, shade = 0, noise = 0, mirror = false, side = 640, zoom = 0.7 }) {
  const roll = dice(3);
  const size = code.modules.size;
  const grey = new Uint8Array(side * side);
  const c = Math.cos(turn);
  const s = Math.sin(turn);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      let sum = 0;
      for (const [ox, oy] of [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]) {
        let u = (x + ox) / side - 0.5;
        const v = (y + oy) / side - 0.5;
        if (mirror) u = -u;
        const w = 1 + tilt * v;
        const p = ((u * c + v * s) / w / zoom + 0.5) * (size + 8) - 4;
        const q = ((v * c - u * s) / w / zoom + 0.5) * (size + 8) - 4;
        const dark = p >= 0 && q >= 0 && p < size && q < size && code.modules.get(Math.floor(q), Math.floor(p));
        sum += dark ? 50 : 220;
      }
      grey[y * side + x] = Math.max(0, Math.min(255, (sum / 4) * (1 - (shade * x) / side) + (roll() - 0.5) * noise));
    }
  }
  return [grey, side, side];
}

test('pictures', () => {
  const code = QRCode.create(config, { errorCorrectionLevel: 'M' });
  for (const how of [{}, { turn: 0.3 }, { turn: Math.PI / 2 }, { turn: 3 }, { tilt: 0.25 }, { turn: -0.4, tilt: 0.2 }, { shade: 0.6 }, { noise: 60 },
    { mirror: true }, { mirror: true, turn: 0.5 }, { zoom: 0.45, side: 900 }, { turn: 0.2, tilt: -0.2, shade: 0.4, noise: 40, side: 800 }]) {
    assert.equal(find(...photo(code, how)), config, JSON.stringify(how));
  }
  assert.equal(find(...photo(QRCode.create('small', { version: 1 }), { turn: 0.1 })), 'small');
});

test('what is no code is none', () => {
  const roll = dice(5);
  const noise = Uint8Array.from({ length: 300 * 300 }, () => roll() * 256);
  assert.equal(find(noise, 300, 300), null);
  assert.equal(find(new Uint8Array(100 * 100), 100, 100), null);
  assert.equal(readMatrix(() => 1, 21), null);
  assert.equal(readMatrix(() => 0, 22), null);
});
