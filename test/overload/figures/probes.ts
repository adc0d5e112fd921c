/** How many requests at once reached an engine that was not well. */
import type { SeenRequest } from '../world/engine-watch.ts';
import type { Window } from './window-figures.ts';

/**
 * A look at the load is no probe. One probe asks for the version beside the models, and that counts
 * once.
 */
const NO_PROBES = ['/metrics', '/health', '/version'];

export interface ProbeFigures {
  readonly probes: number;
  readonly atOnceMax: number;
}

/** Of the requests that began in the window. */
export function probesIn(seen: readonly SeenRequest[], { fromMs, toMs }: Window): ProbeFigures {
  const probes = seen.filter(
    (request) =>
      request.fromMs >= fromMs && request.fromMs < toMs && !NO_PROBES.includes(request.path),
  );
  // Starts and ends in order of time; what ends in the moment in which another starts is over.
  const steps = probes
    .flatMap(({ fromMs: start, toMs: end }) => [
      { atMs: start, by: 1 },
      { atMs: end ?? Number.POSITIVE_INFINITY, by: -1 },
    ])
    .toSorted((a, b) => a.atMs - b.atMs || a.by - b.by);
  let open = 0;
  let atOnceMax = 0;
  for (const { by } of steps) {
    open += by;
    atOnceMax = Math.max(atOnceMax, open);
  }
  return { probes: probes.length, atOnceMax };
}
