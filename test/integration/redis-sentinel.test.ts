/** The whole system on a primary that sentinels watch, which is killed in the middle of streams. */
import { randomUUID } from 'node:crypto';
import { createKeyStore } from '@qarr/job-store';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { createKeys } from '../../packages/job-store/src/keys.ts';
import {
  connectProducer,
  disconnect,
  whenReady,
} from '../../packages/job-store/src/connections.ts';
import { createReplication } from '../../packages/job-store/src/replication.ts';
import type { RedisClient } from '../../packages/job-store/src/redis-client.ts';
import { startBatchWorld } from '../harness/batch-world.ts';
import type { BatchWorld } from '../harness/batch-world.ts';
import { readEvents } from '../harness/native-client.ts';
import type { SseEvent } from '../harness/native-client.ts';
import { startWatchedRedis } from '../harness/redis-sentinel.ts';
import type { WatchedRedis } from '../harness/redis-sentinel.ts';
import { startRedisServer } from '../harness/redis-server.ts';
import { waitUntil } from '../harness/wait-until.ts';

const STREAMS = 8;
const STORY = { prompt: 'Tell me a story.', tier: 'fast', temperature: 0, ignore_eos: true };

let redis: WatchedRedis;
let world: BatchWorld | undefined;
let url: string;
/** Of a store whose URL names another primary: it takes its time. */
let unknown: Promise<string>;

beforeAll(async () => {
  redis = await startWatchedRedis();
  const redisUrl = redis.url.replace(/[^/]+$/, 'nobody');
  unknown = createKeyStore({ redisUrl, onError: () => {} }).then(
    () => 'It opens',
    ({ message }: Error) => message,
  );
  world = await startBatchWorld({
    engineFlags: ['--profile=awq-24gb'],
    environment: { QARR_REDIS_REPLICAS_MIN: '1', QARR_HEARTBEAT_MS: '200' },
    starting: Promise.resolve(redis),
  });
  const [api] = await Promise.all([world.startApi(), world.startWorker('fast')]);
  ({ url } = api);
}, 60_000);
afterAll(async () => {
  // Where the world did not start, its servers may have.
  await (world ?? redis)?.stop();
});

