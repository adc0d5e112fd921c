import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BLOCK_TOKENS, createPrefixHashes } from './prefix-hashes.ts';

const ids = fc.array(fc.nat(1_000_000), { maxLength: 100 });

function namesOf(promptIds: readonly number[], generated: readonly number[] = [], salt = '') {
  const hashes = createPrefixHashes({ promptIds, salt });
  hashes.at(0);
  for (const id of generated) hashes.push(id);
  const blocks = Math.ceil((promptIds.length + generated.length) / BLOCK_TOKENS);
  return Array.from({ length: blocks }, (_, index) => hashes.at(index));
}

test('full blocks have names, the last one has none before it is full', () => {
  const names = namesOf(Array.from({ length: 40 }, (_, at) => at));
  expect(names.map((name) => typeof name)).toEqual(['number', 'number', 'undefined']);
});

test('it does not matter which tokens were prompt and which were generated', () => {
  fc.assert(
    fc.property(ids, fc.nat(100), (all, cut) => {
      expect(namesOf(all.slice(0, cut), all.slice(cut))).toEqual(namesOf(all));
    }),
  );
});

test('a token changes the names of its block and all later ones, and of no earlier one', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(1_000_000), { minLength: 64, maxLength: 64 }),
      fc.nat(63),
      (all, at) => {
        const changed = all.with(at, (all[at] ?? 0) + 1);
        const same = namesOf(all).map((name, index) => name === namesOf(changed)[index]);
        expect(same).toEqual([0, 1, 2, 3].map((block) => block < Math.floor(at / BLOCK_TOKENS)));
      },
    ),
  );
});

test('another salt gives other names', () => {
  const all = Array.from({ length: 32 }, (_, at) => at);
  const [one, other] = [namesOf(all, [], 'tenant-a'), namesOf(all, [], 'tenant-b')];
  expect(one[0]).not.toBe(other[0]);
  expect(one[1]).not.toBe(other[1]);
});
