/** When alerts were up and breakers were not closed, from samples of `/v1/tiers`. */
import type { TierSample } from '../world/tiers-watch.ts';
import { isIn } from './window-figures.ts';
import type { Window } from './window-figures.ts';

export interface Period {
  readonly tier: string;
  readonly fromMs: number;
  /** Null: it had no end. */
  readonly toMs: number | null;
}

/** Null where the API does not say whether there is an alert. */
export function alertPeriods(samples: readonly TierSample[]): Period[] | null {
  if (samples.every(({ alert }) => alert === null)) return null;
  return periodsOf(samples, ({ alert }) => alert === true);
}

/** Null where the API does not say how breakers are. */
export function breakerPeriods(samples: readonly TierSample[]): Period[] | null {
  if (samples.every(({ breaker }) => breaker === null)) return null;
  return periodsOf(samples, ({ breaker }) => breaker !== null && breaker !== 'closed');
}

export function depthMaxOf(
  samples: readonly TierSample[],
  window: Window,
): Readonly<Record<string, number>> {
  const most: Record<string, number> = {};
  for (const { atMs, tier, depth } of samples) {
    if (isIn(atMs, window)) most[tier] = Math.max(most[tier] ?? 0, depth);
  }
  return most;
}

function periodsOf(
  samples: readonly TierSample[],
  holds: (sample: TierSample) => boolean,
): Period[] {
  return [...Map.groupBy(samples, ({ tier }) => tier)].flatMap(([tier, own]) => {
    const periods: { tier: string; fromMs: number; toMs: number | null }[] = [];
    let open: (typeof periods)[number] | null = null;
    for (const sample of own) {
      if (holds(sample) && open === null) {
        open = { tier, fromMs: sample.atMs, toMs: null };
        periods.push(open);
      } else if (!holds(sample) && open !== null) {
        open.toMs = sample.atMs;
        open = null;
      }
    }
    return periods;
  });
}
