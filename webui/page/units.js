import { T, say } from './text.js';

export function bytes(n) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i++; }
  return (i === 0 ? Math.round(n) : n.toFixed(n < 10 ? 1 : 0)) + ' ' + units[i];
}

export function rate(n) {
  const bits = n * 8;
  if (bits < 1000) return Math.round(bits) + ' bit/s';
  if (bits < 1e6) return (bits / 1e3).toFixed(0) + ' kbit/s';
  return (bits / 1e6).toFixed(bits < 1e7 ? 1 : 0) + ' Mbit/s';
}

export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const u = T.units;
  if (s < 60) return s + ' ' + u.s;
  if (s < 3600) return Math.floor(s / 60) + ' ' + u.min;
  if (s < 86400) return Math.floor(s / 3600) + ' ' + u.h + ' ' + Math.floor((s % 3600) / 60) + ' ' + u.min;
  return Math.floor(s / 86400) + ' ' + u.d + ' ' + Math.floor((s % 86400) / 3600) + ' ' + u.h;
}

export const ago = (t) => say(T.ago, { time: span(Date.now() - new Date(t)) });

const today = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const other = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
const exact = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' });

export function clock(t) {
  t = new Date(t);
  return (t.toDateString() === new Date().toDateString() ? today : other).format(t);
}

export const moment = (t) => exact.format(new Date(t));
export const number = (n) => new Intl.NumberFormat().format(n);
