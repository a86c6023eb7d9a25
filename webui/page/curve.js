import { T } from './text.js';
import { h, put } from './dom.js';
import { rate } from './units.js';

const width = 300;
const height = 70;
const shown = 120000; // ms

// curve draws the rates of the last two minutes.
export function curve() {
  const down = h('path', { class: 'down' });
  const up = h('path', { class: 'up' });
  const picture = h('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', class: 'curve', 'aria-hidden': 'true' }, down, up);
  const downText = h('span', { class: 'num' });
  const upText = h('span', { class: 'num' });
  const element = h('div', null, picture, h('p', { class: 'legend' },
    h('span', { class: 'key down' }, T.overview.down + ' ', downText), h('span', { class: 'key up' }, T.overview.up + ' ', upText)));
  return {
    element,
    draw(samples) {
      const last = samples[samples.length - 1];
      put(downText, rate(last ? last.rx_rate : 0));
      put(upText, rate(last ? last.tx_rate : 0));
      const now = last ? +new Date(last.time) : 0;
      const top = Math.max(1e4, ...samples.map((s) => Math.max(s.rx_rate, s.tx_rate)));
      const line = (key) => samples.map((s, i) => {
        const x = width - (width * (now - new Date(s.time))) / shown;
        return (i ? 'L' : 'M') + x.toFixed(1) + ' ' + (height - 2 - ((height - 6) * s[key]) / top).toFixed(1);
      }).join('');
      down.setAttribute('d', line('rx_rate'));
      up.setAttribute('d', line('tx_rate'));
    },
  };
}
