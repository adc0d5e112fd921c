/** Workers as real processes that are killed, frozen and told to stop while they run jobs. */
import { describe, expect, it } from 'vitest';
import { checkLog, textOf } from '../harness/job-log.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerWorld } from '../harness/worker-world.ts';
import type { WorkerWorld } from '../harness/worker-world.ts';

/** Some seconds of text: long enough to be interrupted in the middle. */
const LONG = 150;
/** Tokens before an engine falls silent; the first event of a chat has none. */
const TOLD = 19;
const PATIENT = { timeoutMs: 60_000, everyMs: 20 };
const LIMIT_MS = 120_000;

/** A worker that runs jobs with some text published, and nobody else yet. */
async function interruptible({
  drainMs = '200',
  faults = [],
  jobs: count = 1,
}: { drainMs?: string; faults?: readonly object[]; jobs?: number } = {}) {
  const world = await startWorkerWorld();
  const worker = await world.startWorker({ QARR_DRAIN_MS: drainMs });
  for (const rule of faults) await world.engine.fault(rule);
  const jobs: string[] = [];
  for (let number = 1; number <= count; number += 1) {
    const job = await world.submit({ tokens: LONG });
    jobs.push(job);
    await world.sees(job, 'delta');
  }
  return { world, worker, jobs };
}

/** What the engine says when nobody interrupts it. */
async function undisturbed(world: WorkerWorld): Promise<string> {
  const job = await world.submit({ tokens: LONG });
  await world.sees(job, 'completed');
  return textOf(await world.events(job));
}

/** The other worker has the jobs to their end, and nobody sees that there were two. */
async function areCarriedOn(
  { world, jobs }: { world: WorkerWorld; jobs: readonly string[] },
  { by }: { by: string },
): Promise<void> {
  const text = await undisturbed(world);
  for (const job of jobs) {
    const { continued } = await world.sees(job, 'completed');
    const events = await world.events(job);
    checkLog(events, { isCarriedOn: true });
    const starts = events.flatMap((event) => (event.type === 'started' ? [event.worker] : []));
    expect(starts).toHaveLength(2);
    expect(starts[1]).toBe(by);
    expect(continued).toBe(1);
    expect(textOf(events)).toBe(text);
    expect((await world.record(job)).result?.text).toBe(text);
  }
}

const keyOf = (job: string) => `qarr:{${job}}:job`;

/** Tries that failed, and workers that died. */
function burnt({ stores }: WorkerWorld, job: string): Promise<(string | null)[]> {
  return stores.redis.hmget(keyOf(job), 'failures', 'deaths');
}

describe('a worker that is killed', () => {
  it(
    'leaves jobs that another one carries on, to the same text',
    { timeout: LIMIT_MS },
    async () => {
      const { world, worker, jobs } = await interruptible();
      worker.kill('SIGKILL');
      const other = await world.startWorker();
      await areCarriedOn({ world, jobs }, { by: other.id });
    },
  );
});

describe('a worker that is frozen for longer than its lock', () => {
  it(
    'writes nothing more and closes its requests, also where its engine is silent',
    { timeout: LIMIT_MS },
    async () => {
      // Nothing more comes for the first job. What comes for the second waits in the socket.
      const stall = { fault: 'stall', params: { after: 20, ms: 0 }, when: { nth: [1] }, times: 1 };
      const { world, worker, jobs } = await interruptible({ faults: [stall], jobs: 2 });
      worker.kill('SIGSTOP');
      const other = await world.startWorker();
      for (const job of jobs) await world.sees(job, 'started', ({ worker: by }) => by === other.id);
      worker.kill('SIGCONT');
      await waitUntil(
        'it has noticed',
        () => worker.logs.filter(({ msg }) => msg === 'attempt superseded').length === 2,
        PATIENT,
      );
      await areCarriedOn({ world, jobs }, { by: other.id });
      await waitUntil('no request is left', async () => (await world.engine.open()) === 0);
    },
  );
});

describe('a job whose engine is silent', () => {
  it(
    'is ended when it is cancelled or deleted, though no message came',
    async () => {
      // Its worker's own patience with engines is longer than this test's.
      const world = await startWorkerWorld();
      await world.startWorker();
      await world.engine.fault({ fault: 'stall', params: { after: TOLD + 1, ms: 0 } });
      const cancelled = await world.submit({ tokens: LONG });
      const deleted = await world.submit({ tokens: LONG });
      const { redis } = world.stores;
      for (const job of [cancelled, deleted]) {
        await waitUntil(
          'it is silent',
          async () => (await redis.hget(keyOf(job), 'tokens_made')) === String(TOLD),
          PATIENT,
        );
      }
      expect(await world.engine.open()).toBe(2);
      await redis.hset(keyOf(cancelled), 'cancel', '1');
      await redis.del(keyOf(deleted), `qarr:{${deleted}}:log`);
      await waitUntil('the engine is free', async () => (await world.engine.open()) === 0);
      const { ran, tokens } = await world.sees(cancelled, 'cancelled');
      expect({ ran, tokens }).toEqual({ ran: true, tokens: TOLD });
      expect((await world.events(cancelled)).at(-1)?.type).toBe('cancelled');
      expect(await redis.exists(keyOf(deleted), `qarr:{${deleted}}:log`)).toBe(0);
    },
    LIMIT_MS,
  );
});

describe('a worker that is told to stop', () => {
  it('hands its jobs back with the text so far', { timeout: LIMIT_MS }, async () => {
    const { world, worker, jobs } = await interruptible({ jobs: 2 });
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
    const other = await world.startWorker();
    await areCarriedOn({ world, jobs }, { by: other.id });
    for (const job of jobs) expect(await burnt(world, job)).toEqual(['0', '0']);
  });

  it('burns no try of jobs whose claim is under way', { timeout: LIMIT_MS }, async () => {
    const world = await startWorkerWorld();
    const first = await world.startWorker({ QARR_DRAIN_MS: '0' });
    await waitUntil('it pulls', async () => (await world.store.status('fast')).workers.length > 0);
    const submitted = Array.from({ length: 12 }, () => world.submit({ tokens: 3 }));
    await submitted[0];
    first.kill('SIGTERM');
    const jobs = await Promise.all(submitted);
    expect(await first.exited).toBe(0);
    await world.startWorker();
    for (const job of jobs) {
      await world.sees(job, 'completed');
      checkLog(await world.events(job), { isCarriedOn: true });
      expect(await burnt(world, job)).toEqual(['0', '0']);
    }
  });

  it('ends at once when it is told twice', { timeout: LIMIT_MS }, async () => {
    const { worker } = await interruptible({ drainMs: '60000' });
    worker.kill('SIGTERM');
    await waitUntil('it drains', () => worker.logs.find(({ msg }) => msg === 'draining'));
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(1);
  });
});
