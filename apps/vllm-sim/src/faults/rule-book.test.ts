import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readRule } from './read-rule.ts';
import { createRuleBook, type RequestTraits, RULES_MAX } from './rule-book.ts';

const REQUEST: RequestTraits = {
  path: '/v1/chat/completions',
  model: 'qarr-sim',
  headers: {},
  streams: true,
};

/** Which of `count` equal requests, counted from 1, get a fault that takes effect. */
function injectedAt(seed: number, rule: object, count: number): number[] {
  const book = createRuleBook(seed);
  book.add(readRule({ fault: 'cut', ...rule }));
  const requests = Array.from({ length: count }, (_, index) => index + 1);
  return requests.filter(() => {
    const draw = book.draw(REQUEST);
    draw?.took();
    return draw !== undefined;
  });
}

const seeds = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

test('a rate gives the same requests a fault for the same seed, and about its share of them', () => {
  fc.assert(
    fc.property(seeds, fc.double({ min: 0, max: 1, noNaN: true }), (seed, rate) => {
      const injected = injectedAt(seed, { when: { rate } }, 400);
      expect(injectedAt(seed, { when: { rate } }, 400)).toEqual(injected);
      // Five standard deviations.
      expect(Math.abs(injected.length - 400 * rate)).toBeLessThanOrEqual(50);
    }),
    { numRuns: 100 },
  );
  expect(injectedAt(1, { when: { rate: 0 } }, 400)).toEqual([]);
  expect(injectedAt(1, { when: { rate: 1 } }, 400)).toHaveLength(400);
});

test('another seed gives other requests a fault', () => {
  fc.assert(
    fc.property(seeds, seeds, (one, other) => {
      fc.pre(one !== other);
      const when = { rate: 0.5 };
      expect(injectedAt(one, { when }, 100)).not.toEqual(injectedAt(other, { when }, 100));
    }),
  );
});

test('nth, every and times are arithmetic on the requests that reach the rule', () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 });
  const every = fc.integer({ min: 1, max: 12 });
  const times = fc.integer({ min: 1, max: 8 });
  fc.assert(
    fc.property(
      fc.record({ nth: numbers, every, times }, { requiredKeys: [] }),
      ({ times: max, ...when }) => {
        const expected = Array.from({ length: 40 }, (_, index) => index + 1)
          .filter((n) => when.nth?.includes(n) ?? true)
          .filter((n) => n % (when.every ?? 1) === 0)
          .slice(0, max ?? 40);
        expect(injectedAt(0, { when, times: max }, 40)).toEqual(expected);
      },
    ),
  );
});

test('a fault that did not take effect is not counted, and free for another request', () => {
  const book = createRuleBook(0);
  book.add(readRule({ fault: 'cut', times: 1 }));
  const first = book.draw(REQUEST);
  expect(book.draw(REQUEST)).toBeUndefined();
  first?.release();
  expect(book.injected()).toEqual({});
  const second = book.draw(REQUEST);
  second?.took();
  second?.took();
  second?.release();
  first?.took();
  expect(book.injected()).toEqual({ cut: 1 });
  expect(book.draw(REQUEST)).toBeUndefined();
  expect(book.rules()).toMatchObject([{ matched: 4, injected: 1 }]);
});

test('the first rule from the top that matches is the one', () => {
  const book = createRuleBook(0);
  book.add(readRule({ fault: 'reset', when: { nth: [2] } }));
  book.add(readRule({ fault: 'close', when: { model: 'other' } }));
  book.add(readRule({ fault: 'cut' }));
  const names = [1, 2, 3].map(() => book.draw(REQUEST)?.fault.name);
  expect(names).toEqual(['cut', 'reset', 'cut']);
  expect(book.rules().map(({ matched }) => matched)).toEqual([3, 0, 2]);
});

test.for([
  ['the path of another route', { path: '/v1/completions' }, {}, false],
  ['its path', { path: '/v1/chat/completions' }, {}, true],
  ['another model', { model: 'other' }, {}, false],
  ['its model', { model: 'qarr-sim' }, {}, true],
  ['a header that is absent', { header: 'x-user' }, {}, false],
  ['a header that is there', { header: 'X-User' }, { 'x-user': 'bob' }, true],
  ['a header of another value', { header: 'x-user: bob' }, { 'x-user': 'eve' }, false],
  ['a header of this value', { header: 'x-user: bob' }, { 'x-user': 'bob' }, true],
] as const)('a rule for %s', ([, when, headers, matches]) => {
  const book = createRuleBook(0);
  book.add(readRule({ fault: 'cut', when }));
  expect(book.draw({ ...REQUEST, headers }) !== undefined).toBe(matches);
});

test('without a path a rule is for the routes that generate', () => {
  const book = createRuleBook(0);
  book.add(readRule({ fault: 'reset' }));
  expect(book.draw({ ...REQUEST, path: '/health' })).toBeUndefined();
  book.add(readRule({ fault: 'reset', when: { path: '/health' } }));
  expect(book.draw({ ...REQUEST, path: '/health' })).toBeDefined();
});

test('a fault in a stream passes over what is no stream', () => {
  const book = createRuleBook(0);
  book.add(readRule({ fault: 'cut' }));
  expect(book.draw({ ...REQUEST, streams: false })).toBeUndefined();
});

test('there are no more rules than the limit, and none after clear', () => {
  const book = createRuleBook(0);
  const rule = readRule({ fault: 'cut' });
  for (let added = 0; added < RULES_MAX; added += 1) expect(book.add(rule)).toBe(true);
  expect(book.add(rule)).toBe(false);
  book.draw(REQUEST)?.took();
  book.clear();
  expect(book.rules()).toEqual([]);
  expect(book.injected()).toEqual({});
});
