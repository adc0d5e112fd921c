import { expect, it } from 'vitest';
import { createKeys } from './keys.ts';

const keys = createKeys('root');

/** What Redis Cluster makes the slot of: between the first brace and the next closing one. */
function tagOf(name: string): string {
  return /\{([^}]+)\}/.exec(name)?.[1] ?? name;
}

it.each<[string, readonly string[]]>([
  ['a job', [keys.job('a'), keys.log('a')]],
  ['a ledger', keys.ledger('fast')],
  ['a key', [...keys.holds('k'), keys.requests('k', 'submits'), keys.requests('k', 'reads')]],
  ['a batch', keys.batch('batch_a')],
  ["an owner's batches", keys.batchesOf('ann')],
])('keeps what a script takes of %s in one slot', (_name, names) => {
  expect(new Set(names.map(tagOf)).size).toBe(1);
  expect(new Set(names).size).toBe(names.length);
});
