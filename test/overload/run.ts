/** The parts of a run, one after another, each in a world of its own. Read this after `main.ts`. */
import { checkBatch, checkKill, checkLevels } from './targets.ts';
import type { Check } from './targets.ts';
import { runBatch } from './experiments/batch.ts';
import type { BatchResult } from './experiments/batch.ts';
import { measureCapacity, warmUp } from './experiments/capacity.ts';
import type { Capacity } from './experiments/capacity.ts';
import { KILLED_TIER, runKill } from './experiments/kill.ts';
import type { KillResult } from './experiments/kill.ts';
import { runLevels } from './experiments/levels.ts';
import type { LevelsResult } from './experiments/levels.ts';
import { inSession } from './experiments/session.ts';
import type { Session } from './experiments/session.ts';
import type { OverloadOptions, Part } from './options.ts';
import { LONG_DEADLINES, SHORT_DEADLINES, TIERS, mixFor } from './world/shape.ts';

/** Jobs take up to three seconds: less would be a guess, and more says nothing new. */
const CAPACITY_MS_MAX = 20_000;
const CAPACITY_MS_MIN = 5_000;
/** How long the engine is gone, as the targets have it; a trial with short levels makes it shorter. */
const GONE_MS_MAX = 60_000;
const QUIET_MS_MAX = 30_000;
const AFTER_MS_MAX = 75_000;
const AFTER_SHARE = 1.25;

export interface RunResult {
  readonly capacity: Capacity;
  readonly levels: LevelsResult | null;
  readonly batch: BatchResult | null;
  readonly kill: KillResult | null;
  readonly checks: readonly Check[];
  /** Whatever makes the figures worth nothing. */
  readonly mistakes: readonly string[];
  /** Logs of worlds in which something went wrong. */
  readonly folders: readonly string[];
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

export async function runOverload(
  { seed, factors, levelMs, parts }: OverloadOptions,
  say: (line: string) => void,
): Promise<RunResult> {
  const found: Mutable<Pick<RunResult, 'levels' | 'batch' | 'kill'>> = {
    levels: null,
    batch: null,
    kill: null,
  };
  const mistakes: string[] = [];
  const folders: string[] = [];
  const capacity = await inWorld('capacity', {}, measure);
  const perTier = TIERS.map(({ name }) => `${name} ${(capacity.perS[name] ?? 0).toFixed(1)}`);
  say(`capacity ${capacity.totalPerS.toFixed(1)} jobs/s: ${perTier.join(', ')}`);

  async function measure({ generator }: Session): Promise<Capacity> {
    say('measuring the capacity');
    const measuredMs = Math.min(CAPACITY_MS_MAX, Math.max(CAPACITY_MS_MIN, levelMs));
    return measureCapacity(generator, { measuredMs });
  }

  async function inWorld<Result>(
    part: Part | 'capacity',
    perS: Readonly<Record<string, number>>,
    work: (session: Session) => Promise<Result>,
  ): Promise<Result> {
    const {
      result,
      mistakes: own,
      folder,
    } = await inSession(
      {
        deadlines: part === 'levels' ? SHORT_DEADLINES : LONG_DEADLINES,
        ...(part === 'kill' ? { watchedTier: KILLED_TIER } : {}),
        mix: mixFor(perS),
        seed: `${seed}/${part}`,
      },
      work,
    );
    mistakes.push(...own.map((mistake) => `${part}: ${mistake}`));
    if (folder !== null) folders.push(folder);
    return result;
  }

  for (const part of parts) {
    await inWorld(part, capacity.perS, async (session) => {
      await warmUp(session.generator);
      switch (part) {
        case 'levels':
          found.levels = await runLevels(session, { capacity, factors, levelMs, say });
          return;
        case 'batch':
          found.batch = await runBatch(session, { capacity, turnMs: levelMs, say });
          return;
        case 'kill':
          found.kill = await runKill(session, {
            capacity,
            quietMs: Math.min(QUIET_MS_MAX, levelMs),
            goneMs: Math.min(GONE_MS_MAX, levelMs),
            afterMs: Math.min(AFTER_MS_MAX, levelMs * AFTER_SHARE),
            say,
          });
          return;
        default:
          part satisfies never;
      }
    });
  }
  const { levels, batch, kill } = found;
  const checks = [
    ...(levels === null ? [] : checkLevels(levels)),
    ...(batch === null ? [] : checkBatch(batch)),
    ...(kill === null ? [] : checkKill(kill)),
  ];
  return { capacity, ...found, checks, mistakes, folders };
}
