/** What is promised under overload, and whether a run has shown it. */
import { availableParallelism } from 'node:os';
import type { BatchResult } from './experiments/batch.ts';
import type { KillResult } from './experiments/kill.ts';
import type { LevelsResult } from './experiments/levels.ts';

export interface Check {
  readonly name: string;
  readonly wanted: string;
  readonly found: string;
  readonly isMet: boolean;
  /** A wish is shown and decides nothing. */
  readonly isWish: boolean;
}

/** Least goodput as a share of the peak, by multiple of capacity. */
const GOODPUT_SHARES: readonly (readonly [factor: number, share: number])[] = [
  [2, 0.95],
  [5, 0.9],
  [10, 0.85],
];
const REFUSAL_P99_MS = 10;
const REFUSALS_IN_TIME = 0.99;
const MET_SHARE = 0.99;
const DEPTH_EXCESS = 1.05;
const NORMAL_AFTER_LEVELS_MS = 30_000;
const NORMAL_AFTER_KILL_MS = 60_000;
const BATCH_P95_RATIO = 1.1;
const BATCH_SHARE = 0.05;
const ESTIMATES_RIGHT = 0.9;
const ALERT_CHANGE_EVERY_S = 10;
/** Beyond it the machine was not quiet, and times are those of whoever else was on it. */
const OTHERS_SHARE = 0.12;

export function peakOf({ levels }: LevelsResult): number {
  return Math.max(...levels.map(({ goodputPerS }) => goodputPerS));
}

export function checkLevels(result: LevelsResult): Check[] {
  const { levels, depthLimit } = result;
  const peak = peakOf(result);
  const checks = GOODPUT_SHARES.flatMap(([factor, wanted]) =>
    levels
      .filter((level) => level.factor === factor)
      .map(({ goodputPerS }) =>
        must(`goodput at ${factor} x capacity, of its peak`, {
          wanted: `>= ${percent(wanted)}`,
          found: percent(goodputPerS / peak),
          isMet: goodputPerS >= wanted * peak,
        }),
      ),
  );
  const isOverloaded = levels.some(({ factor }) => factor > 1);
  const { refusalMs, refusalsTimed } = result;
  if (isOverloaded) {
    checks.push(
      must('refusals that take 10 ms at most, on the server', {
        wanted: `>= ${percent(REFUSALS_IN_TIME)}`,
        found:
          refusalsTimed.n === 0
            ? 'nothing was refused'
            : `${percent(refusalsTimed.within / refusalsTimed.n)} of ${refusalsTimed.n}`,
        isMet: refusalsTimed.n > 0 && refusalsTimed.within >= REFUSALS_IN_TIME * refusalsTimed.n,
      }),
      wish('a refusal takes, as its client sees it, p99', {
        wanted: `<= ${REFUSAL_P99_MS} ms`,
        found: refusalMs === null ? 'nothing was refused' : `${refusalMs.p99.toFixed(1)} ms`,
        isMet: refusalMs !== null && refusalMs.p99 <= REFUSAL_P99_MS,
      }),
    );
  }
  const decided = sum(levels.map(({ admitted, undecided }) => admitted - undecided));
  const missed = sum(levels.map((level) => level.missed));
  const depth = Math.max(...levels.flatMap(({ depthMax }) => Object.values(depthMax)), 0);
  checks.push(
    must('admitted jobs that meet their deadline', {
      wanted: `>= ${percent(MET_SHARE)}`,
      found: `${percent(1 - missed / decided)} (${missed} of ${decided} missed it)`,
      isMet: missed <= (1 - MET_SHARE) * decided,
    }),
    must('jobs waiting in a tier, at most', {
      wanted: `<= ${Math.floor(depthLimit * DEPTH_EXCESS)}`,
      found: String(depth),
      isMet: depth <= depthLimit * DEPTH_EXCESS,
    }),
    must('normal again after the step down', {
      wanted: `<= ${NORMAL_AFTER_LEVELS_MS / 1_000} s`,
      found: seconds(result.normalAfterMs),
      isMet: (result.normalAfterMs ?? Number.POSITIVE_INFINITY) <= NORMAL_AFTER_LEVELS_MS,
    }),
    ...wishesOf(result),
  );
  return checks;
}

