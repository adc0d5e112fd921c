/** What a request of the load is: drawn from the seed, so that each level asks for the same kind of work. */
import type { Fallback, JobClass } from '@qarr/router-core';
import type { Random } from '../../chaos/random.ts';

interface TierMix {
  readonly name: string;
  /** Of all requests; the shares add up to 1. */
  readonly share: number;
  /** Tokens of an answer, both ends included; they also decide where the request is routed. */
  readonly tokens: readonly [min: number, max: number];
}

export interface LoadMix {
  readonly tiers: readonly TierMix[];
  /** Weights. */
  readonly classes: Readonly<Record<JobClass, number>>;
}

/** One request, before it is sent. */
export interface Wish {
  readonly class: JobClass;
  /** Where it belongs by its pin, or by the rules. */
  readonly tier: string;
  readonly isPinned: boolean;
  /** Null: it does not say. */
  readonly fallback: Fallback | null;
  readonly tenant: string;
  readonly tokens: number;
}

/** Connected clients first, some offline work: nobody knows the mix of everybody. */
export const CLASSES = { interactive: 0.5, standard: 0.4, batch: 0.1 } as const;

/** One that asks for most of it, and one that hardly ever comes. */
const TENANTS = [
  ['busy', 0.7],
  ['steady', 0.25],
  ['rare', 0.05],
] as const;
const PINNED_SHARE = 0.3;
/** Of those who are not pinned and may say it: they would take any tier. */
const ANY_SHARE = 0.2;

export function drawWish({ tiers, classes }: LoadMix, random: Random): Wish {
  const tier = draw(
    random,
    tiers.map((candidate) => [candidate, candidate.share] as const),
  );
  const jobClass = draw(random, Object.entries(classes) as [JobClass, number][]);
  const isPinned = random.chance(PINNED_SHARE);
  const saysAny = random.chance(ANY_SHARE);
  return {
    class: jobClass,
    tier: tier.name,
    isPinned,
    // A chat cannot say it.
    fallback: saysAny && !isPinned && jobClass === 'standard' ? 'any' : null,
    tenant: draw(random, TENANTS),
    tokens: random.int(...tier.tokens),
  };
}

/** Whether it may be served elsewhere: what is routed by the rules allows a more precise tier. */
export function mayMove(wish: Wish, tierNames: readonly string[]): boolean {
  if (wish.isPinned || wish.class === 'batch') return false;
  return wish.fallback === 'any' || wish.tier !== tierNames.at(-1);
}

export function pathOf(wish: Wish): string {
  return wish.class === 'interactive' ? '/v1/chat/completions' : '/v1/jobs';
}

export function bodyOf(wish: Wish): object {
  return {
    messages: [{ role: 'user', content: 'Tell me about the sea.' }],
    max_tokens: wish.tokens,
    ignore_eos: true,
    ...(wish.isPinned ? { model: wish.tier } : {}),
    ...(wish.class === 'interactive' ? { stream: true } : { class: wish.class }),
    ...(wish.fallback === null ? {} : { fallback: wish.fallback }),
  };
}

/**
 * Who asks. The API runs without keys, so that all of them are one owner to the API: the tenants of the
 * report differ only by name. With keys, this is where each would send its own.
 */
export function tenantHeaders(_tenant: string): Readonly<Record<string, string>> {
  return {};
}

function draw<Value>(random: Random, weighted: readonly (readonly [Value, number])[]): Value {
  const total = weighted.reduce((sum, [, weight]) => sum + weight, 0);
  let left = random.next() * total;
  for (const [value, weight] of weighted) {
    left -= weight;
    if (left < 0) return value;
  }
  throw new Error('Weights add up to nothing.');
}
