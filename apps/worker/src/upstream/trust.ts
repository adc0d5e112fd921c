/**
 * How far an engine is trusted that answers its canaries and fails its jobs. One that fails at once
 * is always the least loaded, and would get job after job: so after some failures in a row it rests,
 * longer each time, and is tried again with the next job.
 */
import type { RestLimits } from '../config.ts';
import type { EngineOutcome } from '../engine.ts';

const REST_CAP_MS = 300_000;

export interface Trust {
  /** Since the last job that it did well. */
  readonly failures: number;
  readonly rests: number;
}

export const FULL_TRUST: Trust = { failures: 0, rests: 0 };

/** After a job. `restMs` is how long it shall have none; null: it goes on. */
export function judge(
  trust: Trust,
  { ending }: EngineOutcome,
  { limits, random }: { limits: RestLimits; random: number },
): { trust: Trust; restMs: number | null } {
  if (ending.kind === 'whole') return { trust: FULL_TRUST, restMs: null };
  // What we break off says nothing; a busy engine says so, and is left alone by itself.
  if (ending.kind === 'aborted') return { trust, restMs: null };
  const { engine, burns } = ending.failure;
  if (engine === 'fine' || burns === 'nothing') return { trust, restMs: null };

  const failures = trust.failures + 1;
  if (limits.afterFailures === 0 || failures < limits.afterFailures)
    return { trust: { ...trust, failures }, restMs: null };
  const restMs = Math.min(REST_CAP_MS, limits.firstMs * 2 ** trust.rests);
  // The next failure sends it back to rest: it must do a job well first.
  return {
    trust: { failures: limits.afterFailures - 1, rests: trust.rests + 1 },
    restMs: restMs * (0.8 + 0.4 * random),
  };
}
