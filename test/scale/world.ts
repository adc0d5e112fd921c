/**
 * A system that grows and shrinks: an API, and one tier whose workers each have an engine of their own, as
 * in a pod. All are real processes; what a worker may run at once is bounded, so that more workers are what
 * makes it faster.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHistory } from '../chaos/history.ts';
import { usesAll } from '../chaos/world/engine-state.ts';
import { createApi, createEngine, createWorker } from '../chaos/world/members.ts';
import type { Member } from '../chaos/world/member.ts';
import { waitUntil } from '../harness/wait-until.ts';
import type { ScaleRedis } from './redis.ts';

const ROOT = join(import.meta.dirname, '../..');
const TIER = 'fast';
const READY_TIMEOUT_MS = 60_000;

/**
 * How a pod ends. `orderly`: its engine is told after its worker has ended, as a sidecar is. `together`:
 * both are told at once, and the engine breaks off what runs. `killed`: both, as when a machine dies.
 */
export const ENDINGS = ['orderly', 'together', 'killed'] as const;
export type Ending = (typeof ENDINGS)[number];

interface Pod {
  readonly worker: Member;
  readonly engine: Member;
  /** Jobs that its engine works on; 0 where it has ended. */
  running(): Promise<number>;
}

export interface ScaleWorld {
  /** Where logs and data lie. */
  readonly folder: string;
  readonly redis: ScaleRedis;
  readonly apis: readonly Member[];
  /** Those that run, the eldest first. */
  readonly pods: readonly Pod[];
  /** Pods are started, and used, or the youngest are ended, until there are so many. */
  resize(pods: number, ending: Ending): Promise<void>;
  /** Processes that ended by themselves, or otherwise than they should when they were told to. */
  crashes(): string[];
  stop(options: { keepsFolder: boolean }): Promise<void>;
}

export async function startScaleWorld({
  redis,
  apis: apiCount,
  slots,
  timeScale,
  drainMs,
}: {
  /** It ends with the world. */
  redis: ScaleRedis;
  apis: number;
  /** Jobs at once in a worker. */
  slots: number;
  /** Of the engines' times: 1 is about ten milliseconds per token. */
  timeScale: number;
  drainMs: number;
}): Promise<ScaleWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-scale-'));
  const history = createHistory({ path: null });
  const config = join(folder, 'qarr.config.yaml');
  // Every JSON is YAML.
  const routing = { rules: [{ tier: TIER, when: 'default' }] };
  await writeFile(config, JSON.stringify({ tiers: [{ name: TIER }], routing }));
  const base = { source: ROOT, folder, history };
  const wired = { ...base, redisUrl: redis.url, config };
  const replicasMin = String(redis.replicasMin);
  const apis = Array.from({ length: apiCount }, (_, index) =>
    createApi({
      ...wired,
      name: `api-${index + 1}`,
      env: replicasMin === '0' ? {} : { QARR_REDIS_REPLICAS_MIN: replicasMin },
    }),
  );
  const pods: Pod[] = [];
  const faults: string[] = [];
  let started = 0;

  async function startPod(): Promise<Pod> {
    started += 1;
    // A canary has its place beside the jobs.
    const flags = [`--max-num-seqs=${slots + 1}`];
    const engine = createEngine({ ...base, name: `engine-${started}`, timeScale, flags });
    const name = `worker-${started}`;
    await engine.start();
    const worker = createWorker({
      ...wired,
      name,
      tier: TIER,
      enginePorts: [new URL(engine.url).port],
      env: { QARR_CONCURRENCY: String(slots), QARR_DRAIN_MS: String(drainMs) },
    });
    await worker.start();
    await waitUntil(`${name} uses its engine`, () => usesAll([worker]), {
      timeoutMs: READY_TIMEOUT_MS,
      everyMs: 100,
    });
    return { worker, engine, running: async () => workingAt(engine) };
  }

  async function endPod({ worker, engine }: Pod, ending: Ending): Promise<void> {
    switch (ending) {
      case 'orderly':
        await worker.terminate();
        await engine.terminate();
        break;
      case 'together':
        await Promise.all([engine.terminate(), worker.terminate()]);
        break;
      case 'killed':
        await Promise.all([engine.kill(), worker.kill()]);
        return;
      default:
        ending satisfies never;
    }
    const left = await leftBy(join(folder, `${worker.name}.log`));
    if (left !== 0) faults.push(`${worker.name} has ended with ${left ?? 'unknown'} jobs in hand`);
  }

  await Promise.all(apis.map((api) => api.start()));
  return {
    folder,
    redis,
    apis,
    pods,
    async resize(count, ending) {
      const missing = Math.max(0, count - pods.length);
      const ended = pods.splice(count);
      pods.push(...(await Promise.all(Array.from({ length: missing }, startPod))));
      await Promise.all(ended.map((pod) => endPod(pod, ending)));
    },
    crashes() {
      const ends = history.entries.flatMap((entry) => {
        if (entry.t !== 'process' || entry.event === 'started') return [];
        const { name, event, code } = entry;
        // Who was killed has no exit code.
        const isWell = event === 'ended' && (code === 0 || code === 'SIGKILL');
        return isWell ? [] : [`${name}: ${event} with ${code}`];
      });
      return [...faults, ...ends];
    },
    async stop({ keepsFolder }) {
      const members = [...pods.flatMap(({ worker, engine }) => [worker, engine]), ...apis];
      await Promise.all(members.map((member) => member.kill()));
      await redis.stop();
      if (!keepsFolder) await rm(folder, { recursive: true, force: true });
    },
  };
}

async function workingAt({ url, pid }: Member): Promise<number> {
  if (pid === null) return 0;
  const state = (await (await fetch(`${url}/_sim/state`)).json()) as { running: number };
  return state.running;
}

/** How many queue entries a worker still had when it had drained; null where it does not say. */
async function leftBy(logFile: string): Promise<number | null> {
  const log = await readFile(logFile, 'utf8');
  const drained = log.split('\n').findLast((line) => line.includes('"msg":"drained"'));
  return drained === undefined ? null : (JSON.parse(drained) as { left: number }).left;
}
