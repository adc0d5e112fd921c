import { expect, test } from 'vitest';
import type { BatchResult } from './experiments/batch.ts';
import type { KillResult } from './experiments/kill.ts';
import type { LevelFigures, LevelsResult } from './experiments/levels.ts';
import { done, refused } from './figures/outcome-for-test.ts';
import { windowFigures } from './figures/window-figures.ts';
import { checkBatch, checkKill, checkLevels } from './targets.ts';
import type { Check } from './targets.ts';
import { SHORT_DEADLINES } from './world/shape.ts';

const WINDOW = { fromMs: 0, toMs: 10_000 };

/** A level in which so many are done each second, and as many refused. */
function level(factor: number, perS: number, more: Partial<LevelFigures> = {}): LevelFigures {
  const outcomes = Array.from({ length: perS * 10 }, (_, index) => (index * 1_000) / perS);
  const came = outcomes.flatMap((dueMs) => [
    done(dueMs, 10),
    ...(factor > 1 ? [refused(dueMs)] : []),
  ]);
  return {
    ...windowFigures(came, {
      window: WINDOW,
      settled: WINDOW,
      deadlines: SHORT_DEADLINES,
      overMs: 20_000,
    }),
    factor,
    isBackDown: false,
    offeredPerS: perS,
    window: WINDOW,
    depthMax: { fast: 300 },
    fallbackCounts: {},
    controlMs: null,
    estimates: { n: 10, rightShare: 0.9 },
    cpu: { 'api-1': factor / 100, machine: factor / 100 },
    tenants: {},
    ...more,
  };
}

const LEVELS: LevelsResult = {
  levels: [level(1, 20), level(2, 19), level(5, 18), level(10, 17)],
  samples: [],
  alerts: [],
  depthLimit: 300,
  refusalMs: { n: 9, p50: 1, p95: 2, p99: 10, max: 20 },
  refusalsTimed: { n: 100, within: 99 },
  normalTtftMs: 300,
  normalAfterMs: 30_000,
};
const BATCH: BatchResult = {
  without: null,
  with: null,
  p95Ratio: 1.1,
  linesDone: 100,
  linesFailed: 0,
  linesRefused: 0,
  linesPerS: 5,
  capacityShare: 0.05,
  cpu: {},
};
const KILL: Parameters<typeof checkKill>[0] = {
  lost: 0,
  admitted: 10,
  ends: { done: 10 },
  moved: { '{from="fast"}': 1 },
  movedSeen: 0,
  probes: { probes: 4, atOnceMax: 1 },
  normalAfterMs: 60_000,
} as unknown as KillResult;

function missedOf(checks: readonly Check[]): string[] {
  return checks.filter(({ isMet }) => !isMet).map(({ name }) => name);
}

test('everything just reached is met', () => {
  expect(missedOf(checkLevels(LEVELS))).toEqual([]);
  expect(missedOf(checkBatch(BATCH))).toEqual([]);
  expect(missedOf(checkKill(KILL))).toEqual([]);
});

test.each<[string, Partial<LevelsResult>]>([
  ['goodput at 10 x capacity, of its peak', { levels: [level(1, 20), level(10, 16)] }],
  ['refusals that take 10 ms at most, on the server', { refusalsTimed: { n: 100, within: 98 } }],
  ['refusals that take 10 ms at most, on the server', { refusalsTimed: { n: 0, within: 0 } }],
  ['a refusal takes, as its client sees it, p99', { refusalMs: null }],
  [
    'a refusal takes, as its client sees it, p99',
    { refusalMs: { n: 9, p50: 1, p95: 2, p99: 10.1, max: 20 } },
  ],
  ['admitted jobs that meet their deadline', { levels: [level(1, 20, { missed: 3 })] }],
  ['jobs waiting in a tier, at most', { levels: [level(1, 20, { depthMax: { fast: 316 } })] }],
  ['normal again after the step down', { normalAfterMs: 30_001 }],
  ['normal again after the step down', { normalAfterMs: null }],
  [
    'estimated waits that are within 30 % or 300 ms of the real one',
    { levels: [level(1, 20, { estimates: { n: 0, rightShare: null } })] },
  ],
  [
    'changes of the alert of fast',
    { alerts: Array.from({ length: 3 }, () => ({ tier: 'fast', fromMs: 1, toMs: 2 })) },
  ],
  [
    'what others used of this machine, in the worst level',
    { levels: [level(1, 20, { cpu: { machine: 1_000 } })] },
  ],
])('%s is missed', (name, change) => {
  expect(missedOf(checkLevels({ ...LEVELS, ...change }))).toEqual([name]);
});

/** The API's share of a core at 5 x capacity, where 10 more are refused per second than at 2 x. */
function costAt(share: number) {
  const higher = level(5, 20, { cpu: { 'api-1': 0.02 + share } });
  return checkLevels({ ...LEVELS, levels: [level(2, 10), higher] }).find(({ name }) =>
    name.startsWith('CPU'),
  );
}

test('what a refusal costs comes from the two highest levels', () => {
  expect(costAt(0.005)).toMatchObject({ found: '0.50 ms', isMet: true });
  expect(costAt(0.02)).toMatchObject({ found: '2.00 ms', isMet: false, isWish: true });
});

test.each<[string, Partial<BatchResult>]>([
  ['interactive p95 time to first token with a batch, against without', { p95Ratio: 1.101 }],
  ['interactive p95 time to first token with a batch, against without', { p95Ratio: 0 }],
  ['the batch gets on', { linesDone: 0 }],
  ['of the capacity, the batch has', { capacityShare: 0.04 }],
])('%s is missed', (name, change) => {
  expect(missedOf(checkBatch({ ...BATCH, ...change }))).toEqual([name]);
});

test.each<[string, Partial<KillResult>]>([
  ['accepted jobs that are lost or have failed', { lost: 1 }],
  ['accepted jobs that are lost or have failed', { ends: { done: 9, failed: 1 } }],
  ['what may move to another tier moves', { moved: {} }],
  [
    'requests at once that reach the engine while it is not well',
    { probes: { probes: 4, atOnceMax: 2 } },
  ],
  ['normal again after the engine is back', { normalAfterMs: null }],
])('%s is missed', (name, change) => {
  expect(missedOf(checkKill({ ...KILL, ...change }))).toEqual([name]);
});
