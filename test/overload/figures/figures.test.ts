import { describe, expect, test } from 'vitest';
import { estimateIn } from '../experiments/estimates.ts';
import { countedSince, sumCounters } from '../world/counters.ts';
import { sharesOf } from '../world/cpu.ts';
import type { Deadlines } from '../world/shape.ts';
import { alertPeriods, breakerPeriods, depthMaxOf } from './alerts.ts';
import { done, outcome, refused } from './outcome-for-test.ts';
import { openOverTime, probesIn, sickWindow } from './probes.ts';
import { normalAfterMs, normalTtftMs } from './recovery.ts';
import { isRight, percentilesOf } from './statistics.ts';
import { windowFigures } from './window-figures.ts';

const DEADLINES: Deadlines = {
  interactiveQueueMs: 1_000,
  standardQueueMs: 5_000,
  batchQueueMs: 100_000,
  runMs: 1_000,
};

/** One each tenth of a second. */
function every(
  fromMs: number,
  toMs: number,
  make: (dueMs: number) => ReturnType<typeof done>,
): ReturnType<typeof done>[] {
  return Array.from({ length: (toMs - fromMs) / 100 }, (_, index) => make(fromMs + index * 100));
}

function sample(atMs: number, alert: boolean | null, breaker: string | null, depth = 0) {
  return {
    atMs,
    tier: 'fast',
    depth,
    running: 0,
    alert,
    breaker,
    closedWorkers: breaker === 'closed' ? 2 : 0,
    estimatedWaitMs: null,
    fallbackJobs: null,
  };
}

function page(moved: number): string {
  return `# TYPE x counter\nqarr_fallback_total{from="fast"} ${moved}\nqarr_fallback_total_other 9\n`;
}

function events(wait: string): string {
  return (
    `id: 1\nevent: queued\ndata: {"estimated_wait_ms":${wait}}\n\n` +
    'event: position\ndata: {"position":1}\n\n' +
    'id: 9\nevent: completed\ndata: {"timings":{"queue_wait_ms":120}}\n\n'
  );
}

describe('percentiles', () => {
  test('are values that were measured, by nearest rank', () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentilesOf(values)).toEqual({ n: 100, p50: 50, p95: 95, p99: 99, max: 100 });
    // Of ten values only the largest has 95 % at or below it.
    expect(percentilesOf(values.slice(0, 10))).toMatchObject({ p50: 95, p95: 100 });
    expect(percentilesOf([7])).toEqual({ n: 1, p50: 7, p95: 7, p99: 7, max: 7 });
    expect(percentilesOf([])).toBeNull();
  });

  test.each([
    [{ estimatedMs: 1_300, realMs: 1_000 }, true],
    [{ estimatedMs: 2_700, realMs: 2_000 }, false],
    [{ estimatedMs: 0, realMs: 290 }, true],
    [{ estimatedMs: 900, realMs: 0 }, false],
  ])('an estimate %j is right: %s', (estimate, expected) => {
    expect(isRight(estimate)).toBe(expected);
  });
});

describe('a window', () => {
  const window = { fromMs: 0, toMs: 10_000 };
  const settled = { fromMs: 5_000, toMs: 10_000 };
  const of = (outcomes: Parameters<typeof windowFigures>[0], overMs = 50_000) =>
    windowFigures(outcomes, { window, settled, deadlines: DEADLINES, overMs });

  test('counts what is done in its settled part, in time, as goodput', () => {
    const figures = of([
      done(1_000, 500),
      done(4_900, 200),
      // After its deadline of 2 s.
      done(6_000, 2_001),
      done(7_000, 2_500, { class: 'standard', tokens: 40 }),
      // Came in it, and was done after it.
      done(9_900, 1_000),
    ]);
    expect(figures.goodputPerS).toBe(2 / 5);
    expect(figures.goodTokensPerS).toBe(50 / 5);
    expect(figures).toMatchObject({ came: 5, admitted: 5, missed: 1 });
    expect(figures.missedBy).toEqual({ 'interactive done': 1 });
    expect(figures.ttftMs.interactive).toMatchObject({ n: 2, max: 1_000.5 });
    expect(figures.ttftMs.batch).toBeNull();
  });

  test('tells refusals by code, with their times', () => {
    const figures = of([refused(1), refused(2), done(3, 10), outcome(4, { end: 'not sent' })]);
    expect(figures.refusedShare).toBe(0.5);
    expect(figures.refusals).toEqual([
      {
        code: 'overloaded',
        count: 2,
        tookMs: expect.objectContaining({ n: 2, p99: 4 }),
        retryAfterMs: expect.objectContaining({ p50: 2_000 }),
      },
    ]);
    expect(figures).toMatchObject({ admitted: 1, notSent: 1, unanswered: 0 });
  });

  test('has no verdict on open work whose time is not up', () => {
    const open = [
      outcome(1, { end: 'open', wish: { class: 'batch' } }),
      outcome(1, { end: 'open' }),
      outcome(1, { end: 'expired', code: 'queue_timeout' }),
      outcome(1, { end: 'cut' }),
    ];
    expect(of(open)).toMatchObject({ admitted: 4, missed: 3, undecided: 1 });
    expect(of(open, 1_500)).toMatchObject({ missed: 2, undecided: 2 });
  });
});

