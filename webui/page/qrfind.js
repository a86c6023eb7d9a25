// Finding a QR code in a picture: the three corner marks, the grid between
// them, and its modules.
import { readMatrix } from './qr.js';

// darkness turns grey values into 1 for dark, each compared with what is
// around it, so that a shadow over the picture does no harm.
export function darkness(grey, width, height) {
  const sums = new Float64Array((width + 1) * (height + 1));
  for (let y = 0; y < height; y++) {
    for (let x = 0, row = 0; x < width; x++) {
      row += grey[y * width + x];
      sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + row;
    }
  }
  const reach = Math.max(8, Math.round(Math.min(width, height) / 8));
  const dark = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const y0 = Math.max(0, y - reach);
    const y1 = Math.min(height, y + reach + 1);
    for (let x = 0; x < width; x++) {
      const x0 = Math.max(0, x - reach);
      const x1 = Math.min(width, x + reach + 1);
      const sum = sums[y1 * (width + 1) + x1] - sums[y0 * (width + 1) + x1] - sums[y1 * (width + 1) + x0] + sums[y0 * (width + 1) + x0];
      dark[y * width + x] = grey[y * width + x] < (0.92 * sum) / ((x1 - x0) * (y1 - y0)) ? 1 : 0;
    }
  }
  return dark;
}

// run looks along a line through a mark: dark, light, dark, light, dark in the
// ratio 1:1:3:1:1. It returns the middle and the module's size, or null.
function across(dark, width, height, x, y, dx, dy) {
  const is = (i) => {
    const u = x + i * dx;
    const v = y + i * dy;
    return u < 0 || v < 0 || u >= width || v >= height ? -1 : dark[v * width + u];
  };
  const half = (dir) => {
    const runs = [0, 0, 0];
    let i = dir > 0 ? 1 : 0;
    for (let k = 0; k < 3; k++) {
      while (is(i * dir) === (k === 1 ? 0 : 1)) { runs[k]++; i++; }
    }
    return runs;
  };
  if (is(0) !== 1) return null;
  const back = half(-1);
  const on = half(1);
  const runs = [back[2], back[1], back[0] + on[0], on[1], on[2]];
  const size = runs.reduce((a, b) => a + b, 0) / 7;
  if (size < 1 || runs.some((r, i) => Math.abs(r - size * (i === 2 ? 3 : 1)) > size * (i === 2 ? 1.3 : 0.75))) return null;
  return { shift: (on[0] - back[0] + 1) / 2, size };
}

function marks(dark, width, height) {
  const found = [];
  for (let y = 0; y < height; y++) {
    let start = 0;
    for (let x = 1; x <= width; x++) {
      if (x < width && dark[y * width + x] === dark[y * width + start]) continue;
      if (dark[y * width + start] === 1) look((start + x) >> 1, y);
      start = x;
    }
  }
  function look(x, y) {
    const first = across(dark, width, height, x, y, 1, 0);
    if (!first) return;
    let cx = Math.round(x + first.shift - 0.5);
    const down = across(dark, width, height, cx, y, 0, 1);
    if (!down || Math.abs(down.size - first.size) > first.size * 0.6) return;
    const cy = Math.round(y + down.shift - 0.5);
    const again = across(dark, width, height, cx, cy, 1, 0);
    if (!again) return;
    cx += again.shift - 0.5;
    const size = (down.size + again.size) / 2;
    const near = found.find((m) => Math.hypot(m.x - cx, m.y - cy) < size * 3);
    if (near) {
      near.x = (near.x * near.n + cx) / (near.n + 1);
      near.y = (near.y * near.n + cy) / (near.n + 1);
      near.size = (near.size * near.n + size) / (near.n + 1);
      near.n++;
    } else found.push({ x: cx, y: cy, size, n: 1 });
  }
  return found.sort((a, b) => b.n - a.n).slice(0, 9);
}

// corners are threes of marks that can be a code's, the likeliest first.
function corners(all) {
  const out = [];
  for (const a of all) {
    for (const b of all) {
      for (const c of all) {
        if (a === b || b === c || a === c) continue;
        const ab = { x: b.x - a.x, y: b.y - a.y };
        const ac = { x: c.x - a.x, y: c.y - a.y };
        const turn = ab.x * ac.y - ab.y * ac.x;
        const lb = Math.hypot(ab.x, ab.y);
        const lc = Math.hypot(ac.x, ac.y);
        if (turn <= 0 || lb / a.size < 10) continue;
        const skew = Math.abs(ab.x * ac.x + ab.y * ac.y) / (lb * lc) + Math.abs(lb - lc) / Math.max(lb, lc)
          + (Math.max(a.size, b.size, c.size) / Math.min(a.size, b.size, c.size) - 1) / 2;
        if (skew < 0.8) out.push({ a, b, c, skew });
      }
    }
  }
  return out.sort((p, q) => p.skew - q.skew).slice(0, 6);
}

