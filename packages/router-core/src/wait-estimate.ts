/**
 * How long a job will wait to be started: the work before it, in tokens, at the rate at which the
 * tier gets work of its class done (Little's law).
 *
 * Rates: interactive jobs go before all others, except that every tenth start is a standard one's
 * while any waits, and every fourth while the first of these is late. So a standard job waits until all before it is done at the rate that arriving
 * interactive jobs leave, or until those of its own class are done at a tenth of the rate, whichever
 * is sooner. Batches have one slot for certain, where there are more.
 */
import type { JobClass } from './job.ts';
import type { Ahead, ClassLoad, TierLoad } from './tier-load.ts';
import type { TierPace, TierSnapshot } from './tier-snapshot.ts';

/** Every tenth start, by the order of the queue. */
const STANDARD_SHARE = 0.1;
/** Every fourth, while the first of them is late. */
const LATE_SHARE = 0.25;
/**
 * What has arrived in the last seconds is a rough guess at what will in the next minutes. Without a
 * margin, simulated tiers under 1.5 to 5 times their load started 69 to 99 of 100 standard jobs in
 * time; with it more than 99, and as many jobs in all.
 */
const ARRIVING_MARGIN = 1.1;
const CLASSES: readonly JobClass[] = ['interactive', 'standard', 'batch'];
/** From the next try of an open breaker until it is closed: a warm-up and some probes, one at a time. */
const PROBING_MS = 5_000;
const NOTHING: ClassLoad = { jobs: 0, tokens: 0 };

type LoadedTier = TierPace & { readonly load: TierLoad };

/**
 * Milliseconds; 0 while there is a free slot for it and for all before it. Null when nobody can tell:
 * no worker lives, none has done a job yet, or the breaker is open for an unknown time.
 *
 * `place.lua` of the job store says the same.
 */
export function estimateWaitMs(
  tier: LoadedTier,
  { class: jobClass, ahead }: { class: JobClass; ahead: Ahead },
): number | null {
  const { tokensPerS, retryInMs } = tier;
  // None is started, for as long as nobody can tell.
  if (jobClass === 'batch' && tier.load.isAlerting) return null;
  if (tier.breaker === 'open') {
    if (retryInMs === null) return null;
    const drainMs = tokensPerS === null ? 0 : (ahead.tokens / tokensPerS) * 1_000;
    return Math.round(retryInMs + PROBING_MS + drainMs);
  }
  if (tier.slots <= 0) {
    // It may have some in a moment. What waits is before it in any case.
    const isKnown = tier.liveWorkers > 0 && tokensPerS !== null && ahead.jobs > 0;
    return isKnown ? Math.round((ahead.tokens / tokensPerS) * 1_000) : null;
  }
  const work = workBefore(tier, { class: jobClass, ahead });
  if (work === 0) return 0;
  if (tokensPerS === null) return null;
  const { all, own } = ratesOf(tier, { class: jobClass, tokensPerS });
  const ownWork = workBefore(tier, {
    class: jobClass,
    ahead: without(ahead, higherClasses(tier.load, jobClass)),
  });
  const waitS = Math.min(all > 0 ? work / all : Infinity, own > 0 ? ownWork / own : Infinity);
  return Number.isFinite(waitS) ? Math.round(waitS * 1_000) : null;
}

/** Of the last job of each class that comes now. */
export function estimateWaits(tier: LoadedTier): Record<JobClass, number | null> {
  const waitOf = (jobClass: JobClass) =>
    estimateWaitMs(tier, { class: jobClass, ahead: equalOrHigherClasses(tier.load, jobClass) });
  return {
    interactive: waitOf('interactive'),
    standard: waitOf('standard'),
    batch: waitOf('batch'),
  };
}

/**
 * How much may be before a job that must start within `maxWaitMs`, in tokens; null where nobody can
 * tell. The inverse of the estimate, for a check that knows no more than the tokens before the job.
 *
 * @param tokens cost of the job itself
 */
