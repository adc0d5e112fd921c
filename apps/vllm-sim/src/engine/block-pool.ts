import { createFreeQueue } from './free-queue.ts';

/**
 * The KV cache's blocks, as in vLLM's v1/core/block_pool.py.
 *
 * A block is in one of four places:
 *
 *   live     one or more sequences use it; a second one joins by `share`
 *   cached   no one uses it, but it has a hash, so a prompt may find its content: `share` revives it
 *   empty    no one uses it and it has no hash
 *   gone     taken out by `resize`; a live block goes when its last user releases it
 *
 * Cached and empty blocks are both free, in one queue: the one that was released longest ago is
 * handed out first, and its content is lost.
 */
export type BlockPool = {
  /** The block that was free for the longest time, now live. Only while `free() > 0`. */
  take(): number;
  /** Adds a user to a live or cached block. */
  share(block: number): void;
  /** Takes a user from each block. The last of them is handed out first when all get free. */
  release(blocks: readonly number[]): void;
  /** Names a live block by what it holds. A second block of the same content stays unnamed. */
  publish(block: number, hash: number): void;
  /** Takes a block's name: its content was never computed. */
  unpublish(block: number): void;
  find(hash: number): number | undefined;
  isLive(block: number): boolean;
  /** Cached and empty ones. */
  free(): number;
  live(): number;
  total(): number;
  /** Live blocks beyond the size that `resize` set: to be released as soon as possible. */
  overdue(): number;
  resize(blocks: number): void;
};

export function createBlockPool(options: { blocks: number }): BlockPool {
  let size = 0;
  let liveBlocks = 0;
  const users: number[] = [];
  const hashes: (number | undefined)[] = [];
  const byHash = new Map<number, number>();
  /** Ids that `resize` took out, to be used again when it grows. */
  const gone: number[] = [];
  /** In the order of their release. */
  const freeBlocks = createFreeQueue();

  function take(): number {
    const block = freeBlocks.shift();
    if (block === undefined) throw new Error('a block was taken from a full cache');
    unpublish(block);
    addUser(block);
    return block;
  }

  function share(block: number): void {
    freeBlocks.remove(block);
    addUser(block);
  }

  function addUser(block: number): void {
    const count = users[block] ?? 0;
    if (count === 0) liveBlocks += 1;
    users[block] = count + 1;
  }

  function release(blocks: readonly number[]): void {
    for (const block of blocks.toReversed()) {
      const count = (users[block] ?? 0) - 1;
      if (count < 0) throw new Error('a block was released more often than it was used');
      users[block] = count;
      if (count > 0) continue;
      liveBlocks -= 1;
      if (freeBlocks.size() + liveBlocks < size) freeBlocks.push(block);
      else retire(block);
    }
  }

  function retire(block: number): void {
    unpublish(block);
    gone.push(block);
  }

  function unpublish(block: number): void {
    const hash = hashes[block];
    if (hash === undefined) return;
    hashes[block] = undefined;
    byHash.delete(hash);
  }

  function resize(blocks: number): void {
    size = blocks;
    while (freeBlocks.size() + liveBlocks > size) {
      const oldest = freeBlocks.shift();
      // The rest goes when it is released.
      if (oldest === undefined) break;
      retire(oldest);
    }
    while (freeBlocks.size() + liveBlocks < size) freeBlocks.push(gone.pop() ?? addBlock());
  }

  function addBlock(): number {
    return users.push(0) - 1;
  }

  resize(options.blocks);
  return {
    take,
    share,
    release,
    publish(block, hash) {
      if (byHash.has(hash)) return;
      byHash.set(hash, block);
      hashes[block] = hash;
    },
    unpublish,
    find: (hash) => byHash.get(hash),
    isLive: (block) => (users[block] ?? 0) > 0,
    free: () => freeBlocks.size(),
    live: () => liveBlocks,
    total: () => size,
    overdue: () => Math.max(0, liveBlocks - size),
    resize,
  };
}
