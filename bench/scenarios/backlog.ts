/**
 * What a job costs while so many wait: to submit it while no worker runs, and altogether while workers run and
 * each job that has ended is followed by another, so that as many wait all the time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuBetween, readCpu } from '../measure/proc.ts';
import type { CpuReading } from '../measure/proc.ts';
import type { PathProcess } from '../paths/path.ts';
import type { Figures } from '../report/figures.ts';
import { startQarrAlone } from '../world.ts';
import type { LiveQarr } from '../world.ts';
import { several } from './several.ts';
import { WrongAnswers } from './scenario.ts';
import type { OwnContext, OwnScenario } from './scenario.ts';
import { createSubmitter } from './submit-job.ts';
import type { Submitter } from './submit-job.ts';

/** To be measured while nothing runs. */
const SUBMITTED = 1_500;
/** Before anything is measured: the first use of everything is dear. */
const WARM_UP = 1_000;
const RUN_MS = 3_000;
const RUN_WARM_UP_MS = 2_000;
const LOOK_MS = 100;
const ENV = { QARR_QUEUE_DEPTH_MAX: '1000000' };
const NS_PER_US = 1_000;

export const BACKLOGS: readonly OwnScenario[] = [10, 1_000, 100_000].map((waiting) => ({
  kind: 'own',
  name: `backlog-${waiting}`,
  title: `one-token jobs while ${waiting.toLocaleString('en')} wait`,
  series: { of: 'backlog', x: waiting },
  isQuick: false,
  async run(path, context) {
    const options = { ...context, shape: { apis: 1, workers: 0 }, env: ENV };
    const { qarr, upstream, stop } = await startQarrAlone(path, options);
    const submitter = createSubmitter(qarr, upstream);
    try {
      await upstream.set({ stepMs: 0 });
      return [await measure({ qarr, submitter, waiting, context })];
    } finally {
      await submitter.stop();
      await stop();
    }
  },
}));

async function measure({
  qarr,
  submitter,
  waiting,
  context: { gate, signal },
}: {
  qarr: LiveQarr;
  submitter: Submitter;
  waiting: number;
  context: OwnContext;
}): Promise<Figures> {
  const submit = async (times: number) =>
    several(times, {
      atOnce: submitter.connections,
      make: async () => {
        signal.throwIfAborted();
        await submitter.submit();
      },
    });
  // With few that shall wait, these are more: a backlog of none and of these cost the same to add to.
  await submit(Math.max(WARM_UP, waiting));
  await gate.untilQuiet(signal);
  const cpuPerSubmit = await costs(qarr.processes, async () => {
    await submit(SUBMITTED);
    return SUBMITTED;
  });
  const worker = await qarr.running.startWorker();
  const processes = [...qarr.processes, worker];
  const loop = keepWaiting({ submitter, waiting, opsUrl: worker.opsUrl, signal });
  try {
    await loop.settled;
    await sleep(RUN_WARM_UP_MS, undefined, { signal });
    const cpuPerJob = await costs(processes, async () => {
      const before = loop.ended();
      await sleep(RUN_MS, undefined, { signal });
      return loop.ended() - before;
    });
    return { cpuPerSubmit, cpuPerJob };
  } finally {
    await loop.stop();
  }
}

/** CPU of these processes for each of the things that were done, in us. */
async function costs(
  processes: readonly PathProcess[],
  action: () => Promise<number>,
): Promise<number> {
  const read = () => Promise.all(processes.map(({ pid }) => readCpu(pid)));
  const before = await read();
  const done = await action();
  const after = await read();
  if (done <= 0) throw new WrongAnswers('No job has ended while it was looked at');
  const used = (at: number) => cpuBetween(before[at] as CpuReading, after[at] as CpuReading);
  return processes.reduce((total, _, at) => total + used(at), 0) / done / NS_PER_US;
}

/** From when a worker has brought the backlog down to so many, each job that ends is followed by another. */
function keepWaiting({
  submitter,
  waiting,
  opsUrl,
  signal,
}: {
  submitter: Submitter;
  waiting: number;
  opsUrl: string;
  signal: AbortSignal;
}) {
  const over = new AbortController();
  const settled = Promise.withResolvers<void>();
  let ended = 0;
  let owed = 0;
  const looking = (async () => {
    const before = await jobsEndedBy(opsUrl);
    let surplus = Math.max(WARM_UP, waiting) + SUBMITTED - waiting;
    while (!over.signal.aborted) {
      const now = (await jobsEndedBy(opsUrl)) - before;
      const more = now - ended;
      ended = now;
      const spare = Math.min(surplus, more);
      surplus -= spare;
      owed += more - spare;
      if (surplus === 0) settled.resolve();
      await sleep(LOOK_MS, undefined, { signal });
    }
  })();
  const lanes = Array.from({ length: submitter.connections }, async () => {
    while (!over.signal.aborted) {
      if (owed <= 0) {
        await sleep(LOOK_MS / 10, undefined, { signal });
        continue;
      }
      owed -= 1;
      await submitter.submit();
    }
  });
  const all = Promise.all([looking, ...lanes]);
  all.catch(settled.reject);
  return {
    settled: settled.promise,
    ended: () => ended,
    async stop() {
      over.abort();
      await all;
    },
  };
}

async function jobsEndedBy(opsUrl: string): Promise<number> {
  const page = await (await fetch(`${opsUrl}/metrics`)).text();
  const counts = [...page.matchAll(/^qarr_jobs_total\{([^}]*)\} (\S+)$/gm)];
  const failed = counts.find(
    ([, labels = '', count]) => labels.includes('outcome="failed"') && Number(count) > 0,
  );
  if (failed !== undefined) throw new WrongAnswers('A job of the backlog has failed');
  return counts.reduce((sum, [, , count]) => sum + Number(count), 0);
}
