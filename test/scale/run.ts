/**
 * One run: people stream all the time; a tier has one worker, then several, then one again. Read this
 * after `main.ts`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startStreams } from '../batch/streams.ts';
import type { Streams } from '../batch/streams.ts';
import type { StreamSeen } from '../batch/evidence.ts';
import { createRandom } from '../chaos/random.ts';
import { ENGINE_SEED } from '../chaos/world/shape.ts';
import { startReference } from '../conformance/world/reference.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { lookUpAll } from './aftermath.ts';
import type { JobLeft } from './aftermath.ts';
import { checkScale } from './check.ts';
import { startScaleWorld } from './world.ts';
import type { Ending, ScaleWorld } from './world.ts';
import { startScaleRedis } from './redis.ts';
import type { RedisKind } from './redis.ts';

/** On a machine that has much else to do. */
const SETTLED_MS = 60_000;
const LOOK_EVERY_MS = 100;

export interface ScalePlan {
  readonly seed: string;
  readonly redis: RedisKind;
  readonly apis: number;
  /** Workers of each phase, one after the other. */
  readonly sizes: readonly number[];
  /** How long each phase is watched once all slots are taken. */
  readonly phaseMs: number;
  /** Jobs at once in a worker. */
  readonly slots: number;
  /** People: more than the most slots, so that something always waits. */
  readonly streams: number;
  /** Of each answer. */
  readonly tokens: readonly [min: number, max: number];
  readonly timeScale: number;
  readonly drainMs: number;
  readonly ending: Ending;
}

interface Phase {
  readonly workers: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** Jobs in the work of each engine, at the first moment at which none had a free slot. */
  readonly settled: readonly number[];
  /** Jobs in work, each time it was looked. */
  readonly inWork: readonly number[];
  /** Whether a Redis was killed meanwhile. */
  readonly hasFailover: boolean;
}

export interface ScaleResult {
  readonly plan: ScalePlan;
  readonly phases: readonly Phase[];
  readonly streams: readonly StreamSeen[];
  readonly jobs: readonly JobLeft[];
  readonly violations: readonly string[];
  /** Logs of the processes; null where they are gone. */
  readonly folder: string | null;
}

export async function runScale(
  plan: ScalePlan,
  say: (line: string) => void = () => {},
): Promise<ScaleResult> {
  const world = await startScaleWorld({ ...plan, redis: await startScaleRedis(plan.redis) });
  const reference = await startReference([`--seed=${ENGINE_SEED}`]);
  let keepsFolder = true;
  try {
    const streams = startStreams({
      count: plan.streams,
      tokens: plan.tokens,
      thinkingMs: [0, 0],
      apis: world.apis,
      random: createRandom(plan.seed),
      async expect({ prompt, max_tokens }) {
        const messages = [{ role: 'user' as const, content: prompt }];
        const answer = await reference.answer({ messages, max_tokens, temperature: 0.7 });
        return answer?.choices[0]?.message.content ?? null;
      },
    });
    const phases: Phase[] = [];
    for (const [index, size] of plan.sizes.entries()) {
      const phase = await runPhase(world, { plan, size, isMiddle: index === 1, streams });
      const { fromMs, toMs } = phase;
      say(`${size} workers for ${Math.round((toMs - fromMs) / 1_000)} s`);
      phases.push(phase);
    }
    await streams.stop();
    const jobs = await lookUpAll(world.apis);
    const evidence = { streams: streams.seen, jobs, crashes: world.crashes() };
    const violations = checkScale(evidence);
    keepsFolder = violations.length > 0;
    const folder = keepsFolder ? world.folder : null;
    return { plan, phases, streams: streams.seen, jobs, violations, folder };
  } finally {
    await reference.stop();
    await world.stop({ keepsFolder });
  }
}

async function runPhase(
  world: ScaleWorld,
  {
    plan,
    size,
    isMiddle,
    streams,
  }: { plan: ScalePlan; size: number; isMiddle: boolean; streams: Streams },
): Promise<Phase> {
  await world.resize(size, plan.ending);
  const settled = await untilAllSlotsWork(world, { streams, slots: plan.slots });
  const inWork: number[] = [];
  const fromMs = performance.now();
  const { failover } = world.redis;
  const watch = async (untilMs: number) => {
    do {
      const perPod = await Promise.all(world.pods.map((pod) => pod.running()));
      inWork.push(perPod.reduce((sum, count) => sum + count, 0));
      await sleep(LOOK_EVERY_MS);
    } while (performance.now() < untilMs);
  };
  const hasFailover = isMiddle && failover !== null;
  if (hasFailover) {
    await watch(fromMs + plan.phaseMs / 2);
    await failover();
    await untilAllSlotsWork(world, { streams, slots: plan.slots });
  }
  await watch(fromMs + plan.phaseMs);
  return { workers: size, fromMs, toMs: performance.now(), settled, inWork, hasFailover };
}

/** Every pod has as many jobs as it takes, and as many people are reading: who ends now leaves text behind. */
async function untilAllSlotsWork(
  { pods }: ScaleWorld,
  { streams, slots }: { streams: Streams; slots: number },
): Promise<number[]> {
  return waitUntil(
    `all slots of ${pods.length} workers have a job`,
    async () => {
      const perPod = await Promise.all(pods.map((pod) => pod.running()));
      const isSpoken = streams.speaking() >= pods.length * slots;
      return isSpoken && perPod.every((count) => count >= slots) ? perPod : null;
    },
    { timeoutMs: SETTLED_MS, everyMs: LOOK_EVERY_MS },
  );
}
