/** One idempotency key makes one job, wherever whoever submits it dies or is cut off. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { ProducerStore, Submission } from '@qarr/job-store';
import type { NewJob } from '@qarr/router-core';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { createOwnRedis } from '../harness/own-redis.ts';
import { ANYWHERE, createStores, entriesOf, newJob } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { startTcpProxy } from '../harness/tcp-proxy.ts';
import { waitUntil } from '../harness/wait-until.ts';

const COMPLETED = {
  event: {
    type: 'completed',
    finish_reason: 'stop',
    usage: null,
    timings: { queue_wait_ms: 1, ttft_ms: 2, run_ms: 3 },
  },
  result: { text: 'Hello', finish_reason: 'stop' },
} as const;
/** Each breaks a little later than the one before, up to about all that the submissions send. */
const ROUNDS = 16;
const BYTES_PER_ROUND = 4_000;
const KEYS = 20;
/** About one in ten would lose both entries. */
const RACES = 200;
const LONG_AGO_MS = 11_000;
const REUSED = { kind: 'refused', code: 'idempotency_key_reused' };
const GONE = { kind: 'refused', code: 'idempotent_job_gone' };

function keyed(fields: Partial<NewJob> = {}, key = 'a key', bodyHash = 'body'): NewJob {
  return newJob({ idempotency: { key, bodyHash }, ...fields });
}

function idemName({ root }: Stores, key = 'a key'): string {
  return `${root}:idem:anonymous:${key}`;
}

async function jobIds({ redis, root }: Stores): Promise<string[]> {
  const names = await redis.keys(`${root}:*:job`);
  return names.map((name) => /\{(job_\w+)\}/.exec(name)?.[1] ?? '');
}

/** What is undone to get to the state after a crash, from the last write to the first. */
const WRITES = {
  mark: ({ stores }: { stores: Stores; id: string }) =>
    stores.redis.hset(idemName(stores), 'written', '0'),
  entry: async ({ stores: { redis, root }, id }: { stores: Stores; id: string }) => {
    await redis.del(`{${root}:fast}:${id}`);
    await redis.zrem(`{${root}:fast}:prioritized`, id);
  },
  record: ({ stores: { redis, root }, id }: { stores: Stores; id: string }) =>
    redis.del(`${root}:{${id}}:job`, `${root}:{${id}}:log`),
  indexes: async ({ stores: { redis, root }, id }: { stores: Stores; id: string }) => {
    await redis.zrem(`${root}:open`, id);
    await redis.zrem(`${root}:deadlines`, id);
  },
} as const;

it('lets a key make its job again that was never confirmed, and is lost', async () => {
  const stores = createStores();
  const job = keyed();
  // Nobody replicates here.
  const strict = await stores.producer({ replicasMin: 1 });
  const refused = { code: 'not_replicated' };
  await expect(strict.submit(job, ANYWHERE)).rejects.toMatchObject(refused);
  // It is there, but no more certain than before.
  const key = { key: 'a key', bodyHash: 'body' };
  await expect(strict.findByKey('anonymous', key)).rejects.toMatchObject(refused);
  await WRITES.record({ stores, id: job.id });
  const store = await stores.producer();
  expect(await store.findByKey('anonymous', key)).toBeNull();
  expect(await store.submit(keyed(), ANYWHERE)).toMatchObject({ kind: 'created', jobId: job.id });
});

it('keeps a job in the indexes that a sweep forgets at the moment in which it is written', async () => {
  const stores = createStores();
  const { redis, root } = stores;
  const [store, sweeper] = await Promise.all([stores.producer(), stores.producer()]);
  for (let round = 0; round < RACES; round += 1) {
    // A first try died long ago, before the record.
    const job = keyed({}, `key ${round}`);
    await redis.hset(
      idemName(stores, `key ${round}`),
      'job',
      job.id,
      'body',
      'body',
      'written',
      '0',
    );
    await redis.zadd(`${root}:open`, Date.now() - LONG_AGO_MS, job.id);
    await redis.zadd(`${root}:deadlines`, Date.now() - 1, job.id);
    const later = sleep(round % 5).then(() => store.submit(job, ANYWHERE));
    await Promise.all([later, sweeper.sweep()]);
    expect(await redis.zscore(`${root}:open`, job.id)).not.toBeNull();
    expect(await redis.zscore(`${root}:deadlines`, job.id)).not.toBeNull();
  }
});

