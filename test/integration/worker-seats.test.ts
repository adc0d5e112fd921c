/** Two queues and one engine: who gets a worker's slots. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobClass, JobRecord, TierLoad } from '@qarr/router-core';
import { expect, it, onTestFinished } from 'vitest';
import { waitUntil } from '../harness/wait-until.ts';
import type { WorkerProcess } from '../harness/worker-process.ts';
import { startWorkerWorld } from '../harness/worker-world.ts';
import type { WorkerWorld } from '../harness/worker-world.ts';

const SLOTS = 10;
/** A fifth stays free. */
const BATCH_SLOTS = 8;
/** A third of a second, and several of them. */
const [SHORT, LONG] = [30, 120];
/** Of the foreground: enough that some always wait, too few for an alert. */
const [WAITING_MIN, WAITING_MORE] = [6, 6];
/** More than fifteen that wait. */
const ALERTING = 50;
const LOOK_MS = 20;
/** What is on its way when somebody begins to wait is not sent back. */
const UNDER_WAY_MS = 100;

it(
  'fills all but a headroom with batches, and keeps a seat for them while foreground waits',
  { timeout: 120_000 },
  async () => {
    const world = await start();
    const { submit, load, records, worker } = world;
    const batches = await submit('batch', 80, SHORT);
    await waitUntil('batches go on with all that they may have', async () => {
      return world.most() >= BATCH_SLOTS && startedOf(await records(batches)).length >= 32;
    });
    expect(world.most()).toBe(BATCH_SLOTS);

    const first = await submit('interactive', 2, LONG);
    await world.areStarted(first);
    const standard = await submit('standard', 3, SHORT);
    const interactive: string[] = [];
    await waitUntil('batches go on though foreground waits', async () => {
      const { waiting } = await load();
      if (waiting.interactive.jobs < WAITING_MIN) {
        interactive.push(...(await submit('interactive', WAITING_MORE, SHORT)));
      }
      return besides(await records(batches), await records(interactive)).length >= 3;
    });
    await world.areStarted([...interactive, ...standard]);
    const lastStandard = Math.max(...startsOf(await records(standard)));
    expect(startsOf(await records(interactive)).some((at) => at < lastStandard)).toBe(true);
    const ran = await records(batches);
    const beside = besides(ran, await records([...first, ...interactive, ...standard]));
    expect(beside.map(({ startedAt }) => runningAt(ran, startedAt ?? 0))).toEqual(
      beside.map(() => 1),
    );

    await submit('standard', ALERTING, SHORT);
    await waitUntil('batches have no seat', async () => (await batchSlotsOf(worker)) === 0);
    const later = await submit('batch', 3, SHORT);
    let looks = 0;
    for (;;) {
      const started = startedOf(await records(later));
      // Nothing is known of what was read as the alert was cleared.
      if (!(await load()).isAlerting) break;
      expect(started).toEqual([]);
      looks += 1;
      await sleep(LOOK_MS);
    }
    expect(looks).toBeGreaterThan(0);
    await world.areStarted(later);
    expect(world.most()).toBe(SLOTS);
  },
);

it(
  'hands back what it runs of both queues, for another to carry on',
  { timeout: 120_000 },
  async () => {
    const { submit, records, areStarted, engine, worker, startWorker } = await start();
    const jobs = [...(await submit('batch', 1, LONG)), ...(await submit('interactive', 1, LONG))];
    await areStarted(jobs);
    // So that they do not end before.
    engine.kill('SIGSTOP');
    await worker.stop();
    engine.kill('SIGCONT');
    expect(await records(jobs)).toMatchObject([{ state: 'queued' }, { state: 'queued' }]);
    await startWorker();
    await waitUntil('both are completed', async () =>
      (await records(jobs)).every(({ state }) => state === 'completed'),
    );
  },
);

async function start() {
  const world = await startWorkerWorld();
  const startWorker = () => world.startWorker({ QARR_CONCURRENCY: String(SLOTS) });
  const worker = await startWorker();
  const records = (jobs: readonly string[]) => Promise.all(jobs.map(world.record));
  return {
    ...world,
    worker,
    startWorker,
    records,
    most: watchEngine(world),
    load: async (): Promise<TierLoad> => (await world.store.status('fast')).load,
    submit: (jobClass: JobClass, count: number, tokens: number) =>
      Promise.all(Array.from({ length: count }, () => world.submit({ class: jobClass, tokens }))),
    areStarted: (jobs: readonly string[]) =>
      waitUntil('they have started', async () =>
        (await records(jobs)).every(({ state }) => state !== 'queued'),
      ),
  };
}

/** Those batches that were started while foreground waited. */
function besides(batches: readonly JobRecord[], foreground: readonly JobRecord[]): JobRecord[] {
  return batches.filter(({ startedAt }) =>
    foreground.some(
      (job) =>
        startedAt !== null &&
        job.createdAt + UNDER_WAY_MS < startedAt &&
        startedAt < (job.startedAt ?? Infinity),
    ),
  );
}

function runningAt(jobs: readonly JobRecord[], at: number): number {
  return jobs.filter(
    ({ startedAt, finishedAt }) =>
      startedAt !== null && startedAt <= at && at < (finishedAt ?? Infinity),
  ).length;
}

function startedOf(jobs: readonly JobRecord[]): string[] {
  return jobs.filter(({ startedAt }) => startedAt !== null).map(({ id }) => id);
}

async function batchSlotsOf({ opsUrl }: WorkerProcess): Promise<number> {
  const page = await (await fetch(`${opsUrl}/metrics`)).text();
  return Number(/^qarr_worker_batch_slots\{.*\} (\d+)$/m.exec(page)?.[1]);
}

function startsOf(jobs: readonly JobRecord[]): number[] {
  return jobs.map(({ startedAt }) => startedAt ?? Infinity);
}

/** Returns what tells the most requests that the engine has had at once. */
function watchEngine({ engine }: WorkerWorld): () => number {
  let most = 0;
  const stopping = new AbortController();
  const { signal } = stopping;
  const watching = (async () => {
    while (!signal.aborted) {
      most = Math.max(most, await engine.open());
      await sleep(LOOK_MS);
    }
  })();
  onTestFinished(async () => {
    stopping.abort();
    await watching;
  });
  return () => most;
}