async function submit(body: object, key: string): Promise<Response> {
  return fetch(`${url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  });
}

/** Sends it again with the same key until it is accepted, as clients do. */
async function accepted(body: object, key: string = randomUUID()): Promise<string> {
  return waitUntil(
    'a job is accepted',
    async () => {
      const response = await submit(body, key);
      const answer = (await response.json()) as { id: string };
      if (response.status === 202) return answer.id;
      expect(response.status).toBe(503);
      expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
      return null;
    },
    { everyMs: 100, timeoutMs: 30_000 },
  );
}

async function followed(jobId: string, onEvent: (seq: number) => void): Promise<SseEvent[]> {
  const events: SseEvent[] = [];
  for await (const event of readEvents(`${url}/v1/jobs/${jobId}/events`)) {
    events.push(event);
    onEvent(event.id);
  }
  return events;
}

const seqOf = async (jobId: string) =>
  Number(await redis.observer.hget(`qarr:{${jobId}}:job`, 'seq'));

it('loses no accepted job, and no text, with a primary that takes its newest writes with it', async () => {
  const jobIds = await Promise.all(
    Array.from({ length: STREAMS }, () => accepted({ ...STORY, max_tokens: 500 })),
  );
  const newest = new Map<string, number>();
  const streams = jobIds.map((jobId) => followed(jobId, (seq) => newest.set(jobId, seq)));
  const ended = new Set<number>();
  for (const [at, stream] of streams.entries()) void stream.then(() => ended.add(at));
  const untilBeyond = (seqs: readonly number[], more: number) =>
    waitUntil('readers have got more', () =>
      jobIds.every((jobId, at) => (newest.get(jobId) ?? 0) > (seqs[at] ?? 0) + more),
    );
  await untilBeyond([], 5);

  await redis.detachReplicas();
  const onReplicas = await Promise.all(jobIds.map(seqOf));
  // What readers have got by now is on the primary alone.
  await untilBeyond(onReplicas, 20);
  const key = randomUUID();
  const refused = await submit({ ...STORY, max_tokens: 4 }, key);
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({ error: { code: 'not_replicated' } });
  expect(refused.headers.get('retry-after')).toBe('1');

  const failingOver = redis.failover();
  const during = Promise.all(
    Array.from({ length: 4 }, () => accepted({ ...STORY, max_tokens: 4 })),
  );
  await failingOver;
  // Those that had ended may run again, where only the lost primary knew of it.
  const open = [...jobIds.keys()].filter((at) => !ended.has(at));
  expect(open).not.toEqual([]);
  const again = await accepted({ ...STORY, max_tokens: 4 }, key);
  const others = [...(await during), again];

  const seen = await Promise.all(streams);
  for (const at of open) {
    const stream = seen[at] ?? [];
    expect(stream.map(({ id }) => id)).toEqual(stream.map((_, index) => index + 1));
    const ends = stream.filter(({ event }) => event === 'completed');
    expect(ends).toHaveLength(1);
    const text = stream.map(({ data }) => (data['text'] as string | undefined) ?? '').join('');
    const job = await (await fetch(`${url}/v1/jobs/${jobIds[at]}`)).json();
    expect(job).toMatchObject({ status: 'completed', result: { text } });
    // As its log has it, which a reader who comes now gets.
    expect(await followed(jobIds[at] ?? '', () => {})).toEqual(stream);
  }
  expect(new Set(others).size).toBe(others.length);
  for (const jobId of others) {
    const events = await followed(jobId, () => {});
    expect(events.at(-1)?.event).toBe('completed');
  }
}, 60_000);

function onError() {}

async function idOf(client: RedisClient): Promise<number | null> {
  return client.client('ID').catch(() => null);
}

async function openReplication(writerUrl: string) {
  const writer = connectProducer({ redisUrl: writerUrl, onError });
  await whenReady(writer, writerUrl);
  const options = { redisUrl: redis.url, keys: createKeys('qarr'), onError };
  const replication = await createReplication({ ...options, writer, replicasMin: 2 });
  onTestFinished(async () => {
    await replication.stop();
    await disconnect(writer);
  });
  return replication;
}

it('confirms nothing that was written before the history of the primary changed', async () => {
  await redis.startReplicas();
  const replication = await openReplication(redis.url);
  const isConfirmed = () =>
    replication
      .begin()()
      .then(
        () => true,
        () => false,
      );
  await waitUntil('the replicas confirm', isConfirmed);
  const confirm = replication.begin();
  // As a failover does.
  await redis.observer.call('DEBUG', 'CHANGE-REPL-ID');
  await expect(confirm()).rejects.toMatchObject({ code: 'not_replicated' });
  await replication.begin()();
});

it('confirms nothing that was written to another primary than the marks', async () => {
  const former = await startRedisServer();
  onTestFinished(() => former.stop());
  const replication = await openReplication(former.url);
  await expect(replication.begin()()).rejects.toMatchObject({ code: 'not_replicated' });
});

it('asks for the primary again where too few replicas follow the one that it has', async () => {
  const [writer, other] = [1, 2].map(() => connectProducer({ redisUrl: redis.url, onError }));
  if (writer === undefined || other === undefined) throw new Error('Not connected');
  onTestFinished(async () => void (await Promise.all([disconnect(writer), disconnect(other)])));
  await Promise.all([whenReady(writer, redis.url), whenReady(other, redis.url)]);
  // Those of a replication that wants more replicas than there are, and of a primary that does.
  const before = await Promise.all([writer, other].map(idOf));
  const options = { redisUrl: redis.url, keys: createKeys('qarr'), onError };
  const replication = await createReplication({ ...options, writer, replicasMin: 9 });
  onTestFinished(() => replication.stop());
  await other.config('SET', 'min-replicas-to-write', 9);
  await expect(other.set('qarr:test', 1)).rejects.toThrow('NOREPLICAS');
  await waitUntil('both are new', async () => {
    const now = await Promise.all([writer, other].map(idOf));
    return now.every((id, at) => id !== null && id !== before[at]);
  });
  await other.config('SET', 'min-replicas-to-write', 0);
});

it('says at start that the sentinels know no primary of that name', async () => {
  expect(await unknown).toMatch(
    /^Redis at nobody of the sentinels 127.0.0.1:\d+, .* does not serve \(.*\); start it or correct REDIS_URL$/,
  );
});
