/**
 * How large the system is that gets more than it can do. Few slots and slow cards: its capacity must be
 * far below what one load generator and the API can do on two cores, also at ten times of it.
 */
import { CLASSES } from '../load/mix.ts';
import type { LoadMix } from '../load/mix.ts';

export interface TierShape {
  readonly name: string;
  readonly profile: string;
  /** Of the simulator's times: some 35 and 26 ms per token. */
  readonly timeScale: number;
  /** Jobs at once in all of its workers. */
  readonly slots: number;
  /** An answer takes one to three seconds. */
  readonly tokens: readonly [min: number, max: number];
}

export const TIERS: readonly TierShape[] = [
  { name: 'fast', profile: 'awq-24gb', timeScale: 4, slots: 16, tokens: [20, 60] },
  { name: 'precise', profile: 'bf16-l40s', timeScale: 1.2, slots: 16, tokens: [65, 95] },
];
export const API_COUNT = 2;
export const WORKERS_PER_TIER = 2;
/** Beyond the slots: an engine that never queues by itself, so that a canary disturbs nobody. */
export const SPARE_SEQUENCES = 4;
export const CONTEXT_TOKENS = 2_048;
/** Longer answers than the first tier's are the second's. */
export const ROUTING_RULES = [
  { tier: 'precise', when: 'max_tokens > 64' },
  { tier: 'fast', when: 'default' },
];

/** How long jobs may wait and run, in milliseconds. */
export interface Deadlines {
  readonly interactiveQueueMs: number;
  readonly standardQueueMs: number;
  readonly batchQueueMs: number;
  readonly runMs: number;
}

/** So that a level of a minute shows what their end means. */
export const SHORT_DEADLINES: Deadlines = {
  interactiveQueueMs: 8_000,
  standardQueueMs: 30_000,
  batchQueueMs: 600_000,
  runMs: 15_000,
};
/** An engine that is gone for a minute must not be the end of what may wait for it. */
export const LONG_DEADLINES: Deadlines = {
  interactiveQueueMs: 30_000,
  standardQueueMs: 120_000,
  batchQueueMs: 600_000,
  runMs: 180_000,
};
/** Jobs that may wait in a tier: low enough to be reached. */
export const DEPTH_MAX = 300;

/** Each tier gets what it can do of it, so that all are loaded alike. */
export function mixFor(capacity: Readonly<Record<string, number>>): LoadMix {
  const total = Object.values(capacity).reduce((sum, perSecond) => sum + perSecond, 0);
  return {
    tiers: TIERS.map(({ name, tokens }) => ({
      name,
      tokens,
      share: total === 0 ? 1 / TIERS.length : (capacity[name] ?? 0) / total,
    })),
    classes: CLASSES,
  };
}
