/** The whole system on a Redis Cluster of three masters: its processes as they are, over HTTP. */
import { randomUUID } from 'node:crypto';
import { createProducerStore, createWorkerStore } from '@qarr/job-store';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { connectWorker, disconnect, whenReady } from '../../packages/job-store/src/connections.ts';
import { createKeys } from '../../packages/job-store/src/keys.ts';
import { inTurn, pipelineOf } from '../../packages/job-store/src/redis-client.ts';
import { createReplication } from '../../packages/job-store/src/replication.ts';
import { subscribe } from '../../packages/job-store/src/subscription.ts';
import { KEY_SECRET, openKeys } from '../harness/api-keys.ts';
import type { TestKey } from '../harness/api-keys.ts';
import { chatLine, inputOf, startBatchWorld } from '../harness/batch-world.ts';
import type { BatchWorld } from '../harness/batch-world.ts';
import { FORM_TYPE, formOf } from '../harness/multipart.ts';
import { startRedisCluster } from '../harness/redis-cluster.ts';
import type { RedisCluster } from '../harness/redis-cluster.ts';
import { startWebhookReceiver } from '../harness/webhook-receiver.ts';
import { waitUntil } from '../harness/wait-until.ts';

const STORY = { prompt: 'Tell me a story.', tier: 'fast', temperature: 0, ignore_eos: true };

let cluster: RedisCluster;
let world: BatchWorld | undefined;
let url: string;
let key: TestKey;

beforeAll(async () => {
  cluster = await startRedisCluster();
  world = await startBatchWorld({
    engineFlags: ['--profile=awq-24gb'],
    environment: {
      QARR_WARMUP_REQUESTS: '1',
      QARR_HEARTBEAT_MS: '600000',
      QARR_BATCH_COMMIT_MS_MAX: '100',
      QARR_KEY_SECRETS: KEY_SECRET,
      QARR_WEBHOOK_SECRETS: 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
      QARR_WEBHOOK_ALLOW_PRIVATE: 'true',
    },
    starting: Promise.resolve(cluster),
  });
  const [api, keys] = await Promise.all([
    world.startApi(),
    openKeys(cluster.url),
    world.startWorker('fast'),
    world.startRunner(),
  ]);
  ({ url } = api);
  key = await keys.make({ rpm: 10_000, concurrency: 100, tokensPerDay: 1e9 });
  await keys.stop();
}, 60_000);
afterAll(async () => {
  // Where the world did not start, its cluster may have.
  await (world ?? cluster)?.stop();
});

async function call(method: string, path: string, body?: object, headers: object = {}) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...key.headers,
      ...headers,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? null : JSON.parse(text) };
}

/** Sends it again with the same key where a busy machine does not answer in time. */
async function submit(body: object, headers: object = {}): Promise<string> {
  const keyed = { 'idempotency-key': randomUUID(), ...headers };
  return waitUntil('a job is accepted', async () => {
    const accepted = await call('POST', '/v1/jobs', body, keyed);
    if (accepted.status === 503) return null;
    expect(accepted).toMatchObject({ status: 202 });
    return accepted.body.id as string;
  });
}

async function untilIn(jobId: string, status: string) {
  return waitUntil(`${jobId} is ${status}`, async () => {
    const { body } = await call('GET', `/v1/jobs/${jobId}`);
    return body.status === status ? body : null;
  });
}

/** Follows a job from its first event to its end. */
async function follow(jobId: string, onEvent: (count: number) => void = () => {}) {
  const response = await fetch(`${url}/v1/jobs/${jobId}/events`, { headers: key.headers });
  expect(response.status).toBe(200);
  const events: { id: number; type: string; text: string }[] = [];
  let buffered = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const frames = `${buffered}${chunk}`.split('\n\n');
    buffered = frames.pop() ?? '';
    for (const frame of frames) {
      const id = /^id: (\d+)$/m.exec(frame)?.[1];
      const data = /^data: (.*)$/m.exec(frame)?.[1];
      if (id === undefined || data === undefined) continue;
      const event = JSON.parse(data) as { type: string; text?: string };
      const type = /^event: (.*)$/m.exec(frame)?.[1] ?? '';
      events.push({ id: Number(id), type, text: event.text ?? '' });
      onEvent(events.length);
    }
  }
  return {
    ids: events.map(({ id }) => id),
    types: events.map(({ type }) => type),
    text: events.map(({ text }) => text).join(''),
  };
}

/** Each event once, one attempt, one end, and the text that the result has. */
async function expectWhole(jobId: string, seen?: Awaited<ReturnType<typeof follow>>) {
  if (seen === undefined) throw new Error('Nothing was seen');
  expect(seen.ids).toEqual(seen.ids.map((_, at) => at + 1));
  expect(seen.types.filter((type) => type === 'started')).toHaveLength(1);
  expect(seen.types.filter((type) => type === 'completed')).toHaveLength(1);
  expect(seen.types.at(-1)).toBe('completed');
  expect((await untilIn(jobId, 'completed')).result.text).toBe(seen.text);
}

