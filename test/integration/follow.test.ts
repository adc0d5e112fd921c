import type { ClaimedJob, AttemptLog, ProducerStore, WorkerStore } from '@qarr/job-store';
import type { LoggedEvent, NewJob } from '@qarr/router-core';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const FOLLOWERS = 300;
const DELTAS = 1_500;
const KILL_EVERY_MS = 500;
const COMPLETED = {
  event: {
    type: 'completed',
    finish_reason: 'stop',
    usage: null,
    timings: { queue_wait_ms: 1, ttft_ms: 2, run_ms: 3 },
  },
  result: { text: 'x', finish_reason: 'stop' },
} as const;

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

describe('a log that has lost its newest events, as in a failover', () => {
  it('gets them again from their attempt, and gives its reader each once', async () => {
    const { stores, job, log, seen, reading } = await startReading();
    await forget(stores, job, 2);
    await killPubSubOnce(stores);
    log.append({ text: 'e' });
    await complete(log);
    await reading;
    expect(seen.map(textOf).join('')).toBe('abcde');
    expect(seen.map(line)).toEqual(await readLog(stores, job));
  });

  it('waits for them where nothing comes yet', async () => {
    const { stores, job, log, seen, reading } = await startReading();
    const before = seen.length;
    await forget(stores, job, 1);
    await killPubSubOnce(stores);
    for (let looks = 0; looks < 2; looks += 1) {
      await waitUntil('its reader looks for them', async () => isFollowed(stores, job));
      await stores.redis.hset(`${stores.root}:{${job.id}}:job`, 'followers', '');
    }
    expect(seen).toHaveLength(before);
    await complete(log);
    await reading;
    expect(seen.map(line)).toEqual(await readLog(stores, job));
  });

  it('breaks the stream of a reader who has seen what another attempt says otherwise', async () => {
    const { stores, job, worker, reading } = await startReading();
    // The claim is lost, too, and made once more: under the same number.
    await forget(stores, job, 5);
    await loseClaim(stores, job);
    const { log } = await claim(worker, job, 't2');
    for (const text of ['A', 'B', 'C', 'D', 'E']) await say(stores, { job, log, text });
    await killPubSubOnce(stores);
    await expect(reading).rejects.toMatchObject({ code: 'queue_unavailable' });
  });

  it('breaks it also where only live messages tell: those of a cluster may go on all the time', async () => {
    const { stores, job, worker, seen, reading } = await startReading({ followTickMs: 60_000 });
    const followers = (await stores.redis.hget(recordOf(stores, job), 'followers')) ?? '';
    await forget(stores, job, 5);
    await loseClaim(stores, job);
    await stores.redis.hset(recordOf(stores, job), { followers });
    const { log } = await claim(worker, job, 't2');
    for (const text of ['A', 'B', 'C', 'D', 'E']) await say(stores, { job, log, text });
    await expect(reading).rejects.toMatchObject({ code: 'queue_unavailable' });
    expect(seen.map(textOf).join('')).toBe('abcd');
  });

  // Just before what was seen, or long before.
  it.each([1, 4])('breaks it where the job has ended %i before what was seen', async (before) => {
    const { stores, job, producer, reading } = await startReading();
    await forget(stores, job, before + 1);
    await loseClaim(stores, job);
    await producer.cancel(job.id);
    await killPubSubOnce(stores);
    await expect(reading).rejects.toMatchObject({ code: 'queue_unavailable' });
  });

  it('takes nothing of the attempt whose claim was lost', async () => {
    const { stores, job, worker, log } = await startReading();
    await forget(stores, job, 5);
    await loseClaim(stores, job);
    const second = await claim(worker, job, 't2');
    // As many as the other has written: its next number is free.
    for (const text of ['A', 'B', 'C', 'D']) await say(stores, { job, log: second.log, text });
    expect(await log.requeue({ burns: 'nothing' })).toBe('superseded');
    expect(await log.finish(COMPLETED)).toBe('superseded');
    log.append({ text: 'e' });
    expect(await log.requeue({ burns: 'nothing' })).toBe('superseded');
    await complete(second.log);
    const texts = (await readLog(stores, job)).filter((text) => text.includes('"delta"'));
    expect(texts).toHaveLength(4);
  });
});

/** A job of which four pieces of text were written and read. */
async function startReading({ followTickMs = 300 } = {}) {
  const stores = createStores();
  const [producer, worker] = await Promise.all([
    stores.producer({ followTickMs }),
    stores.worker(),
  ]);
  const job = newJob();
  await producer.submit(job, ANYWHERE);
  const { log } = await claim(worker, job);
  const seen: LoggedEvent[] = [];
  async function read(): Promise<void> {
    const { signal } = new AbortController();
    for await (const events of producer.follow(job.id, { after: 0, signal })) seen.push(...events);
  }
  const reading = read();
  reading.catch(() => {});
  for (const text of ['a', 'b', 'c', 'd']) await say(stores, { job, log, text });
  await waitUntil('it is read', () => seen.map(textOf).join('') === 'abcd');
  return { stores, job, producer, worker, log, seen, reading };
}

/** Adds text as an event of its own. */
async function say(
  stores: Stores,
  { job, log, text }: { job: NewJob; log: AttemptLog; text: string },
): Promise<void> {
  const seq = () => stores.redis.hget(`${stores.root}:{${job.id}}:job`, 'seq');
  const before = await seq();
  log.append({ text });
  await waitUntil('it is written', async () => (await seq()) !== before);
}

/** Takes the log and its record back by so many events. */
async function forget({ redis, root }: Stores, job: NewJob, count: number): Promise<void> {
  const [record, log] = [`${root}:{${job.id}}:job`, `${root}:{${job.id}}:log`];
  const entries = await redis.xrange(log, '-', '+');
  const kept = entries.slice(0, -count);
  await redis
    .multi()
    .del(log)
    .hset(record, 'seq', kept.length)
    // Whoever follows is written in the record, too, and was not then.
    .hset(record, 'followers', '')
    .exec();
  for (const [id, fields] of kept) await redis.xadd(log, id, ...fields);
}

/** As if nobody had begun it; who has does not know. */
async function loseClaim(stores: Stores, job: NewJob): Promise<void> {
  const record = recordOf(stores, job);
  await stores.redis.hset(record, { state: 'queued', attempt: 0, streamed: 0 });
  await stores.redis.hdel(record, 'claim');
}

function recordOf({ root }: Stores, job: NewJob): string {
  return `${root}:{${job.id}}:job`;
}

async function killPubSubOnce({ redis }: Stores): Promise<void> {
  await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
}

async function isFollowed({ redis, root }: Stores, job: NewJob): Promise<boolean> {
  return Boolean(await redis.hget(`${root}:{${job.id}}:job`, 'followers'));
}

function textOf({ json }: LoggedEvent): string {
  return (JSON.parse(json) as { text?: string }).text ?? '';
}

async function claim(
  worker: WorkerStore,
  job: NewJob,
  token = 't1',
): Promise<{ job: ClaimedJob; log: AttemptLog }> {
  const claimed = await worker.claim(
    { jobId: job.id, epoch: 1, class: job.class },
    { worker: 'w1', token },
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
  expect(await log.finish(COMPLETED)).toBe('ok');
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
