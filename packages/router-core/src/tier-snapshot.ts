/** A tier in the figures that admission decides by. */
import type { Ahead, TierLoad } from './tier-load.ts';
import type { BreakerName, TierStatus, WorkerStatus } from './tier-status.ts';

export interface TierSnapshot extends TierPace {
  readonly name: string;
  readonly load: TierLoad;
  /** What the job that asks would find before it; null while its queue was not asked. */
  readonly ahead: Ahead | null;
}

/** What a tier gets done, whatever waits in it. */
export interface TierPace {
  /** Of the live workers that take jobs. */
  readonly slots: number;
  readonly liveWorkers: number;
  /** Cost of jobs that it gets done per second with all its slots in use; null while unknown. */
  readonly tokensPerS: number | null;
  /** `closed` also without a worker: nothing is known against it. */
  readonly breaker: BreakerName;
  /** Until an open breaker lets the next try through, in milliseconds, where that is known. */
  readonly retryInMs: number | null;
}

/** Of a tier of which nothing is known. */
export const NO_PACE: TierPace = {
  slots: 0,
  liveWorkers: 0,
  tokensPerS: null,
  breaker: 'closed',
  retryInMs: null,
};

export function tierSnapshot({ name, load, workers }: TierStatus): TierSnapshot {
  const breaker = breakerOf(workers);
  const pulling = workers.filter((worker) => worker.breaker !== 'open');
  return {
    name,
    load,
    ahead: null,
    slots: sum(pulling.map(({ slots }) => slots)),
    liveWorkers: workers.length,
    // Of a tier that is open: what it did before, and will do again.
    tokensPerS: rateOf(breaker === 'open' ? workers : pulling),
    breaker,
    retryInMs: breaker === 'open' ? soonest(workers) : null,
  };
}

/** Mean tokens of an answer of the tier; null while unknown. */
export function typicalTokens({ workers }: Pick<TierStatus, 'workers'>): number | null {
  const known = workers.flatMap((worker) => worker.output_tokens ?? []);
  return known.length === 0 ? null : sum(known) / known.length;
}

/** As good as its best worker. */
function breakerOf(workers: readonly WorkerStatus[]): BreakerName {
  if (workers.length === 0 || workers.some(({ breaker }) => breaker === 'closed')) return 'closed';
  return workers.some(({ breaker }) => breaker === 'half_open') ? 'half_open' : 'open';
}

/**
 * A worker that has done no job yet is taken to be as fast, slot for slot, as the others. One without
 * a slot says what it did when it had some: that counts only where no other has any.
 */
function rateOf(all: readonly WorkerStatus[]): number | null {
  const active = all.filter(({ slots }) => slots > 0);
  const workers = active.length > 0 ? active : all;
  const known = workers.filter(({ tokens_per_s: rate }) => (rate ?? 0) > 0);
  const rate = sum(known.map(({ tokens_per_s }) => tokens_per_s ?? 0));
  if (rate === 0) return null;
  const slotsKnown = sum(known.map(({ slots }) => slots));
  const slots = sum(workers.map((worker) => worker.slots));
  return slotsKnown === 0 ? rate : (rate * slots) / slotsKnown;
}

function soonest(workers: readonly WorkerStatus[]): number | null {
  const known = workers.flatMap((worker) => worker.retry_in_ms ?? []);
  return known.length === 0 ? null : Math.min(...known);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