describe('a submission with a key that died', () => {
  it.each([
    ['marking the key', ['mark']],
    ['the queue entry', ['mark', 'entry']],
    ['the record', ['mark', 'entry', 'record']],
    ['the indexes', ['mark', 'entry', 'record', 'indexes']],
  ] as const)('before %s is finished by the next one, under the same id', async (_name, undone) => {
    const stores = createStores();
    const [first, second, worker] = await Promise.all([
      stores.producer(),
      stores.producer(),
      stores.worker(),
    ]);
    const job = keyed();
    expect(await first.submit(job, ANYWHERE)).toMatchObject({ kind: 'created', jobId: job.id });
    for (const write of undone) await WRITES[write]({ stores, id: job.id });

    const again = await second.submit(keyed(), ANYWHERE);
    expect(idOf(again)).toBe(job.id);
    expect(await jobIds(stores)).toEqual([job.id]);
    expect(await stores.redis.hget(idemName(stores), 'written')).toBe('1');
    expect(await stores.redis.zrange(`${stores.root}:open`, '0', '-1')).toEqual([job.id]);
    expect((await second.status('fast')).depth).toBe(1);
    const delivered: string[] = [];
    worker.consume({
      queue: 'foreground',
      concurrency: 1,
      paused: false,
      async deliver(entry, { token }) {
        const claim = await worker.claim(entry, { worker: 'w', token });
        if (claim.kind === 'run') await claim.openLog(() => {}).finish(COMPLETED);
        delivered.push(entry.jobId);
        return { kind: 'done' };
      },
    });
    await waitUntil('it has run', () => delivered.length > 0);
    expect(await second.get(job.id)).toMatchObject({ state: 'completed', attempt: 1 });
  });

  it('is found by its key, with the queue entry that it lacks', async () => {
    const stores = createStores();
    const store = await stores.producer();
    const job = keyed();
    await store.submit(job, ANYWHERE);
    for (const write of ['mark', 'entry'] as const) await WRITES[write]({ stores, id: job.id });
    expect(await entriesOf(stores, 'fast')).toBe(0);
    expect(await store.findByKey('anonymous', { key: 'a key', bodyHash: 'body' })).toMatchObject({
      kind: 'attached',
      record: { id: job.id },
    });
    expect(await entriesOf(stores, 'fast')).toBe(1);
    expect(await stores.redis.hget(idemName(stores), 'written')).toBe('1');
  });
});

describe('a key', () => {
  it('is refused with another body, and stands for its time', async () => {
    const stores = createStores();
    const store = await stores.producer({ idempotencyTtlMs: 5_000 });
    await store.submit(keyed(), ANYWHERE);
    const other = { key: 'a key', bodyHash: 'other' };
    expect(await store.findByKey('anonymous', other)).toEqual(REUSED);
    expect(await store.submit(newJob({ idempotency: other }), ANYWHERE)).toEqual(REUSED);
    expect(await jobIds(stores)).toHaveLength(1);
    const leftMs = await stores.redis.pttl(idemName(stores));
    expect(leftMs).toBeGreaterThan(0);
    expect(leftMs).toBeLessThanOrEqual(5_000);
    // Somebody else's is another one.
    expect(await store.findByKey('somebody', other)).toBeNull();
  });

  it('never makes a second job of one that ran and is gone, though its writer died', async () => {
    const stores = createStores();
    const [store, worker] = await Promise.all([stores.producer(), stores.worker()]);
    const job = keyed();
    await store.submit(job, ANYWHERE);
    await WRITES.mark({ stores, id: job.id });
    const entry = { jobId: job.id, epoch: 1, class: job.class };
    const claim = await worker.claim(entry, { worker: 'w', token: 't' });
    if (claim.kind !== 'run') throw new Error('dropped');
    await claim.openLog(() => {}).finish(COMPLETED);
    await waitUntil(
      'the worker has closed it',
      async () => (await stores.redis.zcard(`${stores.root}:open`)) === 0,
    );
    await WRITES.record({ stores, id: job.id });
    expect(await store.submit(keyed(), ANYWHERE)).toEqual(GONE);
    expect(await store.findByKey('anonymous', { key: 'a key', bodyHash: 'body' })).toEqual(GONE);
    expect(await jobIds(stores)).toEqual([]);
  });
});

it('writes no job over one that is being removed', async () => {
  const stores = createStores();
  const store = await stores.producer();
  const job = newJob();
  await stores.redis.hset(`${stores.root}:{${job.id}}:job`, 'deleted', 'completed');
  expect(await store.submit(job, ANYWHERE)).toEqual(GONE);
  expect(await store.get(job.id)).toBeNull();
});