describe('the time until it is normal again', () => {
  test('ends with the last moment that was not', () => {
    const outcomes = [
      ...every(0, 8_000, (dueMs) => done(dueMs, 4_000)),
      ...every(8_000, 30_000, (dueMs) => done(dueMs, 100)),
    ];
    const found = normalAfterMs(outcomes, { fromMs: 0, toMs: 30_000, ttftLimitMs: 300 });
    // The first window of 5 s that holds none, or hardly any, of the slow ones.
    expect(found).toBe(8_000);
  });

  test('is not over while foreground work is refused', () => {
    const quiet = every(0, 30_000, (dueMs) => done(dueMs, 100));
    const limits = { fromMs: 0, toMs: 30_000, ttftLimitMs: 300 };
    expect(normalAfterMs(quiet, limits)).toBe(0);
    expect(normalAfterMs([...quiet, refused(12_500)], limits)).toBe(13_000);
    expect(normalAfterMs([...quiet, refused(12_500, { class: 'batch' })], limits)).toBe(0);
    expect(normalAfterMs([...quiet, refused(29_000)], limits)).toBeNull();
  });

  test('takes an answer that never came for a slow one', () => {
    const outcomes = every(0, 10_000, (dueMs) => outcome(dueMs, { end: 'expired' }));
    expect(normalAfterMs(outcomes, { fromMs: 0, toMs: 10_000, ttftLimitMs: 300 })).toBeNull();
  });

  test('allows twice what is usual, and a quarter of a second', () => {
    expect([normalTtftMs(100), normalTtftMs(1_000)]).toEqual([350, 2_000]);
  });
});

describe('samples of the tiers', () => {
  test('give the times of an alert and of a breaker', () => {
    const samples = [
      sample(0, false, 'closed', 3),
      sample(1, true, 'open', 9),
      sample(2, true, 'half_open', 5),
      sample(3, false, 'closed', 4),
      sample(4, true, 'closed', 2),
    ];
    expect(alertPeriods(samples)).toEqual([
      { tier: 'fast', fromMs: 1, toMs: 3 },
      { tier: 'fast', fromMs: 4, toMs: null },
    ]);
    expect(breakerPeriods(samples)).toEqual([{ tier: 'fast', fromMs: 1, toMs: 3 }]);
    expect(depthMaxOf(samples, { fromMs: 2, toMs: 4 })).toEqual({ fast: 5 });
  });

  test('say when the API does not tell', () => {
    expect(alertPeriods([sample(0, null, null)])).toBeNull();
    expect(breakerPeriods([sample(0, null, null)])).toBeNull();
  });
});

test('counts probes that overlap, and no looks at the load', () => {
  const seen = [
    { path: '/v1/models', fromMs: 10, toMs: 20 },
    { path: '/version', fromMs: 10, toMs: 20 },
    { path: '/metrics', fromMs: 12, toMs: 19 },
    { path: '/v1/chat/completions', fromMs: 20, toMs: 40 },
    { path: '/v1/models', fromMs: 30, toMs: null },
    { path: '/v1/models', fromMs: 100, toMs: 110 },
  ];
  expect(probesIn(seen, { fromMs: 0, toMs: 30 })).toEqual({ probes: 2, atOnceMax: 1 });
  expect(probesIn(seen, { fromMs: 0, toMs: 50 })).toEqual({ probes: 3, atOnceMax: 2 });
});

function chat(fromMs: number, toMs: number | null) {
  return { path: '/v1/chat/completions', fromMs, toMs };
}

test('knows from when to when one probe at a time may come', () => {
  const seen = [
    chat(1, 150),
    { path: '/v1/models', fromMs: 201, toMs: 202 },
    chat(205, 230),
    chat(210, 220),
    chat(240, null),
    chat(241, 250),
    chat(251, 260),
  ];
  const of = (samples: ReturnType<typeof sample>[]) =>
    sickWindow({ seen, samples, killedMs: 100, backMs: 200, noticedMs: 170 });
  const open = [sample(90, null, 'open'), sample(110, null, 'closed'), sample(120, null, 'open')];
  expect(of(open)).toEqual({ fromMs: 120, toMs: 250 });
  expect(of([])).toEqual({ fromMs: 170, toMs: 250 });
  expect(openOverTime(seen).slice(0, 4)).toEqual([
    [1, 1],
    [150, 0],
    [201, 1],
    [202, 0],
  ]);
});

test('adds up counters over processes, and tells what is new', () => {
  const before = sumCounters([page(1), page(2)]);
  const after = sumCounters([page(1), page(6), 'qarr_fallback_total{from="precise"} 1']);
  expect(countedSince('qarr_fallback_total', { before, after })).toEqual({
    '{from="fast"}': 4,
    '{from="precise"}': 1,
  });
  expect(countedSince('qarr_refused_total', { before, after })).toEqual({});
});

test('tells shares of a core between two times', () => {
  const samples = [0, 1, 2].map((at) => ({
    atMs: at * 1_000,
    seconds: { api: at * 0.5, restarted: at === 2 ? 0.1 : 5 },
    machineBusySeconds: at * 1.5,
  }));
  expect(sharesOf(samples, { fromMs: 0, toMs: 2_000 })).toEqual({ api: 0.5, machine: 1.5 });
  expect(sharesOf(samples, { fromMs: 0, toMs: 500 })).toEqual({});
});

test('finds an estimate and what came of it in the events of a job', () => {
  expect(estimateIn(events('100'))).toEqual({ estimatedMs: 100, realMs: 120 });
  expect(estimateIn(events('null'))).toBeNull();
  expect(estimateIn('')).toBeNull();
});
