/** What a token and a job ask of Redis and of the kernel: counted, so that it is the same on any machine. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadOptions } from '../load/load.ts';
import {
  bullmqDigests,
  callsByOwner,
  idleScriptsPerS,
  watchScripts,
} from '../measure/script-calls.ts';
import { takeSlice } from '../measure/slice.ts';
import type { QarrPath } from '../paths/qarr.ts';
import { figuresOf } from '../report/figures.ts';
import type { Figures } from '../report/figures.ts';
import { startQarrAlone } from '../world.ts';
import { ONE_OF_EACH, WrongAnswers } from './scenario.ts';
import type { OwnContext, OwnScenario } from './scenario.ts';

const IDLE_MS = 3_000;
const QUICK_IDLE_MS = 1_000;
const FOR_MS = 2_000;
const QUICK_FOR_MS = 700;
const PROBE = join(import.meta.dirname, '../measure/client-writes-probe.ts');
const PROBE_MS = 5_000;
const PROBE_POLL_MS = 10;
const PROMPT_BYTES = 700;

interface CountedLoad extends Pick<LoadOptions, 'arrivals' | 'tokens' | 'forMs'> {
  readonly stepMs: number;
  readonly requestsMax?: number;
}

export interface Counting {
  count(load: CountedLoad): Promise<Figures>;
  stop(): Promise<void>;
}

/** One QARR, whose loads are counted one after another. */
export async function startCounting(
  path: QarrPath,
  context: Pick<OwnContext, 'folder' | 'signal' | 'runLoad'>,
  { idleMs }: { idleMs: number },
): Promise<Counting> {
  const writesFile = join(context.folder, 'client-writes');
  const { qarr, upstream, stop } = await startQarrAlone(path, {
    ...context,
    shape: ONE_OF_EACH,
    env: { NODE_OPTIONS: `--import=${PROBE}`, QARR_BENCH_WRITES: writesFile },
  });
  const api = qarr.processes.find(({ role }) => role === 'api')?.pid ?? 0;
  const bullmq = await bullmqDigests(path.root, qarr.redisUrl);
  const idlePerS = await idleScriptsPerS(qarr.redisUrl, idleMs);
  return {
    async count({ stepMs, ...load }) {
      await upstream.set({ stepMs });
      const writesBefore = await clientWrites(api, writesFile);
      const watch = await watchScripts(qarr.redisUrl);
      const beganMs = performance.now();
      const asked = { ...load, model: upstream.model, promptBytes: PROMPT_BYTES };
      const slice = await takeSlice(qarr, asked, context.runLoad);
      const forMs = performance.now() - beganMs;
      watch.stop();
      if (slice.firstError !== null) throw new WrongAnswers(slice.firstError);
      const calls = callsByOwner(watch.calls, { bullmq, idlePerS, forMs });
      const writes = (await clientWrites(api, writesFile)) - writesBefore;
      const { publishPerToken = 0, subscribePerJob = 0 } = figuresOf(slice, null);
      return {
        publishPerToken,
        subscribePerJob,
        clientWritesPerToken: writes / slice.tokens,
        scriptsPerJob: calls.own / slice.whole,
        bullmqPerJob: calls.bullmq / slice.whole,
      };
    },
    stop,
  };
}

/** Asks the probe in an API, which answers by a file. */
async function clientWrites(pid: number, file: string): Promise<number> {
  await rm(file, { force: true });
  process.kill(pid, 'SIGUSR2');
  const deadlineMs = performance.now() + PROBE_MS;
  while (performance.now() < deadlineMs) {
    // Not written yet.
    const text = await readFile(file, 'utf8').catch(() => null);
    if (text !== null) return Number(text);
    await sleep(PROBE_POLL_MS);
  }
  throw new Error(`The API does not count its writes within ${PROBE_MS / 1_000} s`);
}

export const COUNTS: readonly OwnScenario[] = [
  counted('counts-50', {
    title: 'counted: 50 streams, 64 tokens each, 20 ms a step',
    isQuick: true,
    load: { arrivals: { kind: 'closed', concurrency: 50 }, tokens: 64, stepMs: 20 },
  }),
  counted('counts-200', {
    title: 'counted: 200 streams, 64 tokens each, 20 ms a step',
    isQuick: false,
    load: { arrivals: { kind: 'closed', concurrency: 200 }, tokens: 64, stepMs: 20 },
  }),
  counted('counts-jobs', {
    title: 'counted: one-token jobs, 50 at once',
    isQuick: false,
    load: { arrivals: { kind: 'closed', concurrency: 50 }, tokens: 1, stepMs: 0 },
  }),
];

function counted(
  name: string,
  { title, isQuick, load }: { title: string; isQuick: boolean; load: Omit<CountedLoad, 'forMs'> },
): OwnScenario {
  return {
    kind: 'own',
    name,
    title,
    isQuick,
    async run(path, context) {
      const counting = await startCounting(path, context, {
        idleMs: context.isQuick ? QUICK_IDLE_MS : IDLE_MS,
      });
      try {
        return [await counting.count({ ...load, forMs: context.isQuick ? QUICK_FOR_MS : FOR_MS })];
      } finally {
        await counting.stop();
      }
    },
  };
}
