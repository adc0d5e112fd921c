/** The load in steps up to far more than the system can do, and the step back down. */
import { CLASSES } from '../load/mix.ts';
import { nowMs } from '../load/outcome.ts';
import type { Outcome } from '../load/outcome.ts';
import { alertPeriods, depthMaxOf } from '../figures/alerts.ts';
import type { Period } from '../figures/alerts.ts';
import { normalAfterMs, normalTtftMs } from '../figures/recovery.ts';
import { isRight, percentilesOf, shareOf } from '../figures/statistics.ts';
import type { Percentiles } from '../figures/statistics.ts';
import { isIn, refusalMs, windowFigures } from '../figures/window-figures.ts';
import type { Window, WindowFigures } from '../figures/window-figures.ts';
import { countedSince, readCounters, refusalsTimedSince } from '../world/counters.ts';
import { sharesOf } from '../world/cpu.ts';
import { DEPTH_MAX, SHORT_DEADLINES } from '../world/shape.ts';
import type { TierSample } from '../world/tiers-watch.ts';
import type { Capacity } from './capacity.ts';
import { readEstimates } from './estimates.ts';
import type { Estimate } from './estimates.ts';
import { drain, holdRate } from './session.ts';
import type { Session } from './session.ts';

/** Of the step back down. */
const LOW = 0.5;
/** The beginning of a level belongs to the change: what was there before is still being done. */
const SETTLE_SHARE = 0.25;

export interface LevelFigures extends WindowFigures {
  readonly factor: number;
  readonly isBackDown: boolean;
  readonly offeredPerS: number;
  readonly window: Window;
  readonly depthMax: Readonly<Record<string, number>>;
  /** By the counter of all processes. */
  readonly fallbackCounts: Readonly<Record<string, number>>;
  /** Of a `GET /healthz` beside the load, in ms: what this rig adds to every refusal. */
  readonly controlMs: Percentiles | null;
  readonly estimates: { readonly n: number; readonly rightShare: number | null };
  readonly cpu: Readonly<Record<string, number>>;
  readonly tenants: Readonly<Record<string, WindowFigures>>;
}

export interface LevelsResult {
  readonly levels: readonly LevelFigures[];
  readonly samples: readonly TierSample[];
  readonly alerts: readonly Period[] | null;
  readonly depthLimit: number;
  /** Of all levels together: one of them may have few. */
  readonly refusalMs: Percentiles | null;
  /** As the API timed them: all, and those of 10 ms at most. */
  readonly refusalsTimed: { readonly n: number; readonly within: number };
  readonly normalTtftMs: number | null;
  /** After the step down; null: never. */
  readonly normalAfterMs: number | null;
}

export async function runLevels(
  session: Session,
  {
    capacity,
    factors,
    levelMs,
    say,
  }: {
    capacity: Capacity;
    factors: readonly number[];
    levelMs: number;
    say: (line: string) => void;
  },
): Promise<LevelsResult> {
  const { world, generator, tiers, cpu } = session;
  const deadlines = SHORT_DEADLINES;
  const steps: (Pick<LevelFigures, 'factor' | 'isBackDown' | 'window' | 'fallbackCounts'> & {
    offeredPerS: number;
  })[] = [];
  const first = await readCounters(world.opsUrls());
  for (const [index, factor] of [...factors, LOW].entries()) {
    const offeredPerS = factor * capacity.totalPerS;
    const isBackDown = index === factors.length;
    say(
      `${isBackDown ? 'back to ' : ''}${factor} x capacity: ${offeredPerS.toFixed(1)} requests/s`,
    );
    const before = await readCounters(world.opsUrls());
    const window = await holdRate(session, {
      perSecond: offeredPerS,
      classes: CLASSES,
      forMs: levelMs,
    });
    const after = await readCounters(world.opsUrls());
    const fallbackCounts = countedSince('qarr_fallback_total', { before, after });
    steps.push({ factor, isBackDown, window, offeredPerS, fallbackCounts });
  }
  const last = await readCounters(world.opsUrls());
  await drain(session, deadlines);
  const estimates = await readEstimates(generator.outcomes, world.apis);
  await generator.stop();
  const overMs = nowMs();

  const figuresIn = (window: Window, outcomes: readonly Outcome[]) =>
    windowFigures(outcomes, { window, settled: settledPart(window), deadlines, overMs });
  const levels = steps.map((step) => {
    const { window } = step;
    const own = generator.outcomes.filter(({ dueMs }) => isIn(dueMs, window));
    return {
      ...step,
      ...figuresIn(window, generator.outcomes),
      depthMax: depthMaxOf(tiers.samples, window),
      controlMs: percentilesOf(
        generator.controls.flatMap(({ atMs, tookMs }) => (isIn(atMs, window) ? [tookMs] : [])),
      ),
      estimates: accuracyOf(estimates.filter(({ dueMs }) => isIn(dueMs, window))),
      cpu: sharesOf(cpu.samples, window),
      tenants: Object.fromEntries(
        [...Map.groupBy(own, ({ wish }) => wish.tenant)]
          .toSorted(([a], [b]) => a.localeCompare(b))
          .map(([tenant, outcomes]) => [tenant, figuresIn(window, outcomes)]),
      ),
    };
  });
  const quietP95Ms = levels.find(({ factor }) => factor <= 1)?.ttftMs.interactive?.p95;
  const limitMs = quietP95Ms === undefined ? null : normalTtftMs(quietP95Ms);
  const down = steps.at(-1)?.window;
  return {
    levels,
    samples: tiers.samples,
    alerts: alertPeriods(tiers.samples),
    depthLimit: DEPTH_MAX,
    refusalMs: percentilesOf(generator.outcomes.flatMap(refusalMs)),
    refusalsTimed: refusalsTimedSince({ before: first, after: last }),
    normalTtftMs: limitMs,
    normalAfterMs:
      down === undefined || limitMs === null
        ? null
        : normalAfterMs(generator.outcomes, { ...down, ttftLimitMs: limitMs }),
  };
}

function settledPart({ fromMs, toMs }: Window): Window {
  return { fromMs: fromMs + (toMs - fromMs) * SETTLE_SHARE, toMs };
}

function accuracyOf(estimates: readonly Estimate[]): LevelFigures['estimates'] {
  const right = estimates.filter(isRight).length;
  return { n: estimates.length, rightShare: shareOf(right, estimates.length) };
}
