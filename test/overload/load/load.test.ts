import { expect, test } from 'vitest';
import { createRandom } from '../../chaos/random.ts';
import { mixFor } from '../world/shape.ts';
import { createArrivals } from './arrivals.ts';
import { createEventReader } from './event-reader.ts';
import { bodyOf, drawWish, mayMove, pathOf } from './mix.ts';

test('arrivals come as often as was said, whenever somebody looks', () => {
  const arrivals = createArrivals(createRandom('a'));
  arrivals.setRate(50, 1_000);
  const looks = [1_000, 1_001, 40_000, 101_000].map((nowMs) => arrivals.due(nowMs));
  const times = looks.flat();
  // 5,000 on average; the standard deviation is 71.
  expect(times.length).toBeGreaterThan(4_700);
  expect(times.length).toBeLessThan(5_300);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect(looks[3]?.every((ms) => ms > 40_000)).toBe(true);
  arrivals.setRate(0, 101_000);
  expect(arrivals.due(1e9)).toEqual([]);
});

test('the same seed draws the same requests, in their shares', () => {
  const mix = mixFor({ fast: 12, precise: 8 });
  const draw = (seed: string) => {
    const random = createRandom(seed);
    return Array.from({ length: 2_000 }, () => drawWish(mix, random));
  };
  const wishes = draw('s');
  expect(draw('s')).toEqual(wishes);
  expect(draw('t')).not.toEqual(wishes);
  const share = (holds: (wish: (typeof wishes)[number]) => boolean) =>
    wishes.filter(holds).length / wishes.length;
  expect(share((wish) => wish.tier === 'fast')).toBeCloseTo(0.6, 1);
  expect(share((wish) => wish.class === 'interactive')).toBeCloseTo(0.5, 1);
  expect(share((wish) => wish.isPinned)).toBeCloseTo(0.3, 1);
});

test('a request says what its kind may say', () => {
  const wish = {
    class: 'standard',
    tier: 'fast',
    isPinned: false,
    fallback: 'any',
    tenant: 'rare',
    tokens: 30,
  } as const;
  expect(pathOf(wish)).toBe('/v1/jobs');
  expect(bodyOf(wish)).toMatchObject({ class: 'standard', fallback: 'any', max_tokens: 30 });
  const chat = { ...wish, class: 'interactive', isPinned: true, fallback: null } as const;
  expect(pathOf(chat)).toBe('/v1/chat/completions');
  expect(bodyOf(chat)).toMatchObject({ model: 'fast', stream: true });
  expect(bodyOf(chat)).not.toHaveProperty('class');
  expect(
    [wish, chat, { ...wish, tier: 'precise', fallback: null } as const].map((one) =>
      mayMove(one, ['fast', 'precise']),
    ),
  ).toEqual([true, false, false]);
});

test('reads events that come in pieces', () => {
  const seen: [string, string][] = [];
  const read = createEventReader((event, data) => seen.push([event, data]));
  for (const piece of [
    'retry: 1\n\nid: 1\nev',
    'ent: queued\ndata: {}\n',
    '\n: hb\n\ndata: [DO',
    'NE]\n\n',
  ]) {
    read(piece);
  }
  expect(seen).toEqual([
    ['queued', '{}'],
    ['', '[DONE]'],
  ]);
});
