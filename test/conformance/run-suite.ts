/** Runs all that needs engines and workers, as much at a time as this machine can bear. */
import { availableParallelism } from 'node:os';
import type { Persona } from './persona.ts';
import { cutAtRandom } from './random-cuts.ts';
import type { CutCounts, Cuts } from './random-cuts.ts';
import { runJobRows, runLifeRows } from './run-rows.ts';
import type { RowResult } from './run-rows.ts';
import type { Row } from './row.ts';

/** Each part is three processes that mostly wait. */
const PARTS_PER_CORE = 3;

export interface SuiteRun {
  readonly personas: readonly PersonaRun[];
  readonly cuts: readonly CutRun[];
}

interface PersonaRun {
  readonly persona: Persona;
  /** In the order of the rows. */
  readonly results: Promise<readonly RowResult[]>;
}

interface CutRun extends Cuts {
  readonly counts: Promise<CutCounts>;
}

/** Returns at once. */
export function runSuite({
  redisUrl,
  personas,
  rows,
  cuts,
}: {
  redisUrl: string;
  personas: readonly Persona[];
  rows: readonly Row[];
  cuts: readonly Cuts[];
}): SuiteRun {
  const places = createPlaces(PARTS_PER_CORE * availableParallelism());
  const jobRows = rows.filter((row) => row.kind === 'job');
  const lifeRows = rows.filter((row) => row.kind === 'life');

  function inTurn<Result>(task: () => Promise<Result>): Promise<Result> {
    return expected(places.take(task));
  }

  // The longest first.
  const lives = personas.map((persona) => ({
    persona,
    part: inTurn(() => runLifeRows(lifeRows, { redisUrl, persona })),
  }));
  return {
    personas: lives.map(({ persona, part }) => ({
      persona,
      results: expected(
        inOrder(rows, [part, inTurn(() => runJobRows(jobRows, { redisUrl, persona }))]),
      ),
    })),
    cuts: cuts.map((each) => ({
      ...each,
      counts: inTurn(() => cutAtRandom({ redisUrl, ...each })),
    })),
  };
}

/** Whoever wants the result waits for it; until then a failure is no surprise. */
function expected<Result>(result: Promise<Result>): Promise<Result> {
  result.catch(() => {});
  return result;
}

async function inOrder(
  rows: readonly Row[],
  parts: readonly Promise<readonly RowResult[]>[],
): Promise<readonly RowResult[]> {
  const results = (await Promise.all(parts)).flat();
  return rows.flatMap((row) => results.filter((result) => result.row === row));
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
