/** All that the rows of one persona share: two engines, their worker, and an undisturbed engine. */
import { randomBytes } from 'node:crypto';
import { waitUntil } from '../../harness/wait-until.ts';
import type { Persona } from '../persona.ts';
import { startEngine } from './engine.ts';
import type { Engine } from './engine.ts';
import { createJobs } from './jobs.ts';
import type { Jobs } from './jobs.ts';
import { startReference } from './reference.ts';
import type { ReferenceEngine } from './reference.ts';
import { startWorker } from './worker.ts';
import type { Patience } from './worker.ts';

export interface World {
  readonly persona: Persona;
  /** Which may be others after `heal`. */
  readonly engines: readonly Engine[];
  readonly jobs: Jobs;
  readonly reference: ReferenceEngine;
  /** No engine has a fault any more, each has its process, and the worker uses them all. */
  heal(): Promise<void>;
  stop(): Promise<void>;
}

const SEED = 7;
/** The simulator's default: what a cache that shrank gets back. */
const KV_BLOCKS = 7_375;
const HEALING = [
  { name: 'resume' },
  { name: 'slow', params: { factor: 1 } },
  { name: 'kv_shrink', params: { blocks: KV_BLOCKS } },
] as const;

export async function startWorld({
  redisUrl,
  persona,
  profile = ['--profile=awq-24gb', '--time-scale=0.2'],
  jobsPerEngine = 16,
  patience = 'busy',
  engineSeed = SEED,
}: {
  redisUrl: string;
  persona: Persona;
  /** Some milliseconds per token, so that an answer has a middle. */
  profile?: readonly string[];
  jobsPerEngine?: number;
  patience?: Patience;
  /** Another one than the undisturbed engine's: then all answers are wrong. */
  engineSeed?: number;
}): Promise<World> {
  const flags = [`--persona=${persona.name}`, `--seed=${engineSeed}`, ...profile];
  const tier = `test-${randomBytes(6).toString('hex')}`;
  // Before the processes, whose start leaves this one little time to connect.
  const jobs = await createJobs({ redisUrl, tier });
  const [reference, ...engines] = await Promise.all([
    startReference([`--persona=${persona.name}`, `--seed=${SEED}`]),
    startEngine(flags),
    startEngine(flags),
  ]);
  const engineUrls = engines.map(({ url }) => url);
  const worker = await startWorker({ redisUrl, tier, engineUrls, jobsPerEngine, patience });
  await worker.untilReady();

  async function healed(engine: Engine): Promise<Engine> {
    if (engine.isGone) return startEngine(flags, Number(new URL(engine.url).port));
    await waitUntil('an engine is back', () => engine.state().catch(() => null));
    for (const fault of HEALING) await engine.strike(fault);
    await engine.clearFaults();
    return engine;
  }

  return {
    persona,
    engines,
    jobs,
    reference,
    async heal() {
      engines.splice(0, engines.length, ...(await Promise.all(engines.map(healed))));
      await worker.untilReady();
    },
    async stop() {
      await worker.stop();
      await Promise.all([jobs.stop(), reference.stop(), ...engines.map((engine) => engine.stop())]);
    },
  };
}
