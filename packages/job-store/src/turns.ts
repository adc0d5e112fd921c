/** At most so many of something at once; the others wait for their turn, first come, first served. */
export interface Turns {
  /** Resolves with a function that ends the turn, or with null when the signal is aborted first. */
  take(signal: AbortSignal): Promise<(() => void) | null>;
}

export function createTurns(max: number): Turns {
  const waiting = new Set<() => void>();
  let taken = 0;

  function begin(): () => void {
    taken += 1;
    return () => {
      taken -= 1;
      const [next] = waiting;
      if (next === undefined) return;
      waiting.delete(next);
      next();
    };
  }

  return {
    async take(signal) {
      if (signal.aborted) return null;
      if (taken < max) return begin();
      const { promise, resolve } = Promise.withResolvers<(() => void) | null>();
      const onTurn = () => {
        signal.removeEventListener('abort', onAbort);
        resolve(begin());
      };
      const onAbort = () => {
        waiting.delete(onTurn);
        resolve(null);
      };
      waiting.add(onTurn);
      signal.addEventListener('abort', onAbort, { once: true });
      return promise;
    },
  };
}
