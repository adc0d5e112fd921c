/** Webhooks while something breaks: replicas, Redis, certificates, receivers. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { postJson, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld, TestWorker } from '../harness/api.ts';
import { createAuthority } from '../harness/certificate.ts';
import type { Certificate } from '../harness/certificate.ts';
import { KILLABLE } from '../harness/own-redis.ts';
import { startRedisServer } from '../harness/redis-server.ts';
import { startWebhookReceiver, status } from '../harness/webhook-receiver.ts';
import type { WebhookReceiver } from '../harness/webhook-receiver.ts';
import { waitUntil } from '../harness/wait-until.ts';

const HOST_CONCURRENCY = 2;
const trusted = createAuthority();
const stranger = createAuthority();

let dir: string;
const stopLater: (() => Promise<void>)[] = [];
let world: ApiWorld;
let worker: TestWorker;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'qarr-webhooks-'));
  const authorities = join(dir, 'authorities.pem');
  await writeFile(authorities, trusted.cert);
  world = await startApiWorld(
    {
      QARR_WEBHOOK_SECRETS: `whsec_${randomBytes(32).toString('base64')}`,
      QARR_WEBHOOK_ALLOW_PRIVATE: 'true',
      QARR_WEBHOOK_RETRIES_MS: Array(50).fill(200).join(','),
      QARR_WEBHOOK_CONCURRENCY: '8',
      QARR_WEBHOOK_HOST_CONCURRENCY: String(HOST_CONCURRENCY),
      NODE_EXTRA_CA_CERTS: authorities,
      // A switch that somebody may have left on, and the warning that Node writes of it.
      NODE_TLS_REJECT_UNAUTHORIZED: '0',
      NODE_NO_WARNINGS: '1',
    },
    startRedisServer({ dir, settings: KILLABLE }),
  );
  worker = await world.startWorker('fast');
});
afterAll(async () => {
  await world.stop();
  for (const stop of stopLater) await stop();
  await rm(dir, { recursive: true, force: true });
});

async function receive(options?: { tls: Certificate }): Promise<WebhookReceiver> {
  const receiver = await startWebhookReceiver(options);
  onTestFinished(() => receiver.stop());
  return receiver;
}

/** Submits a job that ends at once, and returns its id. */
async function end(url: string, api: ApiProcess = world.api): Promise<string> {
  const body = { prompt: 'Hi', tier: 'fast', webhook_url: url };
  const response = await postJson(`${api.url}/v1/jobs`, body);
  expect(response.status).toBe(202);
  const { id } = (await response.json()) as { id: string };
  await (await worker.next(id)).complete();
  return id;
}

const causesOf = (id: string) =>
  world.api.logs.flatMap(({ msg, job_id: job, cause }) =>
    msg === 'webhook failed' && job === id ? [cause] : [],
  );

describe('over TLS', () => {
  it('a receiver whose certificate is right gets its webhook', async () => {
    const receiver = await receive({ tls: trusted.issue('localhost') });
    const id = await end(receiver.url);
    expect(await receiver.of(id)).toHaveLength(1);
  });

  it.each([
    [
      'of nobody who is trusted',
      () => stranger.issue('localhost'),
      /UNABLE_TO_VERIFY_LEAF|SELF_SIGNED/,
    ],
    ['for another name', () => trusted.issue('other.example'), /ERR_TLS_CERT_ALTNAME_INVALID/],
    ['that has ended', () => trusted.issue('localhost', { hasEnded: true }), /CERT_HAS_EXPIRED/],
  ])('one with a certificate %s gets nothing', async (_name, tls, cause) => {
    const receiver = await receive({ tls: tls() });
    const id = await end(receiver.url);
    await waitUntil('two deliveries fail', () => causesOf(id).length >= 2);
    expect(causesOf(id)[0]).toMatch(cause);
    expect(receiver.received).toEqual([]);
    await world.redis.del(`qarr:{${id}}:job`);
  });
});

