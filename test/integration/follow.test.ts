import type { ClaimedJob, AttemptLog, ProducerStore, WorkerStore } from '@qarr/job-store';
import type { LoggedEvent, NewJob } from '@qarr/router-core';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';

const FOLLOWERS = 300;
const DELTAS = 1_500;
const KILL_EVERY_MS = 500;

describe('following', () => {
  it('gives the end alone, with its number, when the log has outlived its retention', async () => {
    const stores = createStores();
    const [producer, worker] = await Promise.all([stores.producer(), stores.worker()]);
    const job = newJob();
    await producer.submit(job, ANYWHERE);
    const { log } = await claim(worker, job);
    log.append({ text: 'a' });
    await complete(log);
    const whole = await readLog(stores, job);
    await stores.redis.del(`${stores.root}:{${job.id}}:log`);

    for (const after of [0, 2]) {
      const seen: string[] = [];
      const { signal } = new AbortController();
      for await (const events of producer.follow(job.id, { after, signal })) {
        seen.push(...events.map(line));
      }
      expect(seen).toEqual([whole.at(-1)]);
    }
  });

  it('gives every late and repeated follower the log, byte for byte, while pub/sub is killed twice a second', async () => {
    const stores = createStores();
    const [first, second, worker] = await Promise.all([
      stores.producer({ followTickMs: 1_000 }),
      stores.producer({ followTickMs: 1_000 }),
      stores.worker(),
    ]);
    const job = newJob();
    await first.submit(job, ANYWHERE);
    const { log } = await claim(worker, job);

    const done = new AbortController();
    const killer = killPubSub(stores, done.signal);
    const writer = write(log);
    const readers = Array.from({ length: FOLLOWERS }, async (_, index) => {
      await sleep(index * 10);
      return readWithInterruptions(index % 2 === 0 ? first : second, job, index);
    });
    const seen = await Promise.all(readers);
    await writer;
    done.abort();
    const kills = await killer;

    const log_ = await readLog(stores, job);
    expect(kills).toBeGreaterThan(4);
    expect(log_.at(-1)).toContain('completed');
    for (const events of seen) expect(events).toEqual(log_);
  });
});

async function claim(
  worker: WorkerStore,
  job: NewJob,
): Promise<{ job: ClaimedJob; log: AttemptLog }> {
  const claimed = await worker.claim(
    { jobId: job.id, epoch: 1, class: job.class },
    { worker: 'w1', token: 't1' },
  );
  if (claimed.kind !== 'run') throw new Error(`not claimed: ${claimed.kind}`);
  return { job: claimed.job, log: claimed.openLog(() => {}) };
}

async function write(log: AttemptLog): Promise<void> {
  for (let index = 0; index < DELTAS; index += 1) {
    log.append({ text: `token ${index} é漢🙂 ` });
    // Sometimes many tokens share a turn, sometimes the writer pauses.
    if (index % 7 === 0) await turn();
    if (index % 50 === 0) await sleep(100);
  }
  await complete(log);
}

async function complete(log: AttemptLog): Promise<void> {
  const outcome = await log.finish({
    event: {
      type: 'completed',
      finish_reason: 'stop',
      usage: null,
      timings: { queue_wait_ms: 1, ttft_ms: 2, run_ms: 3 },
    },
    result: { text: 'x', finish_reason: 'stop' },
  });
  expect(outcome).toBe('ok');
}

/** Follows to the end, leaving and coming back with the last number seen. */
async function readWithInterruptions(
  store: ProducerStore,
  job: NewJob,
  index: number,
): Promise<string[]> {
  const seen: string[] = [];
  for (let visit = 0; ; visit += 1) {
    const leaving = new AbortController();
    const limit = visit < index % 4 ? 20 + index : Number.POSITIVE_INFINITY;
    let taken = 0;
    for await (const events of store.follow(job.id, {
      after: seen.length,
      signal: leaving.signal,
    })) {
      for (const event of events) {
        expect(event.seq).toBe(seen.length + 1);
        seen.push(line(event));
        taken += 1;
        if (event.type === 'completed') return seen;
      }
      if (taken >= limit) break;
    }
  }
}

async function readLog(stores: Stores, job: NewJob): Promise<string[]> {
  const entries = await stores.redis.xrange(`${stores.root}:{${job.id}}:log`, '-', '+');
  return entries.map(([id, fields]) => `${id.slice(2)} ${fields[1]} ${fields[3]}`);
}

async function killPubSub({ redis }: Stores, signal: AbortSignal): Promise<number> {
  let kills = 0;
  while (!signal.aborted) {
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    kills += 1;
    await sleep(KILL_EVERY_MS);
  }
  return kills;
}

function line(event: LoggedEvent): string {
  return `${event.seq} ${event.type} ${event.json}`;
}
