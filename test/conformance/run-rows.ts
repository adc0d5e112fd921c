/** Runs the rows of one persona. */
import { waitUntil } from '../harness/wait-until.ts';
import type { Persona } from './persona.ts';
import type { JobRow, LifeRow, Row } from './row.ts';
import { startJob } from './run-job.ts';
import type { StartedJob } from './run-job.ts';
import type { Engine } from './world/engine.ts';
import { watchEngines } from './world/watch-engines.ts';
import { startWorld } from './world/world.ts';
import type { World } from './world/world.ts';

export interface RowResult {
  readonly row: Row;
  readonly verdict: Verdict;
}

export type Verdict =
  | { kind: 'ok' }
  | { kind: 'not applicable' }
  | { kind: 'failed'; problems: readonly string[] };

/** So many requests of the past an engine tells of. */
const REMEMBERED_MAX = 100;
/** A row makes two or three requests, with the canary that follows on a failure. */
const BATCH_ROWS = 24;

interface Run {
  readonly redisUrl: string;
  readonly persona: Persona;
  /** For tests of the suite itself: see `startWorld`. */
  readonly engineSeed?: number;
}

/** In batches, on engines that all live. */
export async function runJobRows(rows: readonly JobRow[], run: Run): Promise<RowResult[]> {
  const world = await startWorld(run);
  try {
    // What waits for timeouts waits together.
    const ordered = rows.toSorted((a, b) => Number(b.isSlow ?? 0) - Number(a.isSlow ?? 0));
    const results: RowResult[] = [];
    for (let at = 0; at < ordered.length; at += BATCH_ROWS) {
      results.push(...(await runBatch(ordered.slice(at, at + BATCH_ROWS), world)));
    }
    return results;
  } finally {
    await world.stop();
  }
}

/** One after the other, and whole engines again after each. */
export async function runLifeRows(rows: readonly LifeRow[], run: Run): Promise<RowResult[]> {
  const world = await startWorld({ ...run, patience: 'alone' });
  try {
    const results: RowResult[] = [];
    for (const row of rows) {
      results.push({ row, verdict: verdictOf(await row.play(world)) });
      await world.heal();
    }
    return results;
  } finally {
    await world.stop();
  }
}

async function runBatch(rows: readonly JobRow[], world: World): Promise<RowResult[]> {
  const { engines, persona } = world;
  const before = await Promise.all(engines.map(receivedBy));
  const jobs = await Promise.all(
    rows.map(async (row): Promise<StartedJob | null> => {
      const expected = row.expected(persona);
      return expected === 'not applicable' ? null : startJob({ ...row, expected }, world);
    }),
  );
  // All are over before the engines are asked what they have seen.
  const judges = await Promise.all(jobs.map(async (job) => job?.untilOver()));
  await Promise.all(engines.map(untilIdle));
  const after = await Promise.all(engines.map(receivedBy));
  if (after.some((count, index) => count - (before[index] ?? 0) > REMEMBERED_MAX)) {
    throw new Error('A batch makes more requests than an engine remembers.');
  }
  const seen = await watchEngines(engines).stop();
  await Promise.all(engines.map((engine) => engine.clearFaults()));
  return rows.map((row, index) => ({
    row,
    verdict: verdictOf(judges[index]?.(seen) ?? 'not applicable'),
  }));
}

function verdictOf(problems: readonly string[] | 'not applicable'): Verdict {
  if (problems === 'not applicable') return { kind: 'not applicable' };
  return problems.length === 0 ? { kind: 'ok' } : { kind: 'failed', problems };
}

async function receivedBy(engine: Engine): Promise<number> {
  return (await engine.state()).received;
}

/** What a job has let go of is let go of by its engine, too. */
async function untilIdle(engine: Engine): Promise<void> {
  await waitUntil('an engine has nothing to do', async () => {
    const { running, waiting, recent } = await engine.state();
    return running + waiting === 0 && recent.every(({ ended }) => ended !== null);
  });
}
