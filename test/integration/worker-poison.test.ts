/** A job that kills its worker, among jobs that do not. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobRecord } from '@qarr/router-core';
import { expect, it, onTestFinished } from 'vitest';
import { checkLog } from '../harness/job-log.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerWorld } from '../harness/worker-world.ts';
import type { WorkerWorld } from '../harness/worker-world.ts';
import type { WorkerProcess } from '../harness/worker-process.ts';

/** A good job every so often, so that there is always one that could be hurt. */
const EVERY_MS = 150;
/** Some of them have neighbours' deaths behind them and run alone, one after another. */
const PATIENT = { timeoutMs: 150_000, everyMs: 50 };

it(
  'ends three workers and no more, the third alone, and its neighbours are completed',
  { timeout: 180_000 },
  async () => {
    const world = await startWorkerWorld('--time-scale=0.5');
    const supervised = await supervise(world);
    const neighbours = keepBusy(world);
    await waitUntil('all are busy', () => neighbours.jobs.length >= 10);
    const poison = await world.submit({ tokens: 2_000 });

    const beside: number[] = [];
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const { worker } = await world.sees(poison, 'started', (event) => event.attempt === attempt);
      // Not before it has some; the third time nobody will come.
      if (attempt < 3) await waitUntil('it has neighbours', () => supervised.beside(worker));
      beside.push(await supervised.kill(worker));
    }
    const good = await neighbours.stop();
    await waitUntil(
      'all are over',
      async () => (await records(world, [poison, ...good])).every(isOver),
      PATIENT,
    );
    const [poisoned, ...others] = await records(world, [poison, ...good]);
    expect(poisoned).toMatchObject({ state: 'failed', attempt: 3, error: { code: 'poison' } });
    expect(new Set(others.map(({ state }) => state))).toEqual(new Set(['completed']));
    // It had neighbours, but for the last time.
    expect(beside.map((count) => count > 0)).toEqual([true, true, false]);
    for (const job of good) checkLog(await world.events(job), { isCarriedOn: true });
  },
);

/** Submits jobs until it is stopped. */
function keepBusy(world: WorkerWorld): { jobs: readonly string[]; stop(): Promise<string[]> } {
  const jobs: string[] = [];
  const stopping = new AbortController();
  const { signal } = stopping;
  const submitting = (async () => {
    while (!signal.aborted) {
      jobs.push(await world.submit({ tokens: 100 }));
      await sleep(EVERY_MS, null, { signal }).catch(() => {});
    }
  })();
  async function stop(): Promise<string[]> {
    stopping.abort();
    await submitting;
    return jobs;
  }
  onTestFinished(async () => void (await stop()));
  return { jobs, stop };
}

/**
 * Two workers; whoever is killed is started again. `kill` tells how many other jobs it ran, `beside`
 * how many it runs.
 */
async function supervise(world: WorkerWorld) {
  const workers: WorkerProcess[] = [];
  let isOn = true;
  onTestFinished(() => {
    isOn = false;
  });
  async function start(): Promise<void> {
    const worker = await world.startWorker({ QARR_CONCURRENCY: '16' });
    workers.push(worker);
    void worker.exited.then(() => (isOn ? start() : undefined));
  }
  await Promise.all([start(), start()]);
  async function beside(id: string): Promise<number> {
    const running = await world.stores.redis.keys('qarr:{*}:job');
    const states = await Promise.all(
      running.map((key) => world.stores.redis.hmget(key, 'state', 'worker')),
    );
    return states.filter(([state, by]) => state === 'running' && by === id).length - 1;
  }
  return {
    beside,
    async kill(id: string): Promise<number> {
      const worker = workers.find((each) => each.id === id);
      if (worker === undefined) throw new Error(`No ${id}`);
      worker.kill('SIGKILL');
      await worker.exited;
      return beside(id);
    },
  };
}

function records(world: WorkerWorld, jobs: readonly string[]): Promise<JobRecord[]> {
  return Promise.all(jobs.map((job) => world.record(job)));
}

function isOver({ state }: JobRecord): boolean {
  return state !== 'queued' && state !== 'running';
}
