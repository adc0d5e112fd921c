/** Runs a planted bug in a small world, for as long as it takes to show. */
import { join } from 'node:path';
import type { LoadMix } from '../load/plan.ts';
import { HASTE } from './mutant.ts';
import type { Mutant } from './mutant.ts';
import { copySource } from './mutated-source.ts';
import { runChaos } from '../run.ts';
import type { RunOutcome } from '../run.ts';
import { SMALL_WORLD } from '../world/shape.ts';
import type { WorldShape } from '../world/shape.ts';

const ROOT = join(import.meta.dirname, '../../..');
const LOAD_MS = 2_500;
/** What a world needs that is in order: a bug that keeps it from its end is found by that. */
const IMPATIENT = { quietMs: 5_000, readersMs: 2_000, settleMs: 1_500 };
/** As long as it takes, on a machine that has other things to do. */
const PATIENT = { quietMs: 60_000, readersMs: 30_000, settleMs: 30_000 };
const PER_SECOND = 12;
/** Early, and only once or twice. */
const PAUSE_MS = [300, 600] as const;

/** Where nothing is disturbed, one worker shows it. */
const CALM_WORLD: WorldShape = {
  ...SMALL_WORLD,
  tiers: SMALL_WORLD.tiers.map((tier) => ({ ...tier, workers: 1 })),
};

const MIX: LoadMix = {
  gentle: false,
  tiers: SMALL_WORLD.tiers.map(({ name }) => name),
  keys: false,
  deletes: false,
  lists: false,
  maxTokens: [20, 60],
  endless: 0,
};

/** Without an edit, what is found is a mistake of the checks. */
export async function runMutant(mutant: Omit<Mutant, 'breaks' | 'expected'>): Promise<RunOutcome> {
  const source = await copySource(ROOT, [...HASTE, ...mutant.edits]);
  try {
    return await runChaos({
      seed: mutant.seed ?? mutant.name,
      loadMs: mutant.loadMs ?? LOAD_MS,
      ...(mutant.arrivalsMs === undefined ? {} : { arrivalsMs: mutant.arrivalsMs }),
      ...(mutant.edits.length === 0 ? PATIENT : IMPATIENT),
      perSecond: mutant.perSecond ?? PER_SECOND,
      shape: {
        ...(mutant.faults.length === 0 ? CALM_WORLD : SMALL_WORLD),
        timeScale: mutant.timeScale ?? SMALL_WORLD.timeScale,
      },
      mix: { ...MIX, ...mutant.mix },
      nemesis:
        mutant.faults.length === 0
          ? { kind: 'none' }
          : { kind: 'faults', faults: mutant.faults, pauseMs: mutant.pauseMs ?? PAUSE_MS },
      source: source.path,
      historyPath: null,
    });
  } finally {
    await source.remove();
  }
}