function wishesOf({ levels, alerts }: LevelsResult): Check[] {
  const told = sum(levels.map(({ estimates }) => estimates.n));
  const right = sum(levels.map(({ estimates }) => estimates.n * (estimates.rightShare ?? 0)));
  const lengthS = sum(levels.map(({ window }) => (window.toMs - window.fromMs) / 1_000));
  const others = Math.max(...levels.map(othersShareOf));
  const wishes = [
    wish('what others used of this machine, in the worst level', {
      wanted: `<= ${percent(OTHERS_SHARE)}`,
      found: percent(others),
      isMet: others <= OTHERS_SHARE,
    }),
    wish('estimated waits that are within 30 % or 300 ms of the real one', {
      wanted: `>= ${percent(ESTIMATES_RIGHT)}`,
      found: told === 0 ? 'none was told' : `${percent(right / told)} of ${told}`,
      isMet: told > 0 && right >= ESTIMATES_RIGHT * told,
    }),
  ];
  for (const [tier, own] of Map.groupBy(alerts ?? [], (alert) => alert.tier)) {
    const changes = sum(own.map(({ toMs }) => (toMs === null ? 1 : 2)));
    wishes.push(
      wish(`changes of the alert of ${tier}`, {
        wanted: `<= one in ${ALERT_CHANGE_EVERY_S} s`,
        found: `${changes} in ${Math.round(lengthS)} s`,
        isMet: changes <= lengthS / ALERT_CHANGE_EVERY_S,
      }),
    );
  }
  const costs = refusalCostsMs(levels);
  if (costs !== null) {
    wishes.push(
      wish('CPU of the API for a request more that is refused', {
        wanted: '<= 1 ms',
        found: `${costs.toFixed(2)} ms`,
        isMet: costs <= 1,
      }),
    );
  }
  return wishes;
}

function othersShareOf({ cpu }: LevelsResult['levels'][number]): number {
  const { machine = 0, ...own } = cpu;
  return Math.max(0, machine - sum(Object.values(own))) / availableParallelism();
}

/**
 * The two highest levels do the same work and differ only in what they refuse. Null where nothing
 * more was refused.
 */
function refusalCostsMs(levels: LevelsResult['levels']): number | null {
  const [higher, lower] = levels.toSorted((a, b) => b.factor - a.factor);
  if (higher === undefined || lower === undefined || lower.factor <= 1) return null;
  const perS = ({ refusalMs, window }: typeof higher) =>
    (refusalMs?.n ?? 0) / ((window.toMs - window.fromMs) / 1_000);
  const api = ({ cpu }: typeof higher) =>
    sum(Object.entries(cpu).map(([name, share]) => (name.startsWith('api-') ? share : 0)));
  const more = perS(higher) - perS(lower);
  return more <= 0 ? null : ((api(higher) - api(lower)) / more) * 1_000;
}

export function checkBatch(result: BatchResult): Check[] {
  const { p95Ratio, capacityShare, linesDone } = result;
  return [
    must('interactive p95 time to first token with a batch, against without', {
      wanted: `<= ${BATCH_P95_RATIO.toFixed(2)}`,
      found: p95Ratio === null ? 'nothing to compare' : p95Ratio.toFixed(2),
      isMet: p95Ratio !== null && p95Ratio > 0 && p95Ratio <= BATCH_P95_RATIO,
    }),
    must('the batch gets on', {
      wanted: 'lines are done',
      found: `${linesDone} lines`,
      isMet: linesDone > 0,
    }),
    wish('of the capacity, the batch has', {
      wanted: `>= ${percent(BATCH_SHARE)}`,
      found: capacityShare === null ? 'nothing' : percent(capacityShare),
      isMet: (capacityShare ?? 0) >= BATCH_SHARE,
    }),
  ];
}

export function checkKill(result: KillResult): Check[] {
  const { lost, admitted, ends, movedSeen, moved, probes } = result;
  const failed = ends['failed'] ?? 0;
  const movedCount = Math.max(movedSeen, sum(Object.values(moved)));
  return [
    must('accepted jobs that are lost or have failed', {
      wanted: `0 of ${admitted}`,
      found: `${lost} lost, ${failed} failed`,
      isMet: lost === 0 && failed === 0,
    }),
    must('what may move to another tier moves', {
      wanted: 'some do',
      found: String(movedCount),
      isMet: movedCount > 0,
    }),
    must('requests at once that reach the engine while it is not well', {
      wanted: '<= 1',
      found: `${probes.atOnceMax} (of ${probes.probes})`,
      isMet: probes.atOnceMax <= 1,
    }),
    must('normal again after the engine is back', {
      wanted: `<= ${NORMAL_AFTER_KILL_MS / 1_000} s`,
      found: seconds(result.normalAfterMs),
      isMet: (result.normalAfterMs ?? Number.POSITIVE_INFINITY) <= NORMAL_AFTER_KILL_MS,
    }),
  ];
}

type Found = Pick<Check, 'wanted' | 'found' | 'isMet'>;

function must(name: string, found: Found): Check {
  return { name, ...found, isWish: false };
}

function wish(name: string, found: Found): Check {
  return { name, ...found, isWish: true };
}

function percent(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(1)} %` : 'nothing';
}

function seconds(ms: number | null): string {
  return ms === null ? 'not while it was watched' : `${(ms / 1_000).toFixed(0)} s`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
