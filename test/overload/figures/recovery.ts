/** How long it takes after a disturbance until clients feel nothing of it any more. */
import type { Outcome } from '../load/outcome.ts';
import { percentilesOf } from './statistics.ts';
import { isIn } from './window-figures.ts';
import type { Window } from './window-figures.ts';

/** Looked at again and again, each so long and each a second after the one before. */
const WINDOW_MS = 5_000;
const STEP_MS = 1_000;
/** Twice what is usual, or a quarter of a second more, is still normal: a window has few samples. */
const NORMAL_FACTOR = 2;
const NORMAL_SLACK_MS = 250;

/** What still counts as normal, from the p95 of quiet times. */
export function normalTtftMs(quietP95Ms: number): number {
  return Math.max(quietP95Ms * NORMAL_FACTOR, quietP95Ms + NORMAL_SLACK_MS);
}

/**
 * From `fromMs` to the first moment from which on everything is normal until `toMs`: no foreground work
 * is refused and the p95 of interactive times to first token is below the limit. Null: never.
 */
export function normalAfterMs(
  outcomes: readonly Outcome[],
  { fromMs, toMs, ttftLimitMs }: Window & { ttftLimitMs: number },
): number | null {
  let normalSinceMs: number | null = null;
  for (let startMs = fromMs; startMs + WINDOW_MS <= toMs; startMs += STEP_MS) {
    const window = { fromMs: startMs, toMs: startMs + WINDOW_MS };
    const came = outcomes.filter(({ dueMs }) => isIn(dueMs, window));
    if (isNormal(came, ttftLimitMs)) normalSinceMs ??= startMs;
    else normalSinceMs = null;
  }
  return normalSinceMs === null ? null : normalSinceMs - fromMs;
}

function isNormal(came: readonly Outcome[], ttftLimitMs: number): boolean {
  const foreground = came.filter(({ wish }) => wish.class !== 'batch');
  if (foreground.some(({ end }) => end === 'refused' || end === 'unanswered')) return false;
  const ttfts = foreground
    .filter(({ wish }) => wish.class === 'interactive')
    // Without a first token it has waited for ever.
    .map(({ firstTokenMs, dueMs }) => (firstTokenMs ?? Number.POSITIVE_INFINITY) - dueMs);
  return (percentilesOf(ttfts)?.p95 ?? 0) <= ttftLimitMs;
}
