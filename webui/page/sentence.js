import { T } from './text.js';

// sentence says what the state means. What is not sealed stays open without
// the agent, too.
export function sentence(model) {
  const s = model.status;
  if (model.state === 'gone' && s && (s.state === 'open' || !s.killswitch)) return T.sentence.goneOpen;
  if (model.state === 'open' && s.exits.length > 0 && s.reason.startsWith('no exit')) return T.sentence.openFallback;
  return T.sentence[model.state];
}
