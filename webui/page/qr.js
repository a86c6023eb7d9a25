// A reader of QR codes (ISO/IEC 18004), of models 2, versions 1 to 40, for
// providers' pictures: one code, near upright, any size. BarcodeDetector is
// not there on plain http, and not in every browser.
import { correct } from './reedsolomon.js';

// Words of error correction in each block, and blocks, by level (L, M, Q, H)
// and version: ISO/IEC 18004, table 9.
const perBlock = [
  [7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28, 28, 28, 30, 30, 26, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30],
  [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26, 26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  [13, 22, 18, 26, 18, 24, 18, 22, 20, 24, 28, 26, 24, 20, 30, 24, 28, 28, 26, 30, 28, 30, 30, 30, 30, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30],
  [17, 28, 22, 16, 22, 28, 26, 26, 24, 28, 24, 28, 22, 24, 24, 30, 28, 28, 26, 28, 30, 24, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30],
];
const blocks = [
  [1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8, 8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22, 24, 25],
  [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16, 17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49],
  [1, 1, 2, 2, 4, 4, 6, 6, 8, 8, 8, 10, 12, 16, 12, 17, 16, 18, 21, 20, 23, 23, 25, 27, 29, 34, 34, 35, 38, 40, 43, 45, 48, 51, 53, 56, 59, 62, 65, 68],
  [1, 1, 2, 4, 4, 4, 5, 6, 8, 8, 11, 11, 16, 16, 18, 16, 19, 21, 25, 25, 25, 34, 30, 32, 35, 37, 40, 42, 45, 48, 51, 54, 57, 60, 63, 66, 70, 74, 77, 81],
];

function alignments(version) {
  if (version === 1) return [];
  const n = Math.floor(version / 7) + 2;
  const step = version === 32 ? 26 : Math.ceil((version * 4 + 4) / (n * 2 - 2)) * 2;
  const out = [6];
  for (let at = version * 4 + 10, i = n - 1; i > 0; i--, at -= step) out.splice(1, 0, at);
  return out;
}

// reserved marks the modules that hold no data.
function reserved(size, version) {
  const r = new Uint8Array(size * size);
  const box = (x, y, w, h) => { for (let j = y; j < y + h; j++) r.fill(1, j * size + x, j * size + x + w); };
  box(0, 0, 9, 9); box(size - 8, 0, 8, 9); box(0, size - 8, 9, 8);
  box(6, 0, 1, size); box(0, 6, size, 1);
  const at = alignments(version);
  for (const y of at) {
    for (const x of at) {
      if ((x === 6 && y === 6) || (x === 6 && y === size - 7) || (x === size - 7 && y === 6)) continue;
      box(x - 2, y - 2, 5, 5);
    }
  }
  if (version >= 7) { box(size - 11, 0, 3, 6); box(0, size - 11, 6, 3); }
  return r;
}

// formatWord is the level and mask with its own error correction.
function formatWord(data) {
  let rest = data << 10;
  for (let i = 14; i >= 10; i--) if (rest & (1 << i)) rest ^= 0x537 << (i - 10);
  return ((data << 10) | rest) ^ 0x5412;
}

function bits(n) { let c = 0; for (; n; n &= n - 1) c++; return c; }

function readFormat(get, size) {
  let a = 0;
  let b = 0;
  for (let i = 0; i < 15; i++) {
    const [x, y] = i < 6 ? [8, i] : i < 8 ? [8, i + 1] : i === 8 ? [7, 8] : [14 - i, 8];
    a |= get(x, y) << i;
    const [u, v] = i < 8 ? [size - 1 - i, 8] : [8, size - 15 + i];
    b |= get(u, v) << i;
  }
  let best = null;
  for (let d = 0; d < 32; d++) {
    const off = Math.min(bits(formatWord(d) ^ a), bits(formatWord(d) ^ b));
    if (!best || off < best.off) best = { d, off };
  }
  // The two bits of the level are not in the order of strength.
  return best.off <= 3 ? { level: [1, 0, 3, 2][best.d >> 3], mask: best.d & 7 } : null;
}

const masks = [
  (x, y) => (x + y) % 2, (x, y) => y % 2, (x) => x % 3, (x, y) => (x + y) % 3,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2, (x, y) => ((x * y) % 2) + ((x * y) % 3),
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2, (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
];

// words reads the modules in their order, two columns at a time.
function words(get, size, version, mask) {
  const skip = reserved(size, version);
  const out = [];
  let byte = 0;
  let n = 0;
  let upward = true;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right = 5;
    for (let i = 0; i < size; i++) {
      const y = upward ? size - 1 - i : i;
      for (const x of [right, right - 1]) {
        if (skip[y * size + x]) continue;
        byte = (byte << 1) | (get(x, y) ^ (masks[mask](x, y) === 0 ? 1 : 0));
        if (++n === 8) { out.push(byte); byte = 0; n = 0; }
      }
    }
    upward = !upward;
  }
  return out;
}

// data puts the blocks back in order and corrects them.
function data(all, version, level) {
  const count = blocks[level][version - 1];
  const ecc = perBlock[level][version - 1];
  const short = Math.floor(all.length / count);
  const shorts = count - (all.length % count);
  const parts = Array.from({ length: count }, (_, i) => new Uint8Array(short + (i < shorts ? 0 : 1)));
  let k = 0;
  for (let i = 0; i < short - ecc + 1; i++) {
    for (let b = 0; b < count; b++) if (i < parts[b].length - ecc) parts[b][i] = all[k++];
  }
  for (let i = 0; i < ecc; i++) for (const p of parts) p[p.length - ecc + i] = all[k++];
  const out = [];
  for (const p of parts) {
    if (!correct(p, ecc)) return null;
    out.push(...p.subarray(0, p.length - ecc));
  }
  return out;
}

const alphanumeric = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:';

// text reads the segments.
function text(bytes, version) {
  let at = 0;
  const left = () => bytes.length * 8 - at;
  const take = (n) => {
    let v = 0;
    for (; n > 0; n--, at++) v = (v << 1) | ((bytes[at >> 3] >> (7 - (at & 7))) & 1);
    return v;
  };
  const wide = version < 10 ? 0 : version < 27 ? 1 : 2;
  const out = [];
  const ascii = (s) => { for (const c of s) out.push(c.charCodeAt(0)); };
  while (left() >= 4) {
    const mode = take(4);
    if (mode === 0) break;
    if (mode === 7) { if (take(1)) take(take(1) ? 22 : 15); else take(7); continue; } // ECI
    const width = { 1: [10, 12, 14], 2: [9, 11, 13], 4: [8, 16, 16] }[mode];
    if (!width) return null;
    let n = take(width[wide]);
    if (mode === 4) {
      if (n * 8 > left()) return null;
      for (; n > 0; n--) out.push(take(8));
    }
    for (; mode === 1 && n > 0; n -= 3) ascii(String(take([0, 4, 7, 10][Math.min(n, 3)])).padStart(Math.min(n, 3), '0'));
    for (; mode === 2 && n > 0; n -= 2) {
      const v = take(n > 1 ? 11 : 6);
      ascii(n > 1 ? alphanumeric[Math.floor(v / 45)] + alphanumeric[v % 45] : alphanumeric[v]);
    }
    if (left() < 0) return null;
  }
  return new TextDecoder().decode(new Uint8Array(out));
}

// readMatrix reads the modules of a code, get(x, y) being 1 for dark; null if
// it is none.
export function readMatrix(get, size) {
  const version = (size - 17) / 4;
  if (!Number.isInteger(version) || version < 1 || version > 40) return null;
  for (const g of [get, (x, y) => get(y, x)]) { // as it is, and as a mirror shows it
    const f = readFormat(g, size);
    const bytes = f && data(words(g, size, version, f.mask), version, f.level);
    const found = bytes && text(bytes, version);
    if (found) return found;
  }
  return null;
}
