import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { follow, isStalled } from './stall.ts';
import type { Progress } from './stall.ts';

const STALLED_AFTER_MS = 30_000;
type Sight = { tokens: number | null; running: number | null; nowMs: number };

function see(...sights: Sight[]): { progress: Progress | null; nowMs: number } {
  let progress: Progress | null = null;
  for (const sight of sights) progress = follow(progress, sight);
  return { progress, nowMs: sights.at(-1)?.nowMs ?? 0 };
}

it('sees a stall when tokens have stood still for half a minute while something runs', () => {
  const still = { tokens: 5, running: 2 };
  const begun = { ...still, nowMs: 0 };
  const almost = see(begun, { ...still, nowMs: STALLED_AFTER_MS - 1 });
  expect(isStalled(almost.progress, almost.nowMs)).toBe(false);
  const whole = see(begun, { ...still, nowMs: 9 }, { ...still, nowMs: STALLED_AFTER_MS });
  expect(isStalled(whole.progress, whole.nowMs)).toBe(true);
});

it.each<[string, Sight]>([
  ['tokens move', { tokens: 6, running: 2, nowMs: 20_000 }],
  ['the count begins anew', { tokens: 1, running: 2, nowMs: 20_000 }],
  ['nothing runs', { tokens: 5, running: 0, nowMs: 20_000 }],
  ['nobody tells', { tokens: null, running: 2, nowMs: 20_000 }],
  ['nobody says what runs', { tokens: 5, running: null, nowMs: 20_000 }],
])('begins anew when %s', (_name, between) => {
  const first = { tokens: 5, running: 2, nowMs: 0 };
  const last = { tokens: between.tokens ?? 5, running: 2, nowMs: 40_000 };
  const { progress, nowMs } = see(first, between, last);
  expect(isStalled(progress, nowMs)).toBe(false);
});

it('never sees one in an engine whose tokens move within half a minute', () => {
  const gaps = fc.array(fc.integer({ min: 1, max: STALLED_AFTER_MS - 1 }), { minLength: 1 });
  fc.assert(
    fc.property(gaps, (all) => {
      let progress: Progress | null = null;
      let nowMs = 0;
      for (const [index, gap] of all.entries()) {
        nowMs += gap;
        progress = follow(progress, { tokens: index, running: 1, nowMs });
        expect(isStalled(progress, nowMs)).toBe(false);
      }
    }),
  );
});