export function tokensAheadMax(
  tier: TierSnapshot,
  { class: jobClass, maxWaitMs, tokens }: { class: JobClass; maxWaitMs: number; tokens: number },
): number | null {
  const { tokensPerS, load } = tier;
  if (tokensPerS === null) return null;
  // What was judged to be in time a moment ago must not fail here by a rounding.
  const least = tier.ahead?.tokens ?? 0;
  const untilClosedMs = tier.breaker === 'open' ? (tier.retryInMs ?? 0) + PROBING_MS : 0;
  const maxWaitS = (maxWaitMs - untilClosedMs) / 1_000;
  if (tier.breaker === 'open') return Math.ceil(Math.max(least, maxWaitS * tokensPerS));
  const { all, own } = ratesOf(tier, { class: jobClass, tokensPerS });
  const higher = higherClasses(load, jobClass);
  const inTime = Math.max(maxWaitS * all, higher.tokens + maxWaitS * own);
  const running = total(CLASSES.map((name) => load.running[name]));
  const meanTokens = running.jobs === 0 ? tokens : running.tokens / running.jobs;
  return Math.ceil(Math.max(least, inTime + (freeSlots(tier, jobClass) - 1) * meanTokens));
}

/** What is certainly before a job of this class: those of higher ones. */
export function higherClasses({ waiting }: Pick<TierLoad, 'waiting'>, jobClass: JobClass): Ahead {
  return total(CLASSES.slice(0, CLASSES.indexOf(jobClass)).map((name) => waiting[name]));
}

/** The most that can be before a job that comes now: its own class as well. */
export function equalOrHigherClasses(
  { waiting }: Pick<TierLoad, 'waiting'>,
  jobClass: JobClass,
): Ahead {
  return total(CLASSES.slice(0, CLASSES.indexOf(jobClass) + 1).map((name) => waiting[name]));
}

/**
 * Work until a slot is free for the job, in tokens: as many of the jobs that run and wait before it
 * must end as leave one slot, and each costs as much as they do on average.
 */
function workBefore(
  tier: LoadedTier,
  { class: jobClass, ahead }: { class: JobClass; ahead: Ahead },
): number {
  const ends = ahead.jobs + 1 - freeSlots(tier, jobClass);
  if (ends <= 0) return 0;
  const both = total([ahead, ...CLASSES.map((name) => tier.load.running[name])]);
  return both.jobs === 0 ? 0 : (both.tokens * ends) / both.jobs;
}

function freeSlots(tier: LoadedTier, jobClass: JobClass): number {
  const { running } = tier.load;
  const free = tier.slots - total(CLASSES.map((name) => running[name])).jobs;
  // A batch that waits for its seat is about to take it.
  const isSeatOpen = running.batch.jobs === 0 && batchSeats(tier) > 0;
  return jobClass !== 'batch' && isSeatOpen ? free - 1 : free;
}

/** The slot that batches keep while others wait. */
function batchSeats({ load, slots }: LoadedTier): number {
  return slots > 1 && load.waiting.batch.jobs + load.running.batch.jobs > 0 ? 1 : 0;
}

/** In tokens per second: for all that is before a job, and what is certain for its own class. */
function ratesOf(
  tier: LoadedTier,
  { class: jobClass, tokensPerS }: { class: JobClass; tokensPerS: number },
): { all: number; own: number } {
  const { slots, load } = tier;
  const { interactive, standard } = load.arrivingTokensPerS;
  const perSlot = tokensPerS / Math.max(1, slots);
  const foreground = tokensPerS - perSlot * batchSeats(tier);
  switch (jobClass) {
    case 'interactive': {
      const standardShare = load.isStandardLate ? LATE_SHARE : STANDARD_SHARE;
      const share = load.waiting.standard.jobs > 0 ? 1 - standardShare : 1;
      return { all: foreground * share, own: foreground * share };
    }
    case 'standard':
      return {
        all: foreground - interactive * ARRIVING_MARGIN,
        own: foreground * STANDARD_SHARE,
      };
    case 'batch':
      return {
        all: tokensPerS - (interactive + standard) * ARRIVING_MARGIN,
        own: slots > 1 ? perSlot : 0,
      };
    default:
      return jobClass satisfies never;
  }
}

function without(all: Ahead, some: Ahead): Ahead {
  return {
    jobs: Math.max(0, all.jobs - some.jobs),
    tokens: Math.max(0, all.tokens - some.tokens),
  };
}

function total(loads: readonly ClassLoad[]): ClassLoad {
  return loads.reduce(
    (sum, { jobs, tokens }) => ({ jobs: sum.jobs + jobs, tokens: sum.tokens + tokens }),
    NOTHING,
  );
}
