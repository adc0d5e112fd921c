/** Runs all rows with all personas, as many at a time as this machine can bear. */
import { availableParallelism } from 'node:os';
import type { Persona } from './persona.ts';
import { runJobRows, runLifeRows } from './run-rows.ts';
import type { RowResult } from './run-rows.ts';
import type { Row } from './row.ts';

/** Each run is five processes that mostly wait. */
const RUNS_PER_CORE = 2;

export interface PersonaRun {
  readonly persona: Persona;
  /** In the order of the rows. */
  readonly results: Promise<readonly RowResult[]>;
}

export function runPersonas({
  redisUrl,
  personas,
  rows,
}: {
  redisUrl: string;
  personas: readonly Persona[];
  rows: readonly Row[];
}): PersonaRun[] {
  const places = createPlaces(RUNS_PER_CORE * availableParallelism());
  const jobRows = rows.filter((row) => row.kind === 'job');
  const lifeRows = rows.filter((row) => row.kind === 'life');
  return personas.map((persona) => {
    const run = { redisUrl, persona };
    // The longer ones first.
    const parts = [
      places.take(() => runLifeRows(lifeRows, run)),
      places.take(() => runJobRows(jobRows, run)),
    ];
    const results = Promise.all(parts).then((done) => {
      const all = done.flat();
      return rows.flatMap((row) => all.filter((result) => result.row === row));
    });
    // Whoever wants them waits for them; until then a failure is no surprise.
    results.catch(() => {});
    return { persona, results };
  });
}

/** Lets so many tasks run at once, in the order in which they come. */
function createPlaces(count: number) {
  const waiting: (() => void)[] = [];
  let free = count;
  return {
    async take<Result>(task: () => Promise<Result>): Promise<Result> {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await task();
      } finally {
        const next = waiting.shift();
        if (next === undefined) free += 1;
        else next();
      }
    },
  };
}
