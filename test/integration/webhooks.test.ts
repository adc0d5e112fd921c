/** Webhooks as their receivers see them: real API processes, real servers. */
import { randomBytes } from 'node:crypto';
import { createProducerStore } from '@qarr/job-store';
import OpenAI from 'openai';
import { Webhook } from 'standardwebhooks';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
} from 'vitest';
import { postJson, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld, TestWorker } from '../harness/api.ts';
import { startWebhookReceiver, status } from '../harness/webhook-receiver.ts';
import type { ReceivedWebhook, WebhookReceiver } from '../harness/webhook-receiver.ts';
import { waitUntil } from '../harness/wait-until.ts';

const secret = () => `whsec_${randomBytes(32).toString('base64')}`;
const [NEW_SECRET, OLD_SECRET] = [secret(), secret()];
const CANARY = 'canary-4711';

let world: ApiWorld;
let worker: TestWorker;
let receiver: WebhookReceiver;

beforeAll(async () => {
  world = await startApiWorld({
    QARR_WEBHOOK_SECRETS: `${NEW_SECRET},${OLD_SECRET}`,
    QARR_WEBHOOK_ALLOW_PRIVATE: 'true',
    QARR_WEBHOOK_RETRIES_MS: '20,20,20,20',
    LOG_LEVEL: 'debug',
  });
  worker = await world.startWorker('fast');
});
afterAll(() => world.stop());
beforeEach(async () => {
  receiver = await startWebhookReceiver();
});
afterEach(() => receiver.stop());

async function submit(fields: Record<string, unknown> = {}, api: ApiProcess = world.api) {
  const response = await postJson(`${api.url}/v1/jobs`, {
    prompt: `Hello ${CANARY}`,
    tier: 'fast',
    webhook_url: `${receiver.url}?token=${CANARY}`,
    ...fields,
  });
  expect(await response.clone().text()).toContain('"job_');
  return ((await response.json()) as { id: string }).id;
}

async function complete(id: string): Promise<void> {
  const attempt = await worker.next(id);
  await attempt.say(`An answer ${CANARY}`);
  await attempt.complete();
}

async function outcomes(api: ApiProcess = world.api): Promise<Record<string, number>> {
  const text = await (await fetch(`${api.opsUrl}/metrics`)).text();
  const lines = text.matchAll(
    /^qarr_webhook_(?:deliveries_total\{outcome="(\w+)"\}|backlog) (\d+)/gm,
  );
  return Object.fromEntries([...lines].map(([, name = 'backlog', value]) => [name, Number(value)]));
}

function verify({ raw, headers }: ReceivedWebhook, withSecret: string): void {
  new Webhook(withSecret).verify(raw, headers);
}

