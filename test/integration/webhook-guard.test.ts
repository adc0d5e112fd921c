/** That no webhook reaches a machine of ours: a real API with its guard on, and a real DNS server. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestWorker } from '../harness/api.ts';
import { startDnsServer } from '../harness/dns-server.ts';
import type { DnsServer } from '../harness/dns-server.ts';
import { startWebhookReceiver } from '../harness/webhook-receiver.ts';
import type { WebhookReceiver } from '../harness/webhook-receiver.ts';
import { waitUntil } from '../harness/wait-until.ts';

const RETRIES = 3;

let dns: DnsServer;
let inner: WebhookReceiver;
let world: ApiWorld;
let worker: TestWorker;
/** What names lead to. */
let find: (name: string, asked: number) => string[] | null = () => null;

beforeAll(async () => {
  inner = await startWebhookReceiver();
  dns = await startDnsServer((name, asked) => find(name, asked));
  world = await startApiWorld({
    QARR_WEBHOOK_SECRETS: `whsec_${randomBytes(32).toString('base64')}`,
    QARR_WEBHOOK_DNS_SERVERS: dns.address,
    QARR_WEBHOOK_PORTS: `443,${inner.port}`,
    QARR_WEBHOOK_RETRIES_MS: Array(RETRIES).fill(20).join(','),
  });
  worker = await world.startWorker('fast');
});
afterAll(async () => {
  await world.stop();
  await dns.stop();
  await inner.stop();
});

const submit = (url: string) =>
  postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hi', tier: 'fast', webhook_url: url });

/** Waits until the webhook of a job is given up, and tells why each delivery failed. */
async function causesOf(url: string): Promise<unknown[]> {
  const response = await submit(url);
  expect(response.status).toBe(202);
  const { id } = (await response.json()) as { id: string };
  await (await worker.next(id)).complete();
  // Its own lines have no host.
  const lines = () =>
    world.api.logs.filter(({ job_id: job, host }) => job === id && host !== undefined);
  await waitUntil('it is given up', () => lines().some(({ msg }) => msg === 'webhook given up'));
  return lines().flatMap(({ cause }) => (cause === undefined ? [] : [cause]));
}

describe('a host that leads to this machine', () => {
  it.each([
    ['at once', () => ['127.0.0.1']],
    ['now and then', (asked: number) => [asked % 2 === 0 ? '127.0.0.1' : '127.0.0.2']],
    ['by one of its addresses', () => ['127.0.0.1', '127.0.0.2']],
    ['by its metadata', () => ['169.254.169.254']],
  ])('%s is asked for in each delivery, and never reached', async (_name, addresses) => {
    find = (_host, asked) => addresses(asked);
    const before = dns.questions;
    const host = `${randomBytes(4).toString('hex')}.example.com`;
    const causes = await causesOf(`https://${host}:${inner.port}/`);
    expect(causes).toEqual(Array(RETRIES + 1).fill('forbidden'));
    expect(dns.questions - before).toBe(RETRIES + 1);
    expect(inner.connections).toBe(0);
    const metrics = await (await fetch(`${world.api.opsUrl}/metrics`)).text();
    expect(metrics).toMatch(/qarr_webhook_deliveries_total\{outcome="forbidden"\} [1-9]/);
  });

  it('is not found where DNS does not know it, whatever this machine calls itself', async () => {
    find = () => null;
    const causes = await causesOf(`https://nobody.example.com:${inner.port}/`);
    expect(causes).toEqual(Array(RETRIES + 1).fill('ENOTFOUND'));
  });
});

describe('a webhook_url', () => {
  it.each([
    ['http://example.com/', 'must be https'],
    ['https://127.0.0.1/', 'must not lead to a private address'],
    ['https://[::ffff:127.0.0.1]/', 'must not lead to a private address'],
    ['https://2130706433/', 'must not lead to a private address'],
    ['https://localhost/', 'must name a public host'],
    ['https://user:password@example.com/', 'must not hold a user or a password'],
    [`https://example.com/?${'a'.repeat(2_048)}`, 'must have at most 2048 characters'],
    ['example.com', 'must be an absolute URL'],
    ['', 'must not be empty'],
  ])('%.40s is refused at once, with the reason', async (url, reason) => {
    const response = await submit(url);
    expect(response.status).toBe(400);
    const error = {
      code: 'invalid_request',
      param: 'webhook_url',
      message: `webhook_url ${reason}.`,
    };
    expect(await response.json()).toMatchObject({ error });
  });

  it('is refused with the ports that it may have', async () => {
    const { error } = (await (await submit('https://example.com:22/')).json()) as {
      error: { message: string };
    };
    expect(error.message).toBe(`webhook_url must have the port 443 or ${inner.port}.`);
  });

  it('is what webhook_events need, and these are some of four', async () => {
    const body = { prompt: 'Hi', webhook_events: ['completed'] };
    const alone = await postJson(`${world.api.url}/v1/jobs`, body);
    expect(await alone.json()).toMatchObject({
      error: { param: 'webhook_events', message: 'webhook_events needs webhook_url.' },
    });
    for (const events of [[], ['started'], ['failed', 'failed'], 'failed']) {
      const wrong = { ...body, webhook_url: 'https://example.com/', webhook_events: events };
      const response = await postJson(`${world.api.url}/v1/jobs`, wrong);
      expect(await response.json()).toMatchObject({
        error: { message: expect.stringContaining('must be a list of some of completed, failed') },
      });
    }
  });
});