it('writes nothing after the time in which its client has been answered', async () => {
  const redis = await createOwnRedis();
  const stores = createStores({ redisUrl: redis.url });
  const store = await stores.producer({ createWithinMs: 50 });
  // Of the next one, its write is the first command.
  const first = newJob();
  await store.submit(first, ANYWHERE);
  redis.freeze();
  const quota = { keyId: 'k', concurrency: 9, tokensPerDay: 999, tokens: 5, promptTokens: 2 };
  const late = store.submit(newJob({ isBound: true, quota }), ANYWHERE);
  await sleep(100);
  redis.thaw();
  await expect(late).rejects.toMatchObject({ code: 'queue_unavailable' });
  expect(await jobIds(stores)).toEqual([first.id]);
  const { root } = stores;
  expect(await stores.redis.zrange(`${root}:open`, '0', '-1')).toEqual([first.id]);
  expect(await stores.redis.hkeys(`{${root}:fast}:ledger`)).toEqual([first.id]);
  expect(await stores.redis.keys(`${root}:{k}:*`)).toEqual([]);
  expect(await stores.redis.keys(`${root}:bound:*`)).toEqual([]);
});

it('is told of once when it is there, also where no replica confirms it', async () => {
  const stores = createStores();
  const made: string[] = [];
  const placement = { ...ANYWHERE, onCreated: (jobId: string) => void made.push(jobId) };
  // Nobody replicates this Redis.
  const strict = await stores.producer({ replicasMin: 1 });
  const job = keyed();
  await expect(strict.submit(job, placement)).rejects.toMatchObject({ code: 'not_replicated' });
  expect(made).toEqual([job.id]);

  const store = await stores.producer();
  expect(await store.submit(keyed(), placement)).toMatchObject({ kind: 'attached' });
  expect(await store.submit(newJob({ id: job.id }), placement)).toMatchObject({ kind: 'attached' });
  expect(made).toEqual([job.id]);

  const answered = newJob();
  const answer = { result: COMPLETED.result, usage: null };
  await store.submitAnswered(answered, answer, placement.onCreated);
  await store.submitAnswered(answered, answer, placement.onCreated);
  expect(made).toEqual([job.id, answered.id]);
});

it('makes one job per key, however the connections of those who submit break', async () => {
  const redisUrl = new URL(inject('redisUrl'));
  const stores = createStores();
  const proxy = await startTcpProxy({ targetPort: Number(redisUrl.port) });
  onTestFinished(() => proxy.stop());
  const sound = await stores.producer();
  redisUrl.port = String(proxy.port);
  const shaky = await stores.producer({ redisUrl: redisUrl.href });
  const ids: string[] = [];
  let unanswered = 0;
  let recovered = 0;

  for (let round = 0; round < ROUNDS; round += 1) {
    const names = Array.from({ length: KEYS }, (_, index) => `key ${round}-${index}`);
    await waitUntil('it is connected', () =>
      shaky.ping().then(
        () => true,
        () => false,
      ),
    );
    const bytesMax = proxy.counts.bytesUp + round * BYTES_PER_ROUND;
    const submitting = Promise.all(names.map((name) => submitted(shaky, name)));
    const over = new AbortController();
    void submitting.then(() => over.abort());
    while (!over.signal.aborted && proxy.counts.bytesUp < bytesMax) await nextTurn();
    proxy.reset();
    const first = await submitting;
    const written = new Set(await jobIds(stores));
    const second = await Promise.all(names.map((name) => submitted(sound, name)));
    for (const [index, id] of first.entries()) {
      if (id !== null) expect(second[index]).toBe(id);
      else if (written.has(second[index] ?? '')) recovered += 1;
      else unanswered += 1;
    }
    for (const id of second) ids.push(id ?? 'unanswered');
  }
  expect((await jobIds(stores)).toSorted()).toEqual(ids.toSorted());
  // They were cut off before their jobs were written, and after.
  expect([unanswered > 0, recovered > 0]).toEqual([true, true]);
});

/** The id of the job, or null where the store does not say. */
async function submitted(store: ProducerStore, key: string): Promise<string | null> {
  const submission = await store.submit(keyed({}, key), ANYWHERE).catch(() => null);
  return submission === null ? null : idOf(submission);
}

function idOf(submission: Submission): string {
  if (submission.kind === 'refused') throw new Error(submission.code);
  if (submission.kind === 'full' || submission.kind === 'over_quota') {
    throw new Error(submission.why);
  }
  return submission.kind === 'created' ? submission.jobId : submission.record.id;
}
