import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DueWebhook } from '@qarr/job-store';
import { createLogger } from '@qarr/process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createDeliver } from './deliver.ts';
import { createHosts } from './hosts.ts';
import { webhookConfig, webhookVariables } from './webhook-config.ts';
import { z } from 'zod';

const DAY_MS = 86_400_000;
const RETRIES_MS = [1_000, 60_000];

/** Deliveries to a server that answers like this; `outcomes` is what was counted. */
async function deliveriesTo(listener: RequestListener, { allowPrivate = true } = {}) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const outcomes: string[] = [];
  const config = {
    ...webhookConfig(z.object(webhookVariables).parse({})),
    keys: [Buffer.alloc(32, 1), Buffer.alloc(32, 2)],
    retriesMs: RETRIES_MS,
    allowPrivate,
  };
  const deliver = createDeliver({
    config,
    post: {
      findAddresses: async (host) => [host],
      isAllowed: () => true,
      timeoutMs: 5_000,
      answerBytesMax: 1_000,
    },
    hosts: createHosts({ concurrency: 4, random: () => 0.5 }),
    random: () => 0.5,
    count: (outcome) => void outcomes.push(outcome),
    log: createLogger({ name: 'test', level: 'silent' }),
  });
  const webhook = (fields: Partial<DueWebhook> = {}): DueWebhook => ({
    ended: {
      kind: 'job',
      id: 'job_1',
      eventId: 'evt_1',
      url: `http://127.0.0.1:${port}/`,
      state: 'completed',
      tier: 'fast',
      metadata: {},
      createdAt: 1,
      finishedAt: 2,
      errorCode: null,
    },
    failures: 0,
    keptMs: DAY_MS,
    now: 1_790_000_000_999,
    signal: new AbortController().signal,
    ...fields,
  });
  return { deliver: (fields?: Partial<DueWebhook>) => deliver(webhook(fields)), outcomes };
}

const answer =
  (status: number, headers: Record<string, string> = {}): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, headers).end();

describe('a delivery', () => {
  it('is signed with each secret, with the time of Redis', async () => {
    let headers: unknown;
    const { deliver } = await deliveriesTo((request, response) => {
      headers = request.headers;
      response.end();
    });
    await deliver();
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'webhook-id': 'evt_1',
      'webhook-timestamp': '1790000000',
      'webhook-signature': expect.stringMatching(/^v1,[\w+/]{43}= v1,[\w+/]{43}=$/),
    });
  });

  it.each([200, 201, 202, 204, 299])('is done when the answer is %i', async (status) => {
    const { deliver, outcomes } = await deliveriesTo(answer(status));
    expect(await deliver()).toEqual({ kind: 'done' });
    expect(outcomes).toEqual(['delivered']);
  });

  it.each([300, 302, 304, 307, 400, 401, 404, 409, 422, 429, 500, 502, 503, 504])(
    'is repeated when it is %i',
    async (status) => {
      const { deliver, outcomes } = await deliveriesTo(answer(status));
      // A tenth is the mean of the jitter.
      expect(await deliver()).toEqual({ kind: 'again', delayMs: 1_100, hasFailed: true });
      expect(outcomes).toEqual(['failed']);
    },
  );

  it('is not repeated when the answer is 410', async () => {
    const { deliver, outcomes } = await deliveriesTo(answer(410));
    expect(await deliver()).toEqual({ kind: 'done' });
    expect(outcomes).toEqual(['retired']);
  });

  it('is repeated by the schedule, then given up', async () => {
    const { deliver, outcomes } = await deliveriesTo(answer(500));
    expect(await deliver({ failures: 1 })).toMatchObject({ delayMs: 66_000 });
    expect(await deliver({ failures: 2 })).toEqual({ kind: 'done' });
    expect(outcomes).toEqual(['failed', 'failed', 'given_up']);
  });

  it('is given up when its job would be gone by then', async () => {
    const { deliver, outcomes } = await deliveriesTo(answer(500));
    expect(await deliver({ keptMs: 1_100 })).toEqual({ kind: 'done' });
    expect(await deliver({ keptMs: 1_101 })).toMatchObject({ kind: 'again' });
    expect(outcomes).toEqual(['failed', 'given_up', 'failed']);
  });

  it.each([
    ['seconds', () => '30', 30_000],
    ['a date', () => new Date(Date.now() + 30_500).toUTCString(), 30_000],
    ['more than an hour', () => '999999', 3_600_000],
    ['less than the schedule', () => '0', 1_100],
    ['a date that has passed', () => 'Wed, 21 Oct 2015 07:28:00 GMT', 1_100],
    ['nothing of use', () => 'soon', 1_100],
  ])('waits as long as it is asked to by %s', async (_name, header, delayMs) => {
    const { deliver } = await deliveriesTo(answer(503, { 'retry-after': header() }));
    const verdict = await deliver();
    const waitsMs = verdict.kind === 'again' ? verdict.delayMs : 0;
    // A date has no fractions of seconds.
    expect(Math.abs(waitsMs - delayMs)).toBeLessThanOrEqual(1_000);
  });

  it('leaves a host alone that asks for it, without counting a failure', async () => {
    const { deliver, outcomes } = await deliveriesTo(answer(429, { 'retry-after': '30' }));
    await deliver();
    const next = await deliver();
    expect(next).toMatchObject({ kind: 'again', hasFailed: false });
    expect(next.kind === 'again' ? next.delayMs : 0).toBeGreaterThan(25_000);
    expect(outcomes).toEqual(['failed']);
  });

  it('is given back as it was when it is stopped', async () => {
    const { deliver, outcomes } = await deliveriesTo(answer(200));
    const verdict = await deliver({ signal: AbortSignal.abort() });
    expect(verdict).toEqual({ kind: 'again', delayMs: 0, hasFailed: false });
    expect(outcomes).toEqual([]);
  });

  it('is not made to a URL that the settings no longer allow', async () => {
    let requests = 0;
    const listener: RequestListener = (_request, response) => {
      requests += 1;
      response.end();
    };
    const { deliver, outcomes } = await deliveriesTo(listener, { allowPrivate: false });
    expect(await deliver()).toEqual({ kind: 'done' });
    expect([requests, outcomes]).toEqual([0, ['given_up']]);
  });
});
