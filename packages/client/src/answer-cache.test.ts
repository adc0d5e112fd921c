import { expect, test } from 'vitest';
import { createAnswerCache } from './answer-cache.ts';

test('finds the last answer to the same fields, in any order', () => {
  const cache = createAnswerCache({ entriesMax: 2 });
  cache.keep({ a: 1, b: { c: [1, 2], d: 2 } }, { text: 'old' });
  cache.keep({ b: { d: 2, c: [1, 2] }, a: 1 }, { text: 'new' });
  expect(cache.find({ b: { c: [1, 2], d: 2 }, a: 1 })).toEqual({ text: 'new' });
  expect(cache.find({ a: 1, b: { c: [2, 1], d: 2 } })).toBeNull();
});

test('forgets what was not used for longest, and keeps nothing large', () => {
  const cache = createAnswerCache({ entriesMax: 2 });
  cache.keep({ n: 1 }, { n: 1 });
  cache.keep({ n: 2 }, { n: 2 });
  cache.find({ n: 1 });
  cache.keep({ n: 3 }, { n: 3 });
  expect([1, 2, 3].map((n) => cache.find({ n }))).toEqual([{ n: 1 }, null, { n: 3 }]);
  cache.keep({ n: 3 }, { text: 'x'.repeat(262_144) });
  expect(cache.find({ n: 3 })).toBeNull();
});

test('gives copies away', () => {
  const cache = createAnswerCache({ entriesMax: 1 });
  cache.keep({}, { n: 1 });
  (cache.find({}) as { n: number }).n = 2;
  expect(cache.find({})).toEqual({ n: 1 });
});
