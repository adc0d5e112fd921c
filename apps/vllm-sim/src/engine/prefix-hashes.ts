/** vLLM's default block size: tokens whose keys and values one block holds. */
export const BLOCK_TOKENS = 16;

/**
 * The names of a sequence's full blocks. A block's name covers everything before it: the chain of
 * vLLM's v1/core/kv_cache_utils.py (hash of the parent's hash and the block's ids; the first one of
 * the cache salt). Two sequences with the same salt and the same prefix have the same names.
 */
export type PrefixHashes = {
  /** The name of a block, counted from 0, or undefined while its tokens are not all known. */
  at(index: number): number | undefined;
  /** Takes one generated token; not before the prompt's names were asked for. */
  push(tokenId: number): void;
};

/** @param options.salt separates the cache of those who must not see each other's hits */
export function createPrefixHashes(options: {
  promptIds: readonly number[];
  salt: string;
}): PrefixHashes {
  const names: number[] = [];
  let chain: Chain | undefined;
  /** The known tokens after the last full block come first; the rest is of an earlier block. */
  const tail = Array.from({ length: BLOCK_TOKENS }, () => 0);
  let tailTokens = 0;

  /** The prompt is read when the first name is asked for: a sequence may wait for long. */
  function readPrompt(): Chain {
    chain = { low: 0x1e3779b9, high: 0x243f6a88 };
    mix(
      chain,
      Array.from(options.salt, (character) => character.codePointAt(0) ?? 0),
    );
    for (const id of options.promptIds) push(id);
    return chain;
  }

  function push(tokenId: number): void {
    tail[tailTokens] = tokenId;
    tailTokens += 1;
    if (tailTokens < BLOCK_TOKENS || chain === undefined) return;
    mix(chain, tail);
    tailTokens = 0;
    // 53 bits, the most that a number holds exactly.
    names.push((chain.high >>> 11) * 2 ** 32 + (chain.low >>> 0));
  }

  return {
    at(index) {
      chain ??= readPrompt();
      return names[index];
    },
    push,
  };
}

/** Two 32-bit lanes that depend on the salt and all full blocks so far. */
type Chain = { low: number; high: number };

/** A round of MurmurHash3 (Austin Appleby, public domain) per lane and value. */
function mix(chain: Chain, values: readonly number[]): void {
  let { low, high } = chain;
  for (const value of values) {
    low = Math.imul(low ^ value, 0x85ebca6b);
    low ^= low >>> 13;
    high = Math.imul(high ^ low ^ value, 0xc2b2ae35);
    high ^= high >>> 16;
  }
  chain.low = low;
  chain.high = high;
}