it('answers chats, whole and streamed, and jobs, each followed to its end', async () => {
  const chat = { model: 'fast', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 8 };
  const whole = await call('POST', '/v1/chat/completions', chat);
  expect(whole).toMatchObject({ status: 200, body: { usage: { completion_tokens: 8 } } });

  const jobIds = await Promise.all(
    Array.from({ length: 12 }, () => submit({ ...STORY, max_tokens: 60 })),
  );
  // The API listens at one of the masters, and is not taken for gone by the others: else this would take
  // until readers look by their clock, which is longer than this test may take.
  const seen = await Promise.all(jobIds.map((jobId) => follow(jobId)));
  for (const [at, jobId] of jobIds.entries()) await expectWhole(jobId, seen[at]);

  const listed = await call('GET', '/v1/jobs?status=completed&limit=100');
  const ids = listed.body.data.map(({ id }: { id: string }) => id);
  expect(ids).toEqual(expect.arrayContaining(jobIds));
});

it('makes one job of a key, announces its end, and deletes it', async () => {
  const receiver = await startWebhookReceiver();
  onTestFinished(() => receiver.stop());
  const body = { ...STORY, max_tokens: 4, webhook_url: receiver.url };
  const headers = { 'idempotency-key': randomUUID() };
  const ids = await Promise.all([1, 2, 3].map(() => submit(body, headers)));
  expect(new Set(ids).size).toBe(1);
  const [jobId = ''] = ids;
  await untilIn(jobId, 'completed');
  const [announced] = await receiver.of(jobId);
  expect(announced?.body.type).toBe('job.completed');

  expect((await call('DELETE', `/v1/jobs/${jobId}`)).status).toBe(200);
  expect((await call('GET', `/v1/jobs/${jobId}`)).status).toBe(404);
  expect(await call('POST', '/v1/jobs', body, headers)).toMatchObject({ status: 202 });
});

it('cancels what runs, and ends what is not started in time', async () => {
  const running = await submit({ ...STORY, max_tokens: 1_000 });
  // Nobody works for this tier.
  const waiting = await submit({ ...STORY, tier: 'precise', queue_timeout_ms: 500 });
  await untilIn(running, 'running');
  expect((await call('POST', `/v1/jobs/${running}/cancel`)).status).toBe(200);
  await untilIn(running, 'cancelled');
  await untilIn(waiting, 'expired');
  const open = await call('GET', '/v1/jobs?status=queued');
  expect(open.body.data).toEqual([]);
});

