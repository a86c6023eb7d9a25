// What the events say about times: pure functions, so that they can be tested.

// stretches turns the events of the whole into states with a beginning and an
// end, between two times. What was before the first event is not known.
export function stretches(events, from, to) {
  const changes = events.filter((e) => e.kind === 'state' && !e.exit && e.state).map((e) => ({ at: +new Date(e.time), state: e.state }));
  const out = [];
  changes.forEach((c, i) => {
    const end = i + 1 < changes.length ? changes[i + 1].at : to;
    if (end > from && c.at < to) out.push({ state: c.state, from: Math.max(c.at, from), to: Math.min(end, to) });
  });
  return out;
}

// dropouts are the stretches in which no exit carried the devices, joined
// where one follows the other.
export function dropouts(events, from, to) {
  const out = [];
  let wasUp = false;
  for (const s of stretches(events, from, to)) {
    const down = s.state === 'sealed' || s.state === 'connecting';
    if (down && wasUp) {
      const last = out[out.length - 1];
      if (last && last.to === s.from) last.to = s.to;
      else out.push({ from: s.from, to: s.to });
    }
    if (!down) wasUp = s.state === 'protected' || s.state === 'degraded';
  }
  return out;
}

export function midnight(now) {
  const d = new Date(now);
  d.setHours(0, 0, 0, 0);
  return +d;
}
