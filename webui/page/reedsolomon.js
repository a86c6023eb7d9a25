// Reed-Solomon over GF(256) with x^8+x^4+x^3+x^2+1, as QR codes use it.
const exp = new Uint8Array(512);
const log = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; i++) {
  exp[i] = exp[i + 255] = x;
  log[x] = i;
  x = (x << 1) ^ (x & 0x80 ? 0x11d : 0);
}
const mul = (a, b) => (a && b ? exp[log[a] + log[b]] : 0);
const inv = (a) => exp[255 - log[a]];

// value of a polynomial, lowest power first.
const at = (poly, x) => poly.reduceRight((sum, c) => mul(sum, x) ^ c, 0);

// correct mends a block in place; false if too much of it is wrong.
export function correct(block, ecc) {
  const syndromes = [];
  for (let i = 0; i < ecc; i++) syndromes.push(block.reduce((sum, b) => mul(sum, exp[i]) ^ b, 0));
  if (syndromes.every((s) => s === 0)) return true;
  const locator = massey(syndromes);
  const errors = locator.length - 1;
  if (errors * 2 > ecc) return false;
  const omega = new Array(ecc).fill(0);
  for (let i = 0; i < ecc; i++) for (let j = 0; j <= i && j < locator.length; j++) omega[i] ^= mul(locator[j], syndromes[i - j]);
  let found = 0;
  for (let i = 0; i < block.length; i++) { // i is the power of the place
    const x = exp[(255 - i) % 255];
    if (at(locator, x) !== 0) continue;
    let slope = 0;
    for (let j = 1; j < locator.length; j += 2) slope ^= mul(locator[j], exp[((j - 1) * log[x]) % 255]);
    if (slope === 0) return false;
    block[block.length - 1 - i] ^= mul(mul(at(omega, x), inv(slope)), exp[i % 255]);
    found++;
  }
  return found === errors;
}

// massey finds the shortest recurrence of the syndromes (Berlekamp, Massey).
function massey(s) {
  const c = [1];
  let b = [1];
  let length = 0;
  let gap = 1;
  let last = 1;
  for (let n = 0; n < s.length; n++) {
    let d = s[n];
    for (let i = 1; i <= length; i++) d ^= mul(c[i] || 0, s[n - i]);
    if (d === 0) { gap++; continue; }
    const before = [...c];
    const k = mul(d, inv(last));
    for (let i = 0; i < b.length; i++) c[i + gap] = (c[i + gap] || 0) ^ mul(k, b[i]);
    for (let i = 0; i < c.length; i++) c[i] = c[i] || 0;
    if (2 * length <= n) {
      length = n + 1 - length;
      b = before;
      last = d;
      gap = 1;
    } else gap++;
  }
  while (c.length > 1 && c[c.length - 1] === 0) c.pop();
  return c;
}
