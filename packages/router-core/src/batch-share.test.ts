import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EVEN_SHARES, feedNext, weightOf } from './batch-share.ts';
import type { Sharer, ShareState } from './batch-share.ts';

const HOUR_MS = 3_600_000;
const sharers = fc.uniqueArray(
  fc.record({
    id: fc.integer({ min: 0, max: 30 }).map(String),
    owner: fc.constantFrom('ann', 'bob', 'cat'),
    windowMs: fc.constantFrom(HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS, 72 * HOUR_MS),
  }),
  { selector: ({ id }) => id, minLength: 1, maxLength: 8 },
);

function batch(id: string, owner = id, hours = 24): Sharer {
  return { id, owner, windowMs: hours * HOUR_MS };
}

function feed(
  state: ShareState,
  all: readonly Sharer[],
  lines: number,
): { state: ShareState; order: string[]; fed: Record<string, number> } {
  const order: string[] = [];
  const fed: Record<string, number> = Object.fromEntries(all.map(({ id }) => [id, 0]));
  let after = state;
  for (let line = 0; line < lines; line += 1) {
    const { next, state: later } = feedNext(after, all as [Sharer, ...Sharer[]]);
    after = later;
    order.push(next.id);
    fed[next.id] = (fed[next.id] ?? 0) + 1;
  }
  return { state: after, order, fed };
}

/** Feeding that went on before, of batches that came and went. */
const histories = fc
  .array(fc.tuple(sharers, fc.nat(50)), { maxLength: 5 })
  .map((parts) =>
    parts.reduce((state, [all, lines]) => feed(state, all, lines).state, EVEN_SHARES),
  );

describe('who is fed next', () => {
  it('shares by the weights within two lines, whatever was before', () => {
    fc.assert(
      fc.property(histories, sharers, fc.nat(400), (before, all, lines) => {
        // Whoever has taken more before, by another weight, may have to wait for the others once.
        const { state: settled } = feed(before, all, 2_000);
        const { fed } = feed(settled, all, lines);
        for (const one of all) {
          for (const other of all) {
            const [weight, others] = [weightOf(one, all), weightOf(other, all)];
            const ahead = (fed[one.id] ?? 0) / weight - (fed[other.id] ?? 0) / others;
            expect(Math.abs(ahead)).toBeLessThanOrEqual(1 / weight + 1 / others + 1e-6);
          }
        }
      }),
    );
  });

  it('feeds tenants alike however many batches they have, and their batches alike', () => {
    const all = [batch('a1', 'ann'), batch('a2', 'ann'), batch('a3', 'ann'), batch('b1', 'bob')];
    expect(feed(EVEN_SHARES, all, 600).fed).toEqual({ a1: 100, a2: 100, a3: 100, b1: 300 });
  });

  it('feeds the batch with less time more often, and starves none', () => {
    const { fed } = feed(EVEN_SHARES, [batch('day'), batch('half', 'bob', 12)], 300);
    expect(fed).toEqual({ day: 100, half: 200 });
  });

  it('gives nobody more than four times as much for saying how little time there is', () => {
    const all = [batch('day'), batch('hour', 'bob', 1), batch('minutes', 'cat', 1 / 6)];
    expect(feed(EVEN_SHARES, all, 900).fed).toEqual({ day: 100, hour: 400, minutes: 400 });
  });

  it('gives a newcomer its share from the first line, no more and no less', () => {
    fc.assert(
      fc.property(fc.nat(500), fc.nat(100), (before, lines) => {
        const { state } = feed(EVEN_SHARES, [batch('old')], before);
        const { fed } = feed(state, [batch('old'), batch('new')], lines);
        expect(Math.abs((fed['old'] ?? 0) - (fed['new'] ?? 0))).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('lets nobody save up what it did not use', () => {
    const [one, other] = [batch('one'), batch('other')];
    const { state } = feed(feed(EVEN_SHARES, [one, other], 10).state, [one], 1_000);
    const { order } = feed(state, [one, other], 20);
    expect(order.filter((id) => id === 'other')).toHaveLength(10);
    expect(order.slice(0, 4).toSorted()).toEqual(['one', 'one', 'other', 'other']);
  });

  it('remembers no batch for longer than it matters', () => {
    let state = EVEN_SHARES;
    for (let id = 0; id < 500; id += 1) {
      state = feed(state, [batch(`b${id}`), batch('always')], 6).state;
    }
    expect(state.ends.size).toBeLessThan(5);
  });
});
