/** The engine of one tier is killed and stays away for a while, under a load that is not too much. */
import { setTimeout as sleep } from 'node:timers/promises';
import { alertPeriods, breakerPeriods } from '../figures/alerts.ts';
import type { Period } from '../figures/alerts.ts';
import { probesIn } from '../figures/probes.ts';
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
/** Where the API does not tell of a breaker: by then it must be open. */
const NOTICED_MS = 5_000;
const SETTLE_SHARE = 0.25;
/** `/v1/tiers` is looked at twice a second. */
const LOOK_MS = 1_000;

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
  readonly probes: ProbeFigures;
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
  const breakers = breakerPeriods(tiers.samples);
  const names = TIERS.map(({ name }) => name);
  return {
    ...figures,
    killedMs,
    backMs,
    samples: tiers.samples,
    breakers,
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
    probes: probesIn(watch.seen, sickWindow({ killedMs, backMs, breakers })),
    normalTtftMs: limitMs,
    normalAfterMs: normalAfterMs(outcomes, { ...after, ttftLimitMs: limitMs }),
  };
}

/** From when the breaker is known to be open until it is closed again, or the engine is back. */
function sickWindow({
  killedMs,
  backMs,
  breakers,
}: Pick<KillResult, 'killedMs' | 'backMs' | 'breakers'>): Window {
  const open = breakers?.find(
    ({ tier, fromMs }) => tier === KILLED_TIER && fromMs >= killedMs && fromMs < backMs,
  );
  if (open === undefined) return { fromMs: killedMs + NOTICED_MS, toMs: backMs };
  // The last look at which it was not closed is some time before the one at which it is.
  const toMs = open.toMs === null ? backMs : Math.max(backMs, open.toMs - LOOK_MS);
  return { fromMs: open.fromMs, toMs };
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