describe('a host that does not answer', () => {
  it('holds up neither the deliveries to others, nor jobs', async () => {
    const [drip, endless] = [await serve(dripHeaders), await serve(pourBody)];
    const hostile = [
      'http://127.0.0.1:1/',
      `http://127.0.0.1:${drip.port}/`,
      `http://127.0.0.1:${endless.port}/`,
      (await receive({ tls: stranger.issue('localhost') })).url,
    ];
    const ids: string[] = [];
    for (let round = 0; round < 10; round += 1) {
      for (const url of hostile) ids.push(await end(url));
    }
    await waitUntil('all that it may have are under way', () => drip.open === HOST_CONCURRENCY);
    const receiver = await receive();
    for (let round = 0; round < 10; round += 1) {
      const id = await end(receiver.url);
      await receiver.of(id);
    }
    expect(drip.open).toBe(HOST_CONCURRENCY);
    expect(drip.most).toBe(HOST_CONCURRENCY);
    await drip.stop();
    await Promise.all(ids.map((id) => world.redis.del(`qarr:{${id}}:job`)));
  });
});

describe('a webhook that is under way', () => {
  /** The one replica that runs. */
  let api: ApiProcess;
  let receiver: WebhookReceiver;

  beforeAll(() => void (api = world.api));

  /** Ends a job, whose webhook somebody takes without an answer. */
  async function endUnanswered(): Promise<string> {
    receiver = await receive();
    receiver.answer = () => {};
    const id = await end(receiver.url, api);
    await receiver.of(id);
    receiver.answer = status(204);
    return id;
  }

  async function expectAgain(id: string): Promise<void> {
    const [first, second] = await receiver.of(id, 2);
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(second?.raw).toBe(first?.raw);
  }

  it('is handed back by a replica that stops, for another', async () => {
    const id = await endUnanswered();
    expect(await api.stop()).toBe(0);
    const entry = `evt_${id.slice('job_'.length)}`;
    expect(await world.redis.lrange('{qarr:_webhooks}:active', 0, -1)).not.toContain(entry);
    expect(await world.redis.exists(`{qarr:_webhooks}:${entry}`)).toBe(1);
    api = await world.startApi();
    await expectAgain(id);
  });

  it('is delivered by another when its replica dies', async () => {
    const id = await endUnanswered();
    api.kill('SIGKILL');
    api = await world.startApi();
    await expectAgain(id);
  });

  it('is delivered when Redis, which was gone, is back', async () => {
    receiver = await receive();
    receiver.answer = status(500);
    const id = await end(receiver.url, api);
    await receiver.of(id);
    await world.redisServer.stop();
    const { stop } = await startRedisServer({
      port: world.redisServer.port,
      dir,
      settings: KILLABLE,
    });
    stopLater.push(stop);
    receiver.answer = status(204);
    const taken = receiver.received.length;
    await receiver.of(id, taken + 1);
    await waitUntil('nothing is left', async () => {
      const metrics = await (await fetch(`${api.opsUrl}/metrics`)).text();
      return metrics.includes('qarr_webhook_backlog 0\n');
    });
  });
});

interface Hostile {
  readonly port: number;
  readonly open: number;
  /** The most at once. */
  readonly most: number;
  stop(): Promise<void>;
}

/** A server that does this with each request. */
async function serve(onRequest: (socket: Socket) => void): Promise<Hostile> {
  const sockets = new Set<Socket>();
  let most = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    most = Math.max(most, sockets.size);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.once('data', () => onRequest(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  let stopping: Promise<void> | null = null;
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  onTestFinished(() => (stopping ??= stop()));
  return {
    port: (server.address() as AddressInfo).port,
    get open() {
      return sockets.size;
    },
    get most() {
      return most;
    },
    stop: () => (stopping ??= stop()),
  };
}

/** Header by header, without an end. */
function dripHeaders(socket: Socket): void {
  socket.write('HTTP/1.1 200 OK\r\n');
  const timer = setInterval(() => socket.write('x-a: b\r\n'), 50);
  socket.on('close', () => clearInterval(timer));
}

/** As fast as it is taken, without an end. */
function pourBody(socket: Socket): void {
  socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
  const chunk = `1000\r\n${'a'.repeat(0x10_00)}\r\n`;
  const pour = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', pour);
  pour();
}
