/** How many requests at once reached an engine that was not well. */
import type { SeenRequest } from '../world/engine-watch.ts';
import type { TierSample } from '../world/tiers-watch.ts';
import type { Window } from './window-figures.ts';

/**
 * A look at the load is no probe. One probe asks for the version beside the models, and that counts
 * once.
 */
const NO_PROBES = ['/metrics', '/health', '/version'];
const GENERATING = ['/v1/chat/completions', '/v1/completions'];
/** Before a breaker has seen so many answers, it is not closed again. */
const SUCCESSES_TO_CLOSE = 3;

export interface ProbeFigures {
  readonly probes: number;
  readonly atOnceMax: number;
}

/** Of the requests that began in the window. */
export function probesIn(seen: readonly SeenRequest[], { fromMs, toMs }: Window): ProbeFigures {
  const probes = probesOf(seen).filter(
    (request) => request.fromMs >= fromMs && request.fromMs < toMs,
  );
  const atOnceMax = Math.max(0, ...openOverTime(probes).map(([, open]) => open));
  return { probes: probes.length, atOnceMax };
}

/** After each start and end of a probe, how many are open. */
export function openOverTime(
  seen: readonly SeenRequest[],
): (readonly [atMs: number, open: number])[] {
  // What ends in the moment in which another starts is over.
  const steps = probesOf(seen)
    .flatMap(({ fromMs, toMs }) => [
      { atMs: fromMs, by: 1 },
      { atMs: toMs ?? Number.POSITIVE_INFINITY, by: -1 },
    ])
    .toSorted((a, b) => a.atMs - b.atMs || a.by - b.by);
  let open = 0;
  return steps.map(({ atMs, by }) => {
    open += by;
    return [atMs, open] as const;
  });
}

/**
 * The time in which only one probe at a time may reach the engine, as far as that is certain: from when
 * no worker of the tier pulls any more until the engine is back and has given the answers without
 * which no breaker closes. What `/v1/tiers` says is some seconds old, so that its end is no measure.
 *
 * @param noticedMs from when on it must be so, where the API does not say how workers are
 */
export function sickWindow({
  seen,
  samples,
  killedMs,
  backMs,
  noticedMs,
}: {
  seen: readonly SeenRequest[];
  /** Of the tier. */
  samples: readonly TierSample[];
  killedMs: number;
  backMs: number;
  noticedMs: number;
}): Window {
  const open = samples.find(
    ({ atMs, closedWorkers }) => atMs >= killedMs && atMs < backMs && closedWorkers === 0,
  );
  const answered = seen
    .filter(
      ({ path, fromMs, toMs }) => GENERATING.includes(path) && fromMs >= backMs && toMs !== null,
    )
    .map(({ toMs }) => toMs ?? 0)
    .toSorted((a, b) => a - b);
  return {
    fromMs: open?.atMs ?? noticedMs,
    toMs: answered[SUCCESSES_TO_CLOSE - 1] ?? backMs,
  };
}

function probesOf(seen: readonly SeenRequest[]): SeenRequest[] {
  return seen.filter(({ path }) => !NO_PROBES.includes(path));
}
