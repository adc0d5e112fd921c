/**
 * A queue of block ids that also gives up an id from its middle in constant time: a doubly linked
 * list in two arrays, as vLLM's FreeKVCacheBlockQueue is. (A Set keeps order too, but takes
 * microseconds to find its first member among the places of deleted ones.)
 */
export type FreeQueue = {
  /** Only for an id that is not in the queue. */
  push(id: number): void;
  shift(): number | undefined;
  has(id: number): boolean;
  remove(id: number): void;
  size(): number;
};

/** Stands before the first and after the last id: ids are moved by one to make room for it. */
const END = 0;
const ABSENT = -1;

export function createFreeQueue(): FreeQueue {
  const after: number[] = [END];
  const before: number[] = [END];
  let size = 0;

  function has(id: number): boolean {
    return (after[id + 1] ?? ABSENT) !== ABSENT;
  }

  function remove(id: number): void {
    if (!has(id)) return;
    const next = after[id + 1] ?? END;
    const previous = before[id + 1] ?? END;
    after[previous] = next;
    before[next] = previous;
    after[id + 1] = ABSENT;
    size -= 1;
  }

  return {
    push(id) {
      const last = before[END] ?? END;
      after[last] = id + 1;
      before[id + 1] = last;
      after[id + 1] = END;
      before[END] = id + 1;
      size += 1;
    },
    shift() {
      if (size === 0) return undefined;
      const first = (after[END] ?? END) - 1;
      remove(first);
      return first;
    },
    has,
    remove,
    size: () => size,
  };
}
