/** How fast a worker gets jobs done: moving averages over those that its engines have answered. */
import { costOf } from '@qarr/router-core';
import type { Usage } from '@qarr/router-core';

/** Weight of the newest job, once there were enough for it to be one among many. */
const WEIGHT = 0.1;

interface Average {
  readonly value: number;
  readonly count: number;
}

/** Null: before the first. */
export interface ServiceRate {
  /** How long a job occupies a slot. */
  readonly slotMs: Average | null;
  /** The same, and what it costs, of jobs whose tokens are known. */
  readonly costed: { readonly slotMs: Average; readonly cost: Average } | null;
  readonly outputTokens: Average | null;
}

export const NO_JOBS_YET: ServiceRate = { slotMs: null, costed: null, outputTokens: null };

/** A job whose answer is whole. What fails or is cut short says nothing of how long one takes. */
export interface Served {
  readonly slotMs: number;
  /** Null where the engine does not count. */
  readonly usage: Usage | null;
  /** Tokens of this answer that earlier attempts have made; null where nobody knows. */
  readonly tokensBefore: number | null;
}

export function countServed(
  before: ServiceRate,
  { slotMs, usage, tokensBefore }: Served,
): ServiceRate {
  const after = { ...before, slotMs: add(before.slotMs, slotMs) };
  if (usage === null) return after;
  const outputTokens = add(before.outputTokens, usage.completion_tokens);
  if (tokensBefore === null) return { ...after, outputTokens };
  const cost = costOf({
    promptTokens: usage.prompt_tokens,
    generatedTokens: Math.max(0, usage.completion_tokens - tokensBefore),
  });
  return {
    ...after,
    outputTokens,
    costed: {
      slotMs: add(before.costed?.slotMs ?? null, slotMs),
      cost: add(before.costed?.cost ?? null, cost),
    },
  };
}

/**
 * Cost of jobs that so many slots get done per second when all are in use; null while unknown. What
 * a slot gets done is the quotient of both averages: the average of quotients would count a job of
 * one token as much as one of a thousand, and those are slower per token.
 */
export function tokensPerS({ costed }: ServiceRate, slots: number): number | null {
  if (costed === null || costed.slotMs.value <= 0) return null;
  return (slots * costed.cost.value * 1_000) / costed.slotMs.value;
}

/** The first jobs have all the same weight. */
function add(average: Average | null, value: number): Average {
  if (average === null) return { value, count: 1 };
  const count = average.count + 1;
  const weight = Math.max(WEIGHT, 1 / count);
  return { value: average.value + weight * (value - average.value), count };
}
