/**
 * At most so many of something at once, and one at most of each owner: what one of them has waiting
 * keeps no other from its turn. Owners take turns; of one owner the first comes first.
 */
export interface OwnerTurns {
  /** Resolves with a function that ends the turn, or with null when the signal is aborted first. */
  take(owner: string, signal: AbortSignal): Promise<(() => void) | null>;
}

export function createOwnerTurns(max: number): OwnerTurns {
  /** Those who wait, by owner: the one that has not had a turn for the longest time first. */
  const waiting = new Map<string, Set<() => void>>();
  const busy = new Set<string>();

  function next(): void {
    for (const [owner, those] of waiting) {
      if (busy.size >= max) return;
      const [first] = those;
      if (first === undefined || busy.has(owner)) continue;
      waiting.delete(owner);
      those.delete(first);
      if (those.size > 0) waiting.set(owner, those);
      busy.add(owner);
      first();
    }
  }

  return {
    async take(owner, signal) {
      if (signal.aborted) return null;
      const { promise, resolve } = Promise.withResolvers<(() => void) | null>();
      const those = waiting.get(owner) ?? new Set();
      waiting.set(owner, those);
      const onTurn = () => {
        signal.removeEventListener('abort', onAbort);
        resolve(() => {
          busy.delete(owner);
          next();
        });
      };
      const onAbort = () => {
        those.delete(onTurn);
        if (those.size === 0 && waiting.get(owner) === those) waiting.delete(owner);
        resolve(null);
      };
      those.add(onTurn);
      signal.addEventListener('abort', onAbort, { once: true });
      next();
      return promise;
    },
  };
}
