/** When the next request comes: a Poisson process, drawn from the seed. */
import type { Random } from '../../chaos/random.ts';

export interface Arrivals {
  /** Times that are due at `nowMs`, in order; each is told once. */
  due(nowMs: number): number[];
  /** From `nowMs` on so many come per second. */
  setRate(perSecond: number, nowMs: number): void;
}

export function createArrivals(random: Random): Arrivals {
  let perSecond = 0;
  let nextMs = Number.POSITIVE_INFINITY;

  /** The time between two arrivals is exponential. */
  function gapMs(): number {
    return (-Math.log(1 - random.next()) / perSecond) * 1_000;
  }

  return {
    due(nowMs) {
      const times: number[] = [];
      while (nextMs <= nowMs) {
        times.push(nextMs);
        nextMs += gapMs();
      }
      return times;
    },
    setRate(rate, nowMs) {
      perSecond = rate;
      // A Poisson process has no memory: it may begin anew at any moment.
      nextMs = rate === 0 ? Number.POSITIVE_INFINITY : nowMs + gapMs();
    },
  };
}