it('runs a batch from its upload to its output', async () => {
  const lines = Array.from({ length: 25 }, (_, at) => chatLine(`line-${at}`));
  const form = formOf(
    { name: 'purpose', value: 'batch' },
    { name: 'file', filename: 'in.jsonl', content: inputOf(lines, '/v1/chat/completions') },
  );
  const upload = await fetch(`${url}/v1/files`, {
    method: 'POST',
    headers: { ...key.headers, 'content-type': FORM_TYPE },
    body: new Uint8Array(form),
  });
  expect(upload.status).toBe(200);
  const { id: fileId } = (await upload.json()) as { id: string };
  const made = await call('POST', '/v1/batches', {
    input_file_id: fileId,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  expect(made.status).toBe(200);
  if (world === undefined) throw new Error('There is no world');
  const over = await world.untilOver(made.body.id);
  expect(over.state).toBe('completed');
  const outcomes = await world.lines(over.outputFileId);
  expect(outcomes.map(({ custom_id }) => custom_id).toSorted()).toEqual(
    lines.map(({ custom_id }) => custom_id).toSorted(),
  );
});

it('carries a stream over a slot that moves, and a master that is killed', async () => {
  const jobId = await submit({ ...STORY, max_tokens: 400 });
  const name = `qarr:{${jobId}}:log`;
  const from = await cluster.masterOf(name);
  const [to] = cluster.masters.filter((node) => node !== from);
  if (to === undefined) throw new Error('There is one master only');

  const hasBegun = Promise.withResolvers<void>();
  const reading = follow(jobId, (count) => {
    if (count > 10) hasBegun.resolve();
  });
  await hasBegun.promise;
  await cluster.moveSlotOf(name, to);
  const before = await to.redis.xlen(name);
  await waitUntil('the log grows there', async () => (await to.redis.xlen(name)) !== before);
  await to.kill();
  expect((await call('GET', `/v1/jobs/${jobId}`)).status).toBe(503);
  // The masters that are left answer.
  expect(await call('GET', '/readyz')).toMatchObject({ status: 503, body: { redis: false } });
  await to.start();
  await expectWhole(jobId, await reading);
  await waitUntil('Redis is up', async () => (await call('GET', '/readyz')).body.redis);
});

it('listens at another master when the one where it listens dies, and says so', async () => {
  const channel = `test-${randomUUID()}`;
  const messages: string[] = [];
  let timesReady = 0;
  const { stop } = await subscribe({
    redisUrl: cluster.url,
    channel,
    onMessage: (message) => void messages.push(message.toString()),
    onReady: () => void (timesReady += 1),
    onError: () => {},
  });
  onTestFinished(stop);
  expect(timesReady).toBe(1);
  const listeners = await Promise.all(
    cluster.masters.map(({ redis }) => redis.pubsub('NUMSUB', channel)),
  );
  const at = listeners.findIndex(([, count]) => Number(count) === 1);
  const [other] = cluster.masters.filter((_, index) => index !== at);
  await cluster.masters[at]?.kill();
  await waitUntil('it listens again', () => timesReady === 2);
  await other?.redis.publish(channel, 'hello');
  await waitUntil('the message comes', () => messages.length > 0);
  expect(messages).toEqual(['hello']);
  await cluster.masters[at]?.start();
  await waitUntil('the cluster serves', async () => {
    const views = await Promise.all(cluster.masters.map(({ redis }) => redis.cluster('INFO')));
    return views.every((view) => view.includes('cluster_state:ok'));
  });
});

it('does in turn what is on several masters', async () => {
  const redis = connectWorker({ redisUrl: cluster.url, onError: () => {} });
  await whenReady(redis, cluster.url);
  onTestFinished(() => disconnect(redis));
  const names = Array.from({ length: 50 }, (_, at) => `in-turn-${at}`);
  const [first = '', ...others] = names;
  const slow = await cluster.masterOf(first);
  const owners = await Promise.all(others.map((name) => cluster.masterOf(name)));
  const second = others[owners.findIndex((owner) => owner !== slow)] ?? '';
  await redis.del(second);
  slow.freeze();
  const turns = inTurn(redis, [() => redis.set(first, 1), () => redis.incr(second)]);
  const ordered = pipelineOf(redis, { inOrder: true }).set(first, 1).incr(second).exec();
  // What was sent to that master before is done before this.
  expect(await redis.get(second)).toBeNull();
  slow.thaw();
  await turns;
  expect(await ordered).toEqual([
    [null, 'OK'],
    [null, expect.any(Number)],
  ]);
  expect(await redis.get(second)).toBe('2');
  await redis.del(first);
  await redis.del(second);
});

it('marks each master for what is to be on replicas', async () => {
  const root = `test-${randomUUID()}`;
  const options = { redisUrl: cluster.url, onError: () => {} };
  const writer = connectWorker(options);
  await whenReady(writer, cluster.url);
  onTestFinished(() => disconnect(writer));
  const keys = createKeys(root);
  const replication = await createReplication({ ...options, writer, keys, replicasMin: 1 });
  onTestFinished(() => replication.stop());
  for (const { redis } of cluster.masters) {
    expect(await redis.keys(`${root}:{mark-*`)).toHaveLength(1);
  }
});

it('says at start which master is not as it must be, and which slots nobody has', async () => {
  const store = await createProducerStore({
    redisUrl: cluster.url,
    tiers: ['fast'],
    replicaId: randomUUID(),
    onError: () => {},
  });
  onTestFinished(() => store.stop());
  const worker = await createWorkerStore({
    redisUrl: cluster.url,
    tier: 'fast',
    onCancel: () => {},
    onError: () => {},
  });
  onTestFinished(() => worker.stop());
  expect(await store.check()).toEqual({ fatal: [], volatile: [] });
  await Promise.all([store.ping(), worker.ping()]);

  const [first, second] = cluster.masters;
  await first?.redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await second?.redis.config('SET', 'appendonly', 'no');
  expect(await store.check()).toEqual({
    fatal: [expect.stringMatching(`^127.0.0.1:${first?.port}: Redis may evict jobs`)],
    volatile: [expect.stringMatching(`^127.0.0.1:${second?.port}: Redis forgets`)],
  });
  await first?.redis.config('SET', 'maxmemory-policy', 'noeviction');
  await second?.redis.config('SET', 'appendonly', 'yes');

  await first?.redis.cluster('DELSLOTS', 1);
  await waitUntil('the slot is missed', async () => (await store.check()).fatal.length > 0);
  expect((await store.check()).fatal).toEqual([
    expect.stringMatching(/^the Redis cluster has no master for \d+ of its 16384 slots/),
  ]);
  // It answers a ping, and nothing else.
  await expect(store.ping()).rejects.toMatchObject({ code: 'queue_unavailable' });
  await expect(worker.ping()).rejects.toThrow('2 of 3 masters of the Redis cluster serve');
  await first?.redis.cluster('ADDSLOTS', 1);
  await waitUntil('the slot is back', async () => (await store.check()).fatal.length === 0);
});
