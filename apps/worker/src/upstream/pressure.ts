/**
 * How many jobs one engine gets at once: additive increase, multiplicative decrease (AIMD), by what
 * the engine tells of its load. The queue of an engine cannot be reordered, and what it preempts is
 * computed twice, so jobs had better wait in ours.
 *
 * Begins with what surely fits and doubles until there is pressure for the first time ("slow
 * start"); from then on it grows by one.
 */
import { headroomOf } from '../batch-seats.ts';

const FLOOR = 1;
const DECREASE = 0.8;
/** vLLM preempts when the KV cache is full; a running sequence still grows. */
const KV_FULL = 0.9;
/** Between this and `KV_FULL` it stays as it is, which is where it comes to rest. */
const KV_ROOM = 0.8;
/** A few that wait, one at least, keep the engine from running dry. */
const WAITING_SHARE = 0.1;
const WAITING_FEW = 1;
/** One scrape may see what has only just arrived. */
const WAITING_SCRAPES = 2;
/** The load takes some seconds to follow the limit. */
const HOLD_SCRAPES = 3;

/** An engine that refuses is not to be asked again and again whether it takes more. */
const REFUSED_HOLD_SCRAPES = 10;

export interface Pressure {
  /** Jobs at once: from 1 to the ceiling. */
  readonly limit: number;
  readonly growth: 'doubling' | 'adding';
  /** Scrapes for which it may not grow. */
  readonly hold: number;
  /** Scrapes in a row in which too many waited. */
  readonly waitingScrapes: number;
  /** The engine's count at the last scrape; null before the first. */
  readonly preemptions: number | null;
}

/** What one scrape has seen. Null: not told. */
export interface LoadSample {
  readonly waiting: number | null;
  /** Share of the KV cache that is in use, 0 to 1. */
  readonly kvUsage: number | null;
  /** Since the engine's start. */
  readonly preemptions: number | null;
}

/**
 * `kvTokens / maxModelLen` sequences fit even when each is as long as it may be. Where the engine
 * does not tell, the ceiling has to be right.
 */
export function initialPressure({
  ceiling,
  kvTokens,
  maxModelLen,
}: {
  ceiling: number;
  kvTokens: number | null;
  maxModelLen: number | null;
}): Pressure {
  const fits =
    kvTokens === null || maxModelLen === null ? ceiling : Math.floor(kvTokens / maxModelLen);
  const limit = Math.max(FLOOR, Math.min(ceiling, fits));
  return { limit, growth: 'doubling', hold: 0, waitingScrapes: 0, preemptions: null };
}

/**
 * After a scrape. `running` is how many jobs of ours the engine has now, `peak` the most since the
 * last scrape.
 */
export function adapt(
  before: Pressure,
  {
    sample,
    ceiling,
    running,
    peak,
  }: { sample: LoadSample; ceiling: number; running: number; peak: number },
): Pressure {
  const { limit } = before;
  const { waiting, kvUsage } = sample;
  // A count that is lower than before is another process's.
  const preempted =
    before.preemptions !== null &&
    sample.preemptions !== null &&
    sample.preemptions > before.preemptions;
  const tooManyWait = waiting !== null && waiting > Math.max(WAITING_FEW, limit * WAITING_SHARE);
  const next: Pressure = {
    ...before,
    hold: Math.max(0, before.hold - 1),
    waitingScrapes: tooManyWait ? before.waitingScrapes + 1 : 0,
    preemptions: sample.preemptions ?? before.preemptions,
  };
  const isUnderPressure =
    preempted || next.waitingScrapes >= WAITING_SCRAPES || (kvUsage !== null && kvUsage > KV_FULL);
  if (isUnderPressure) {
    // Until what runs has come down to the limit, this is still the old load's pressure.
    const isOld = running > limit;
    return {
      ...next,
      limit: isOld ? limit : Math.max(FLOOR, Math.min(limit - 1, Math.floor(limit * DECREASE))),
      growth: 'adding',
      hold: HOLD_SCRAPES,
      waitingScrapes: 0,
    };
  }
  // What is not told must not be taken for room.
  const hasRoom = waiting === 0 && (kvUsage === null || kvUsage < KV_ROOM);
  if (!hasRoom || !isUsed(limit, peak) || before.hold > 0) return next;
  // Twice the load must fit as well.
  const mayDouble = next.growth === 'doubling' && (kvUsage === null || kvUsage * 2 < KV_ROOM);
  return { ...next, limit: Math.min(ceiling, mayDouble ? limit * 2 : limit + 1) };
}

/** The engine has refused a job, as it has too many: what it has kept is what it takes. */
export function afterRefusal(before: Pressure, { running }: { running: number }): Pressure {
  const limit = Math.max(FLOOR, Math.min(before.limit, running));
  return { ...before, limit, growth: 'adding', hold: REFUSED_HOLD_SCRAPES, waitingScrapes: 0 };
}

/** In place of `adapt`, for an engine that tells nothing of its load: it has room until it refuses. */
export function adaptBlindly(
  before: Pressure,
  { ceiling, peak }: { ceiling: number; peak: number },
): Pressure {
  const hold = Math.max(0, before.hold - 1);
  if (before.hold > 0 || !isUsed(before.limit, peak)) return { ...before, hold };
  return { ...before, hold, limit: Math.min(ceiling, before.limit + 1) };
}

/** A batch alone leaves a headroom: that is no sign that nobody wants more. */
function isUsed(limit: number, peak: number): boolean {
  return peak >= limit - headroomOf(limit);
}
