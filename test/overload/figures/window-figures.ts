/** What a window of time comes to: the load that came in it, and what became of it. */
import type { JobClass } from '@qarr/router-core';
import { isAdmitted } from '../load/outcome.ts';
import type { Outcome } from '../load/outcome.ts';
import type { Deadlines } from '../world/shape.ts';
import { countBy, percentilesOf } from './statistics.ts';
import type { Percentiles } from './statistics.ts';

export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export const JOB_CLASSES: readonly JobClass[] = ['interactive', 'standard', 'batch'];

interface RefusalFigures {
  readonly code: string;
  readonly count: number;
  /** From sending to the whole answer, in ms. */
  readonly tookMs: Percentiles | null;
  /** What the clients were told; null where they were told nothing. */
  readonly retryAfterMs: Percentiles | null;
}

export interface WindowFigures {
  readonly seconds: number;
  readonly came: number;
  /** Jobs done within their deadline, per second. */
  readonly goodputPerS: number;
  /** The same in tokens: it shows whether short jobs were preferred. */
  readonly goodTokensPerS: number;
  /** From when the request was due to its first text, in ms; of those that were admitted. */
  readonly ttftMs: Readonly<Record<JobClass, Percentiles | null>>;
  readonly admitted: number;
  /** Admitted, and not done within their deadline. */
  readonly missed: number;
  readonly missedBy: Readonly<Record<string, number>>;
  /** Admitted, and neither done nor late when the experiment ended: offline work. */
  readonly undecided: number;
  readonly refusedShare: number;
  readonly refusals: readonly RefusalFigures[];
  readonly refusalMs: Percentiles | null;
  readonly unanswered: number;
  readonly notSent: number;
  /** Answers that said they came from another tier. */
  readonly fallbacks: Readonly<Record<string, number>>;
}

/**
 * @param overMs when the experiment ended
 * @param settled the part of it in which the load before is not felt any more; goodput and times to
 *   first token are taken there
 */
export function windowFigures(
  outcomes: readonly Outcome[],
  {
    window,
    settled,
    deadlines,
    overMs,
  }: { window: Window; settled: Window; deadlines: Deadlines; overMs: number },
): WindowFigures {
  const came = outcomes.filter(({ dueMs }) => isIn(dueMs, window));
  const admitted = came.filter(isAdmitted);
  const refused = came.filter(({ end }) => end === 'refused');
  const missed = admitted.filter((outcome) => hasMissed(outcome, { deadlines, overMs }));
  const good = outcomes.filter(
    (outcome) => isIn(outcome.endedMs ?? 0, settled) && isGood(outcome, deadlines),
  );
  const seconds = (settled.toMs - settled.fromMs) / 1_000;
  const settledArrivals = came.filter(({ dueMs }) => isIn(dueMs, settled));
  return {
    seconds,
    came: came.length,
    goodputPerS: good.length / seconds,
    goodTokensPerS: good.reduce((sum, { wish }) => sum + wish.tokens, 0) / seconds,
    ttftMs: byClass((jobClass) =>
      percentilesOf(
        settledArrivals.flatMap(({ wish, firstTokenMs, dueMs }) =>
          wish.class === jobClass && firstTokenMs !== null ? [firstTokenMs - dueMs] : [],
        ),
      ),
    ),
    admitted: admitted.length,
    missed: missed.length,
    missedBy: countBy(missed, ({ wish, end, code }) => `${wish.class} ${code ?? end}`),
    undecided: admitted.filter(({ end }) => end === 'open').length - count(missed, 'open'),
    refusedShare: came.length === 0 ? 0 : refused.length / came.length,
    refusals: refusalFigures(refused),
    refusalMs: percentilesOf(refused.flatMap(refusalMs)),
    unanswered: count(came, 'unanswered'),
    notSent: count(came, 'not sent'),
    fallbacks: countBy(
      admitted.filter(({ fallback }) => fallback !== null),
      ({ fallback }) => fallback ?? '',
    ),
  };
}

/** By when it is due to be done: it may wait as long as its class may, and then run. */
function deadlineMs({ wish, dueMs }: Outcome, deadlines: Deadlines): number {
  const queueMs = {
    interactive: deadlines.interactiveQueueMs,
    standard: deadlines.standardQueueMs,
    batch: deadlines.batchQueueMs,
  }[wish.class];
  return dueMs + queueMs + deadlines.runMs;
}

function isGood(outcome: Outcome, deadlines: Deadlines): boolean {
  const { end, endedMs } = outcome;
  return end === 'done' && (endedMs ?? 0) <= deadlineMs(outcome, deadlines);
}

function hasMissed(
  outcome: Outcome,
  { deadlines, overMs }: { deadlines: Deadlines; overMs: number },
): boolean {
  if (!isAdmitted(outcome)) return false;
  if (outcome.end === 'open') return deadlineMs(outcome, deadlines) < overMs;
  return !isGood(outcome, deadlines);
}

export function isIn(ms: number, { fromMs, toMs }: Window): boolean {
  return ms >= fromMs && ms < toMs;
}

/** How long a refusal took, as a list: empty for whatever was none. */
export function refusalMs({ end, sentMs, answeredMs }: Outcome): number[] {
  return end === 'refused' && answeredMs !== null ? [answeredMs - sentMs] : [];
}

function refusalFigures(refused: readonly Outcome[]): RefusalFigures[] {
  return [...Map.groupBy(refused, ({ code }) => code ?? 'unknown')]
    .map(([code, group]) => ({
      code,
      count: group.length,
      tookMs: percentilesOf(group.flatMap(refusalMs)),
      retryAfterMs: percentilesOf(group.flatMap(({ retryAfterMs }) => retryAfterMs ?? [])),
    }))
    .toSorted((a, b) => b.count - a.count);
}

function count(outcomes: readonly Outcome[], end: Outcome['end']): number {
  return outcomes.filter((outcome) => outcome.end === end).length;
}

function byClass<Value>(valueOf: (jobClass: JobClass) => Value): Record<JobClass, Value> {
  return Object.fromEntries(JOB_CLASSES.map((name) => [name, valueOf(name)])) as Record<
    JobClass,
    Value
  >;
}
