/**
 * A hash of a token sequence that grows by one token in constant time. Two 32-bit lanes: with one,
 * a long text would run into a cycle after some 2^16 tokens.
 */
export type PrefixHash = { readonly low: number; readonly high: number };

export function startPrefixHash(seeds: readonly number[]): PrefixHash {
  let hash: PrefixHash = { low: 0x9e3779b9, high: 0x243f6a88 };
  for (const seed of seeds) {
    hash = extendPrefixHash(hash, seed >>> 0);
    hash = extendPrefixHash(hash, Math.floor(seed / 2 ** 32) >>> 0);
  }
  return hash;
}

export function extendPrefixHash(hash: PrefixHash, tokenId: number): PrefixHash {
  const low = mix(hash.low ^ Math.imul(tokenId, 0x85ebca6b));
  return { low, high: mix(hash.high ^ low ^ tokenId) };
}

/**
 * A whole number in [0, below) drawn from the hash. Draws with different `purpose` from one hash
 * are independent.
 */
export function drawFromHash(hash: PrefixHash, draw: { purpose: number; below: number }): number {
  return mix(hash.high ^ Math.imul(draw.purpose + 1, 0xc2b2ae35) ^ hash.low) % draw.below;
}

/** The finaliser of MurmurHash3 (Austin Appleby, public domain): every input bit reaches every output bit. */
function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
