import { drawFromHash, extendPrefixHash, startPrefixHash } from '../text/prefix-hash.ts';

/** Numbers in [0, 1): the same ones for the same seeds. */
export function createSeededRandom(seeds: readonly number[]): () => number {
  const range = 2 ** 32;
  let hash = startPrefixHash(seeds);
  return () => {
    hash = extendPrefixHash(hash, 0);
    return drawFromHash(hash, { purpose: 0, below: range }) / range;
  };
}