describe('a webhook', () => {
  it('says that the job has completed, once that can be read', async () => {
    const id = await submit({ metadata: { order: '7' } });
    let readable: unknown;
    receiver.answer = (response) => {
      void fetch(`${world.api.url}/v1/jobs/${id}`)
        .then((answer) => answer.json())
        .then((job) => (readable = (job as { status: string }).status))
        .finally(() => response.writeHead(204).end());
    };
    await complete(id);
    const [webhook] = await receiver.of(id);
    expect(webhook?.body).toMatchObject({
      id: `evt_${id.slice(4)}`,
      object: 'event',
      type: 'job.completed',
      data: { id, status: 'completed', tier: 'fast', metadata: { order: '7' }, error: null },
    });
    await waitUntil('it is answered', () => readable);
    expect(readable).toBe('completed');
  });

  it.each<[string, (id: string) => Promise<unknown>, Record<string, unknown>]>([
    ['failed', async (id: string) => (await worker.next(id)).fail('upstream_error'), {}],
    // Nobody pulls from this tier: one is ended by its client, the other by the sweep.
    [
      'cancelled',
      async (id: string) => postJson(`${world.api.url}/v1/jobs/${id}/cancel`, {}),
      { tier: 'precise' },
    ],
    ['expired', async () => {}, { tier: 'precise', queue_timeout_ms: 1 }],
  ])('says that it has %s', async (state, end, fields) => {
    const id = await submit(fields);
    await end(id);
    const [webhook] = await receiver.of(id);
    expect(webhook?.body).toMatchObject({ type: `job.${state}`, data: { id, status: state } });
  });

  it('is verified by the library of Standard Webhooks and by OpenAI, with both secrets', async () => {
    const id = await submit();
    await complete(id);
    const [webhook] = await receiver.of(id);
    if (webhook === undefined) throw new Error('none');
    for (const known of [NEW_SECRET, OLD_SECRET]) {
      verify(webhook, known);
      const client = new OpenAI({ apiKey: 'none', webhookSecret: known });
      expect(await client.webhooks.unwrap(webhook.raw, webhook.headers)).toEqual(webhook.body);
    }
    expect(() => verify(webhook, secret())).toThrow('No matching signature');
    const forged = { ...webhook, raw: webhook.raw.replace('completed', 'cancelled') };
    expect(() => verify(forged, NEW_SECRET)).toThrow('No matching signature');
  });

  it('comes only of the ends that were asked for', async () => {
    const [silent, told] = [await submit({ webhook_events: ['failed'] }), await submit()];
    await complete(silent);
    await complete(told);
    await receiver.of(told);
    await waitUntil('nothing is left', async () => (await outcomes())['backlog'] === 0);
    expect(receiver.received.map(({ body }) => body.data.id)).toEqual([told]);
  });

  it('is repeated with the same id and body until it is taken', async () => {
    const before = await outcomes();
    const other = await startWebhookReceiver();
    onTestFinished(() => other.stop());
    const answers = [status(500), status(302, { location: other.url }), status(404), status(204)];
    receiver.answer = (response, request) => (answers.shift() ?? status(500))(response, request);
    const id = await submit();
    await complete(id);
    const webhooks = await receiver.of(id, 4);
    expect(new Set(webhooks.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(new Set(webhooks.map(({ raw }) => raw)).size).toBe(1);
    for (const webhook of webhooks) verify(webhook, NEW_SECRET);
    await waitUntil('it is done', async () => (await outcomes())['backlog'] === 0);
    // The redirect was not followed, nobody was told a fifth time, and all of it was counted.
    expect([other.connections, receiver.received.length]).toEqual([0, 4]);
    const after = await outcomes();
    expect((after['failed'] ?? 0) - (before['failed'] ?? 0)).toBe(3);
    expect((after['delivered'] ?? 0) - (before['delivered'] ?? 0)).toBe(1);
  });

  it('waits as long as its receiver asks for', async () => {
    const answers = [status(503, { 'retry-after': '1' }), status(204)];
    receiver.answer = (response, request) => (answers.shift() ?? status(500))(response, request);
    const id = await submit();
    await complete(id);
    await waitUntil('it waits', async () => (await outcomes())['backlog'] === 1);
    const [first, second] = await receiver.of(id, 2);
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThan(900);
  });

  it.each([
    ['410', 'retired', 1],
    ['500', 'given_up', 5],
  ] as const)('is given up after %s', async (code, outcome, deliveries) => {
    const before = (await outcomes())[outcome] ?? 0;
    receiver.answer = status(Number(code));
    const id = await submit();
    await complete(id);
    await waitUntil('it is given up', async () => (await outcomes())[outcome] === before + 1);
    expect(receiver.received).toHaveLength(deliveries);
    expect((await outcomes())['backlog']).toBe(0);
  });

  it('is dropped with its job', async () => {
    const before = (await outcomes())['gone'] ?? 0;
    const id = await submit();
    receiver.answer = (response) =>
      void world.redis.del(`qarr:{${id}}:job`).then(() => response.writeHead(500).end());
    await complete(id);
    await waitUntil('it is dropped', async () => (await outcomes())['gone'] === before + 1);
    expect(receiver.received).toHaveLength(1);
  });

  it('shows neither prompt nor output, and no secret or token of its URL is logged', async () => {
    const id = await submit();
    await complete(id);
    const [webhook] = await receiver.of(id);
    receiver.answer = status(500);
    const failing = await submit();
    await complete(failing);
    await receiver.of(failing, 2);
    expect(JSON.stringify([webhook?.raw, webhook?.headers])).not.toContain(CANARY);
    const logs = JSON.stringify(world.api.logs);
    expect(logs).toContain(`127.0.0.1:${receiver.port}`);
    expect(logs).toContain('webhook failed');
    for (const word of [CANARY, NEW_SECRET, OLD_SECRET, '/hook']) expect(logs).not.toContain(word);
    expect(await (await fetch(`${world.api.opsUrl}/metrics`)).text()).not.toContain(CANARY);
    const names = await world.redis.keys('{qarr:_webhooks}:evt_*');
    // One that is being delivered has a lock besides.
    const entries = names.filter((name) => !name.endsWith(':lock'));
    for (const entry of entries) {
      expect(JSON.stringify(await world.redis.hgetall(entry))).not.toContain(CANARY);
    }
  });
});

describe('the webhook of a batch', () => {
  const usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0 };
  const nothing = { outputFileId: null, errorFileId: null };
  const segment = { name: 's', outputLines: 2, outputBytes: 9, errorLines: 1, errorBytes: 9 };

  it.each<[string, (batch: RunningBatch) => Promise<unknown>]>([
    [
      'failed',
      ({ runs, id, epoch }) =>
        runs.validated(id, epoch, {
          errors: [{ code: 'empty_file', message: CANARY, param: null, line: null }],
        }),
    ],
    [
      'completed',
      async ({ runs, id, epoch }) => {
        await runs.validated(id, epoch, { total: 3, model: null });
        await runs.commit(id, epoch, { segment, lines: [0, 1, 2], usage });
        await runs.finalizing(id, epoch);
        await runs.finish(id, epoch, nothing);
      },
    ],
    [
      'cancelled',
      async ({ runs, id, epoch, batches }) => {
        await batches.cancel(id);
        await runs.validated(id, epoch, { total: 0, model: null });
        await runs.finish(id, epoch, nothing);
      },
    ],
  ])("says that it has %s, and OpenAI's client takes it", async (state, end) => {
    const batch = await runBatch({ order: '7' });
    await end(batch);
    const [webhook] = await receiver.of(batch.id);
    if (webhook === undefined) throw new Error('none');
    const client = new OpenAI({ apiKey: 'none', webhookSecret: NEW_SECRET });
    const event = await client.webhooks.unwrap(webhook.raw, webhook.headers);
    expect(event).toMatchObject({
      id: `evt_${batch.id.slice('batch_'.length)}`,
      object: 'event',
      type: `batch.${state}`,
      data: { id: batch.id, status: state, metadata: { order: '7' } },
    });
    const counts = { total: state === 'completed' ? 3 : 0, failed: state === 'completed' ? 1 : 0 };
    expect(event.data).toMatchObject({ request_counts: counts });
    expect(webhook.raw).not.toContain(CANARY);
    await waitUntil('nothing is left', async () => (await outcomes())['backlog'] === 0);
  });
});

function ignore(): void {}

type RunningBatch = Awaited<ReturnType<typeof runBatch>>;

/** A batch in the hands of a runner that is this test. */
async function runBatch(metadata: Record<string, string>) {
  const replicaId = randomBytes(8).toString('hex');
  const { url: redisUrl } = world.redisServer;
  const store = await createProducerStore({ redisUrl, tiers: [], replicaId, onError: ignore });
  onTestFinished(() => store.stop());
  const { batches, batchRuns: runs } = store;
  const id = `batch_${randomBytes(16).toString('hex')}`;
  const batch = {
    id,
    owner: 'anonymous',
    endpoint: '/v1/completions',
    inputFileId: 'file-1',
    completionWindow: '24h',
    windowMs: 86_400_000,
    metadata,
    quota: null,
    webhookUrl: `${receiver.url}?token=${CANARY}`,
    outputKeptMs: 60_000,
  } as const;
  await batches.create(batch, { openMax: 1 });
  const lease = await runs.lease(replicaId);
  onTestFinished(() => runs.release(replicaId));
  await runs.open(id, lease?.epoch ?? 0);
  return { id, epoch: lease?.epoch ?? 0, runs, batches };
}

it('may go to private addresses only with a warning at start', async () => {
  expect(world.api.logs.map(({ msg }) => msg)).toContain('private webhooks');
  const ready = (await (await fetch(`${world.api.url}/readyz`)).json()) as { warnings: string[] };
  expect(ready.warnings.join()).toContain('QARR_WEBHOOK_ALLOW_PRIVATE');
});
