/**
 * How many lines of batches may wait in a tier. Few are enough to keep its slots in use; whatever
 * waits here beyond that is in the way when foreground comes, and when a batch is cancelled.
 *
 * - none while the tier alerts, its breaker is open, or no worker is there;
 * - half as many with each step while foreground waits, but one, so that no batch stands still;
 * - twice as many with each step that finds the lines used up while slots are idle.
 */
import { depthOf } from './tier-load.ts';
import type { TierSnapshot } from './tier-snapshot.ts';

/** Of the window: fewer that wait are used up before the next ones come. */
const DRY_SHARE = 0.25;

export interface WindowSituation {
  readonly tier: Pick<TierSnapshot, 'load' | 'breaker' | 'slots' | 'liveWorkers'>;
  /** Lines of batches that are in the tier, waiting or running, as far as their feeder knows. */
  readonly linesInTier: number;
  /** More lines would have been fed since the last step, had the window been larger. */
  readonly wasLimiting: boolean;
  readonly windowMax: number;
}

/** To be called in regular steps; begins with 0. */
export function nextWindow(before: number, situation: WindowSituation): number {
  const { tier, linesInTier, wasLimiting, windowMax } = situation;
  const { waiting, running } = tier.load;
  if (tier.load.isAlerting || tier.breaker === 'open' || tier.liveWorkers === 0) return 0;
  if (before === 0) return Math.min(1, windowMax);
  if (waiting.interactive.jobs + waiting.standard.jobs > 0) {
    return Math.min(windowMax, Math.max(1, Math.floor(before / 2)));
  }
  const runningJobs = running.interactive.jobs + running.standard.jobs + running.batch.jobs;
  const isIdle = runningJobs < tier.slots;
  const linesWaiting = waiting.batch.jobs - othersWaiting({ tier, linesInTier });
  const isDry = linesWaiting <= before * DRY_SHARE;
  return Math.min(windowMax, wasLimiting && isIdle && isDry ? 2 * before : before);
}

/**
 * The limit that a line is admitted by: batch jobs that may wait in the tier. What others have
 * submitted as jobs of class batch, be it ever so much, takes nothing of the window.
 */
export function batchWaitingMax(
  window: number,
  known: Pick<WindowSituation, 'tier' | 'linesInTier'>,
): number {
  return window === 0 ? 0 : window + othersWaiting(known);
}

/** How many lines there is room for now. */
export function roomFor(
  window: number,
  {
    tier,
    linesInTier,
    depthMax,
  }: Pick<WindowSituation, 'tier' | 'linesInTier'> & { depthMax: number },
): number {
  const { load } = tier;
  const inWindow = batchWaitingMax(window, { tier, linesInTier }) - load.waiting.batch.jobs;
  return Math.max(0, Math.min(inWindow, depthMax - depthOf(load)));
}

/**
 * Of the batch jobs that wait: those that are no lines. The lines that do not run wait, or have just
 * ended; what runs is taken to be lines, so that these are let in rather than kept out.
 */
function othersWaiting({
  tier: { load },
  linesInTier,
}: Pick<WindowSituation, 'tier' | 'linesInTier'>): number {
  const linesWaiting = Math.max(0, linesInTier - load.running.batch.jobs);
  return Math.max(0, load.waiting.batch.jobs - linesWaiting);
}
