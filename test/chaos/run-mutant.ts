/** Runs a planted bug in a small world, for as long as it takes to show. */
import { join } from 'node:path';
import type { LoadMix } from './load/plan.ts';
import { HASTE } from './mutants.ts';
import type { Mutant } from './mutants.ts';
import { copySource } from './mutated-source.ts';
import { runChaos } from './run.ts';
import type { RunOutcome } from './run.ts';
import { SMALL_WORLD } from './world/world.ts';
import type { WorldShape } from './world/world.ts';

const ROOT = join(import.meta.dirname, '../..');
const LOAD_MS = 2_500;
/** Beyond what a world needs that is in order: a bug that keeps it from its end is found by that. */
const QUIET_MS = 5_000;
const READERS_MS = 2_000;
const SETTLE_MS = 1_500;
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

export async function runMutant(
  mutant: Pick<Mutant, 'name' | 'edits' | 'faults' | 'mix' | 'loadMs' | 'perSecond' | 'pauseMs'>,
): Promise<RunOutcome> {
  const source = await copySource(ROOT, [...HASTE, ...mutant.edits]);
  try {
    return await runChaos({
      seed: mutant.name,
      loadMs: mutant.loadMs ?? LOAD_MS,
      quietMs: QUIET_MS,
      readersMs: READERS_MS,
      settleMs: SETTLE_MS,
      perSecond: mutant.perSecond ?? PER_SECOND,
      shape: mutant.faults.length === 0 ? CALM_WORLD : SMALL_WORLD,
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