// projection maps the code's modules to the picture: the plane is seen at an
// angle (four points, one solution).
function projection(from, to) {
  const rows = [];
  from.forEach(([x, y], i) => {
    const [u, v] = to[i];
    rows.push([x, y, 1, 0, 0, 0, -u * x, -u * y, u], [0, 0, 0, x, y, 1, -v * x, -v * y, v]);
  });
  for (let i = 0; i < 8; i++) { // Gauss
    let pivot = i;
    for (let j = i + 1; j < 8; j++) if (Math.abs(rows[j][i]) > Math.abs(rows[pivot][i])) pivot = j;
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    if (Math.abs(rows[i][i]) < 1e-9) return null;
    for (let j = 0; j < 8; j++) {
      if (j === i) continue;
      const k = rows[j][i] / rows[i][i];
      for (let l = i; l < 9; l++) rows[j][l] -= k * rows[i][l];
    }
  }
  const m = rows.map((r, i) => r[8] / r[i]);
  return (x, y) => {
    const w = m[6] * x + m[7] * y + 1;
    return [(m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w];
  };
}

// alignment looks for the fourth mark, which is small, near where it should be.
function alignment(value, map, size, module) {
  const [ex, ey] = map(size - 6.5, size - 6.5);
  const [rx, ry] = map(size - 5.5, size - 6.5);
  const [dx, dy] = map(size - 6.5, size - 5.5);
  const right = [rx - ex, ry - ey];
  const down = [dx - ex, dy - ey];
  const reach = Math.ceil(module * Math.max(3, size / 6));
  let best = null;
  for (let oy = -reach; oy <= reach; oy++) {
    for (let ox = -reach; ox <= reach; ox++) {
      let score = 0;
      for (let j = -2; j <= 2; j++) {
        for (let i = -2; i <= 2; i++) {
          const want = Math.max(Math.abs(i), Math.abs(j)) === 1 ? 0 : 1;
          if (value(ex + ox + i * right[0] + j * down[0], ey + oy + i * right[1] + j * down[1]) === want) score++;
        }
      }
      const far = Math.hypot(ox, oy);
      if (score >= 22 && (!best || score > best.score || (score === best.score && far < best.far))) best = { score, far, sx: ex + ox, sy: ey + oy };
    }
  }
  return best && [best.sx, best.sy];
}

// find reads the code in a picture of grey values; null if there is none.
export function find(grey, width, height) {
  const dark = darkness(grey, width, height);
  const value = (x, y) => {
    const u = Math.floor(x);
    const v = Math.floor(y);
    return u < 0 || v < 0 || u >= width || v >= height ? 0 : dark[v * width + u];
  };
  for (const { a, b, c } of corners(marks(dark, width, height))) {
    const module = (a.size + b.size + c.size) / 3;
    const guess = (Math.hypot(b.x - a.x, b.y - a.y) + Math.hypot(c.x - a.x, c.y - a.y)) / 2 / module + 7;
    const near = Math.round((guess - 17) / 4);
    for (const version of [near, near - 1, near + 1, near + 2, near - 2]) {
      if (version < 1 || version > 40) continue;
      const size = version * 4 + 17;
      const at = (m) => [m.x + 0.5, m.y + 0.5];
      const three = [[3.5, 3.5], [size - 3.5, 3.5], [3.5, size - 3.5]];
      const flat = projection([...three, [size - 3.5, size - 3.5]], [at(a), at(b), at(c), [b.x + c.x - a.x + 0.5, b.y + c.y - a.y + 0.5]]);
      const fourth = flat && version > 1 && alignment(value, flat, size, module);
      const bent = fourth && projection([...three, [size - 6.5, size - 6.5]], [at(a), at(b), at(c), fourth]);
      for (const map of [bent, flat]) {
        const text = map && readMatrix((x, y) => value(...map(x + 0.5, y + 0.5)), size);
        if (text) return text;
      }
    }
  }
  return null;
}
