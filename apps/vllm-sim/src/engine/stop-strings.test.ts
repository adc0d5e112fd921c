import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createStopScanner } from './stop-strings.ts';

function scan(
  pieces: readonly string[],
  options: { stops: readonly string[]; includeStop?: boolean; mayStop?: boolean },
): { sent: string[]; stop: string | undefined } {
  const scanner = createStopScanner({ includeStop: false, ...options });
  const sent: string[] = [];
  for (const piece of pieces) {
    const { text, stop } = scanner.push(piece, { mayStop: options.mayStop ?? true });
    sent.push(text);
    if (stop !== undefined) return { sent, stop };
  }
  return { sent: [...sent, scanner.flush()], stop: undefined };
}

test('no part of a stop string is sent', () => {
  expect(scan(['ab', 'cS', 'TO', 'Pd'], { stops: ['STOP'] })).toEqual({
    sent: ['', 'a', 'bc', ''],
    stop: 'STOP',
  });
});

test('what was held back is sent when the text ends otherwise', () => {
  expect(scan(['abcS', 'TO'], { stops: ['STOP'] }).sent.join('')).toBe('abcSTO');
});

test('the stop string is sent when asked for, and nothing is held back', () => {
  expect(scan(['abcS', 'TO', 'Pd'], { stops: ['STOP'], includeStop: true })).toEqual({
    sent: ['abcS', 'TO', 'P'],
    stop: 'STOP',
  });
});

test('a stop string before the minimum length is text', () => {
  expect(scan(['a.', 'b'], { stops: ['.'], mayStop: false }).sent.join('')).toBe('a.b');
});

test('however the text is cut, it ends at the first stop string', () => {
  const pieces = fc.array(fc.stringMatching(/^[abS🙂]{0,3}$/u), { maxLength: 20 });
  fc.assert(
    fc.property(pieces, fc.boolean(), (parts, includeStop) => {
      const text = parts.join('');
      const at = text.indexOf('Sa');
      const end = includeStop ? at + 2 : at;
      const { sent, stop } = scan(parts, { stops: ['Sa'], includeStop });
      expect(sent.join('')).toBe(at === -1 ? text : text.slice(0, end));
      expect(stop).toBe(at === -1 ? undefined : 'Sa');
      expect(sent.every((piece) => piece.isWellFormed())).toBe(true);
    }),
  );
});
