import { createBlockPool } from './block-pool.ts';
import { BLOCK_TOKENS, type PrefixHashes } from './prefix-hashes.ts';

/** What the KV cache knows of a sequence. */
export type CachedSequence = {
  /** Without them nothing of it is found again, and it finds nothing: prefix caching is off. */
  readonly hashes: PrefixHashes | undefined;
  /** Those for its computed tokens and no others, in their order; the last may be partly filled. */
  blocks: number[];
  /** Tokens whose keys and values are computed; in a planned step the blocks are ahead of it. */
  computedTokens: number;
};

/**
 * Which sequence holds which block, as in vLLM's v1/core/kv_cache_manager.py. Blocks are handed out
 * for the tokens of the step that is being planned, and named then: what is admitted later in the
 * same step already finds them.
 */
export type KvCache = {
  /**
   * Gives a running sequence the blocks for its next `tokens`; false, and nothing given, where too
   * few are free.
   */
  grow(sequence: CachedSequence, tokens: number): boolean;
  /**
   * Gives a waiting sequence the cached blocks of its prefix. Undefined, and nothing given, where
   * the rest of all its tokens does not fit: a chunk of a prompt must not be admitted that then
   * never ends (vLLM's full_sequence_must_fit).
   *
   * @returns how many tokens need no computing: full blocks, and never the last token
   */
  admit(sequence: CachedSequence, knownTokens: number): { cachedTokens: number } | undefined;
  /** Takes a sequence's blocks back. Those that were computed stay findable until they are needed. */
  free(sequence: CachedSequence): void;
  /** Whether more blocks are in use than exist, after the cache shrank. */
  isOverfull(): boolean;
  /** Share of the blocks in use by live sequences, 0 to 1: what only waits to be found is free. */
  usage(): number;
  resize(blocks: number): void;
};

export function createKvCache(options: { blocks: number }): KvCache {
  const pool = createBlockPool(options);

  function grow(sequence: CachedSequence, tokens: number): boolean {
    const { blocks } = sequence;
    const end = sequence.computedTokens + tokens;
    // Nearly always: within the last block, which is not full yet.
    if (end < blocks.length * BLOCK_TOKENS) return true;
    const missing = blocksFor(end) - blocks.length;
    if (missing > pool.free()) return false;
    for (let count = 0; count < missing; count += 1) blocks.push(pool.take());
    publish(sequence, end);
    return true;
  }

  /** Names the blocks that the step fills. */
  function publish({ hashes, blocks, computedTokens }: CachedSequence, end: number): void {
    const first = Math.floor(computedTokens / BLOCK_TOKENS);
    const beyond = Math.floor(end / BLOCK_TOKENS);
    for (let index = first; index < beyond; index += 1) {
      const block = blocks[index];
      const hash = hashes?.at(index);
      if (block !== undefined && hash !== undefined) pool.publish(block, hash);
    }
  }

  function admit(sequence: CachedSequence, knownTokens: number) {
    const hits = findPrefix(sequence, knownTokens);
    const revived = hits.filter((block) => !pool.isLive(block)).length;
    if (blocksFor(knownTokens) - hits.length + revived > pool.free()) return undefined;
    for (const block of hits) pool.share(block);
    sequence.blocks = hits;
    return { cachedTokens: hits.length * BLOCK_TOKENS };
  }

  function findPrefix(sequence: CachedSequence, knownTokens: number): number[] {
    const hits: number[] = [];
    // The last token is always computed: its output is the next token.
    const hitsMax = Math.floor((knownTokens - 1) / BLOCK_TOKENS);
    while (hits.length < hitsMax) {
      const hash = sequence.hashes?.at(hits.length);
      const block = hash === undefined ? undefined : pool.find(hash);
      if (block === undefined) break;
      hits.push(block);
    }
    return hits;
  }

  function free(sequence: CachedSequence): void {
    const { blocks, computedTokens } = sequence;
    sequence.blocks = [];
    pool.release(blocks);
    const computedBlocks = Math.floor(computedTokens / BLOCK_TOKENS);
    for (const block of blocks.slice(computedBlocks)) {
      if (!pool.isLive(block)) pool.unpublish(block);
    }
  }

  return {
    grow,
    admit,
    free,
    isOverfull: () => pool.overdue() > 0,
    usage: () => (pool.live() === 0 ? 0 : Math.min(1, pool.live() / pool.total())),
    resize: pool.resize,
  };
}

function blocksFor(tokens: number): number {
  return Math.ceil(tokens / BLOCK_TOKENS);
}
