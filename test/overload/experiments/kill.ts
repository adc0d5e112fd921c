/** The engine of one tier is killed and stays away for a while, under a load that is not too much. */
import { setTimeout as sleep } from 'node:timers/promises';
import { alertPeriods, breakerPeriods } from '../figures/alerts.ts';
import type { Period } from '../figures/alerts.ts';
import { openOverTime, probesIn, sickWindow } from '../figures/probes.ts';
import type { ProbeFigures } from '../figures/probes.ts';
import { normalAfterMs, normalTtftMs } from '../figures/recovery.ts';
import { countBy } from '../figures/statistics.ts';
import { windowFigures } from '../figures/window-figures.ts';
import type { Window, WindowFigures } from '../figures/window-figures.ts';
import { askJson } from '../load/json-call.ts';
import { CLASSES, mayMove } from '../load/mix.ts';
import { isAdmitted, nowMs } from '../load/outcome.ts';
import type { Outcome } from '../load/outcome.ts';
import { countedSince, readCounters } from '../world/counters.ts';
import { LONG_DEADLINES, TIERS } from '../world/shape.ts';
import type { TierSample } from '../world/tiers-watch.ts';
import type { Capacity } from './capacity.ts';
import { drain, holdRate } from './session.ts';
import type { Session } from './session.ts';

export const KILLED_TIER = 'fast';
const LOAD_FACTOR = 0.8;
/** Where the API does not say that no worker pulls: by then none may. */
const NOTICED_MS = 5_000;
const SETTLE_SHARE = 0.25;

export interface KillResult {
  readonly quiet: WindowFigures;
  readonly gone: WindowFigures;
  readonly after: WindowFigures;
  readonly killedMs: number;
  readonly backMs: number;
  readonly samples: readonly TierSample[];
  readonly breakers: readonly Period[] | null;
  readonly alerts: readonly Period[] | null;
  readonly admitted: number;
  /** Jobs that were accepted and have no end, or are not known any more. */
  readonly lost: number;
  readonly ends: Readonly<Record<string, number>>;
  /** By the counter of all processes, from the kill on. */
  readonly moved: Readonly<Record<string, number>>;
  /** Answers of another tier, and jobs that were moved while they waited, as clients saw it. */
  readonly movedSeen: number;
  /** Expired, although they might have been moved. */
  readonly expiredMovable: number;
  /** The time in which one probe at a time may reach the engine. */
  readonly sick: Window;
  readonly probes: ProbeFigures;
  /** Requests that were open there, after each change. */
  readonly openAtEngine: readonly (readonly [atMs: number, open: number])[];
  readonly normalTtftMs: number;
  /** After the engine is back; null: never. */
  readonly normalAfterMs: number | null;
}

export async function runKill(
  session: Session,
  {
    capacity,
    quietMs,
    goneMs,
    afterMs,
    say,
  }: {
    capacity: Capacity;
    quietMs: number;
    goneMs: number;
    afterMs: number;
    say: (line: string) => void;
  },
): Promise<KillResult> {
  const { world, generator, tiers } = session;
  const engine = world.engines[KILLED_TIER];
  const watch = world.engineWatch;
  if (engine === undefined || watch === null) throw new Error('No engine to kill.');
  const load = { perSecond: LOAD_FACTOR * capacity.totalPerS, classes: CLASSES };

  say(`${LOAD_FACTOR} x capacity`);
  const begun = await holdRate(session, { ...load, forMs: quietMs });
  // Whatever was cold is part of no comparison.
  const quiet = { ...begun, fromMs: begun.fromMs + (begun.toMs - begun.fromMs) * SETTLE_SHARE };
  const before = await readCounters(world.opsUrls());
  say(`the engine of ${KILLED_TIER} is killed`);
  watch.setGone(true);
  await engine.kill();
  const killedMs = nowMs();
  await sleep(goneMs);
  await engine.start();
  watch.setGone(false);
  const backMs = nowMs();
  say('the engine is back');
  await sleep(afterMs);
  const gone = { fromMs: killedMs, toMs: backMs };
  const after = { fromMs: backMs, toMs: nowMs() };
  await drain(session, LONG_DEADLINES);
  const counters = { before, after: await readCounters(world.opsUrls()) };
  await generator.stop();
  const overMs = nowMs();

  const { outcomes } = generator;
  const states = await statesOf(outcomes, world.apis);
  const figuresIn = (window: Window) =>
    windowFigures(outcomes, { window, settled: window, deadlines: LONG_DEADLINES, overMs });
  const figures = { quiet: figuresIn(quiet), gone: figuresIn(gone), after: figuresIn(after) };
  const admitted = outcomes.filter(isAdmitted);
  const limitMs = normalTtftMs(figures.quiet.ttftMs.interactive?.p95 ?? 0);
  const sick = sickWindow({
    seen: watch.seen,
    samples: tiers.samples.filter(({ tier }) => tier === KILLED_TIER),
    killedMs,
    backMs,
    noticedMs: killedMs + NOTICED_MS,
  });
  const names = TIERS.map(({ name }) => name);
  return {
    ...figures,
    killedMs,
    backMs,
    samples: tiers.samples,
    breakers: breakerPeriods(tiers.samples),
    alerts: alertPeriods(tiers.samples),
    admitted: admitted.length,
    lost: admitted.filter((outcome) => !hasEnd(outcome, states)).length,
    ends: countBy(admitted, (outcome) => endOf(outcome, states)),
    moved: countedSince('qarr_fallback_total', counters),
    movedSeen: admitted.filter(({ fallback, reroutes }) => fallback !== null || reroutes > 0)
      .length,
    expiredMovable: admitted.filter(
      ({ wish, end }) => end === 'expired' && wish.tier === KILLED_TIER && mayMove(wish, names),
    ).length,
    sick,
    probes: probesIn(watch.seen, sick),
    openAtEngine: openOverTime(watch.seen).filter(([atMs]) => atMs < after.toMs),
    normalTtftMs: limitMs,
    normalAfterMs: normalAfterMs(outcomes, { ...after, ttftLimitMs: limitMs }),
  };
}

/** Of those whose end their client has not seen: what the API says of them. */
async function statesOf(
  outcomes: readonly Outcome[],
  apis: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const states = new Map<string, string>();
  for (const { end, jobId } of outcomes) {
    if ((end !== 'cut' && end !== 'open') || jobId === null) continue;
    const reply = await askJson(`${apis[0]}/v1/jobs/${jobId}`);
    states.set(jobId, reply?.status === 200 ? String(reply.body['status']) : 'unknown');
  }
  return states;
}

function endOf({ end, jobId }: Outcome, states: ReadonlyMap<string, string>): string {
  return states.get(jobId ?? '') ?? end;
}

/** Offline work may still wait; whatever else was accepted must have come to an end. */
function hasEnd(outcome: Outcome, states: ReadonlyMap<string, string>): boolean {
  const end = endOf(outcome, states);
  if (outcome.wish.class === 'batch' && (end === 'queued' || end === 'running')) return true;
  return ['done', 'completed', 'expired', 'failed', 'cancelled'].includes(end);
}
