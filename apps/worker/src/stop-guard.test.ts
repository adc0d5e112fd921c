import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createStopGuard } from './stop-guard.ts';

/** An engine's own rule: after each token it looks for a stop string that is now complete. */
function generate(tokens: readonly string[], stops: readonly string[]) {
  let text = '';
  for (const token of tokens) {
    const before = text.length;
    text += token;
    const found = stops
      .map((stop) => ({ stop, at: text.indexOf(stop, Math.max(0, before - stop.length + 1)) }))
      .filter(({ at }) => at >= 0);
    const [first, ...others] = found;
    if (first !== undefined) {
      // Which of several counts is the engine's affair.
      const isTie = others.some(({ at }) => at !== first.at);
      return { text: text.slice(0, first.at), isStopped: true, isTie, stopString: first.stop };
    }
  }
  return { text, isStopped: false, isTie: false, stopString: undefined };
}

/** Two engines, the second of which sees only its own tokens. */
function generateInTwo(
  { tokens, cutAt }: { tokens: readonly string[]; cutAt: number },
  stops: readonly string[],
) {
  const first = tokens.slice(0, cutAt).join('');
  const heldBackChars = Math.max(0, ...stops.map((stop) => stop.length - 1));
  const published = first.slice(0, Math.max(0, first.length - heldBackChars));
  const guard = createStopGuard({ heldBack: first.slice(published.length), stops });
  const second = generate(tokens.slice(cutAt), stops);
  let text = published;
  for (const piece of second.text) {
    const passed = guard.push(piece);
    text += passed.text;
    if (passed.isStopped) return { text, isStopped: true };
  }
  return { text: text + guard.flush(second.stopString), isStopped: second.isStopped };
}

/** Of one letter: in a longer one, two stop strings can be complete at once. */
const token = fc.constantFrom('a', 'b');

describe('a stop guard', () => {
  it('finds what one engine begins and the next ends, as one engine would have', () => {
    fc.assert(
      fc.property(
        fc.array(token, { minLength: 1, maxLength: 24 }),
        fc.nat(24),
        fc.array(
          fc
            .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 5 })
            .map((letters) => letters.join('')),
          { minLength: 1, maxLength: 3 },
        ),
        (tokens, cut, stops) => {
          const cutAt = Math.min(cut, tokens.length);
          // The first engine was interrupted, not stopped.
          fc.pre(!generate(tokens.slice(0, cutAt), stops).isStopped);
          const { isTie, text, isStopped } = generate(tokens, stops);
          fc.pre(!isTie);
          expect(generateInTwo({ tokens, cutAt }, stops)).toEqual({ text, isStopped });
        },
      ),
      { numRuns: 5_000 },
    );
  });

  it('lets everything out at once that cannot begin a stop string', () => {
    const guard = createStopGuard({ heldBack: 'ends in EN', stops: ['END'] });
    expect(guard.push('')).toEqual({ text: 'ends in ', isStopped: false });
    expect(guard.push('ough, and never EN')).toEqual({
      text: 'ENough, and never EN',
      isStopped: false,
    });
  });

  it('is no obstacle without stop strings', () => {
    const guard = createStopGuard({ heldBack: 'held', stops: [] });
    expect(guard.push(' back')).toEqual({ text: 'held back', isStopped: false });
    expect(guard.flush(undefined)).toBe('');
  });
});
