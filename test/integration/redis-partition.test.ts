/** The network between Redis and one side only is cut: bytes vanish, and nobody says so. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestWorker } from '../harness/api.ts';
import { startEngineProcess } from '../harness/engine-process.ts';
import { submitJob } from '../harness/native-client.ts';
import { startRedisServer } from '../harness/redis-server.ts';
import { startTcpProxy } from '../harness/tcp-proxy.ts';
import type { TcpProxy, Toxic } from '../harness/tcp-proxy.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerProcess } from '../harness/worker-process.ts';

/** Submits fail within a second; a busy machine gets three times as long. */
const FAIL_FAST_MS = 3_000;
/** Lines of one outage: a second has room for a line of each kind, and an outage for few kinds. */
const LINES_PER_SECOND_MAX = 10;

let world: ApiWorld;
let worker: TestWorker;
/** Between the API and Redis. */
let proxy: TcpProxy;
/** Connections to Redis that go past the proxy, by Redis's numbers. */
let direct: Set<number>;

beforeAll(async () => {
  const redisServer = await startRedisServer();
  proxy = await startTcpProxy({ targetPort: redisServer.port });
  const REDIS_URL = `redis://127.0.0.1:${proxy.port}`;
  world = await startApiWorld(
    // Only a new subscription leads back to the log in time, not the heartbeat of a stream.
    { REDIS_URL, QARR_HEARTBEAT_MS: '30000' },
    Promise.resolve(redisServer),
  );
  const apis = await clientIds();
  worker = await world.startWorker('fast');
  const own = await world.redis.client('ID');
  direct = new Set((await clientIds()).filter((id) => id === own || !apis.includes(id)));
}, 30_000);
afterEach(() => proxy.heal());
afterAll(async () => {
  await world.stop();
  await proxy.stop();
});

/** `black_hole` in the words of the proxy: `up` is from the client to Redis. */
async function cut(direction: 'up' | 'down' | 'both'): Promise<void> {
  const toxic: Toxic = { kind: 'black_hole', direction };
  await proxy.apply(toxic);
}

async function clientIds(): Promise<number[]> {
  const list = (await world.redis.client('LIST')) as string;
  return [...list.matchAll(/^id=(\d+) /gm)].map(([, id]) => Number(id));
}

/** Waits until Redis knows that these were given up, all but some: their end still gets through. */
async function untilGone(dead: readonly number[], { but = 0 } = {}): Promise<void> {
  expect(dead.length).toBeGreaterThan(1);
  await waitUntil('they are given up', async () => {
    const alive = await clientIds();
    return dead.filter((id) => alive.includes(id)).length <= but;
  });
}

async function logOf(id: string): Promise<string[]> {
  const entries = await world.redis.xrange(`qarr:{${id}}:log`, '-', '+');
  return entries.map(([seq, fields]) => {
    return `id: ${seq.slice(2)}\nevent: ${fields[1]}\ndata: ${fields[3]}\n\n`;
  });
}

function eventsOf(text: string): string[] {
  const frames = text.replaceAll(/^(: hb|retry: \d+)\n/gm, '').split(/(?<=\n\n)/);
  return frames.filter((frame) => frame.startsWith('id: '));
}

function expectBoundedLog(logs: readonly unknown[], { sinceMs }: { sinceMs: number }): void {
  const seconds = Math.ceil((performance.now() - sinceMs) / 1_000) + 1;
  expect(logs.length).toBeLessThan(seconds * LINES_PER_SECOND_MAX);
}

describe.each(['both', 'up', 'down'] as const)('an API whose way to Redis is cut (%s)', (way) => {
  it('refuses at once, keeps its streams, and catches up by new connections', async () => {
    const { id, urls } = await submitJob(world.api.url, { prompt: 'Hello' });
    const attempt = await worker.next(id);
    await attempt.say('a');
    const stream = await openStream(urls.events);
    await stream.until('"text":"a"');
    const begunMs = performance.now();
    const before = { lines: world.api.logs.length, accepted: proxy.counts.accepted };

    await cut(way);
    // Written while the reader's replica hears nothing.
    await attempt.say('b');
    const signal = AbortSignal.timeout(FAIL_FAST_MS);
    const refused = await Promise.all([
      postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hello' }, { signal }),
      fetch(urls.self, { signal }),
      fetch(`${urls.self}/cancel`, { method: 'POST', signal }),
    ]);
    for (const response of refused) {
      expect(response.status).toBe(503);
      expect(await response.json()).toMatchObject({ error: { code: 'queue_unavailable' } });
    }
    // Both the connection for commands and the one that listens have been given up.
    await waitUntil('new ones are tried', () => proxy.counts.accepted >= before.accepted + 2);
    // Where only its own words are lost, it still hears.
    if (way !== 'up') expect(stream.text).not.toContain('"text":"b"');
    await proxy.heal();

    await stream.until('"text":"b"');
    await attempt.say('c');
    await attempt.complete();
    expect(eventsOf(await stream.end())).toEqual(await logOf(id));
    expectBoundedLog(world.api.logs.slice(before.lines), { sinceMs: begunMs });
    const next = await submitJob(world.api.url, { prompt: 'Hello' });
    await (await worker.next(next.id)).complete();
  });
});

it('an API gives up every connection on which it hears nothing', async () => {
  const { id, urls } = await submitJob(world.api.url, { prompt: 'Hello' });
  const attempt = await worker.next(id);
  const stream = await openStream(urls.events);
  await stream.until('event: started');
  const dead = (await clientIds()).filter((client) => !direct.has(client));
  await cut('down');
  await untilGone(dead);
  await attempt.say('while it heard nothing');
  await proxy.heal();
  await stream.until('while it heard nothing');
  await attempt.complete();
  expect(eventsOf(await stream.end())).toEqual(await logOf(id));
});

it('a worker whose way to Redis is cut takes up again when it is whole', async () => {
  await worker.stop();
  const workerProxy = await startTcpProxy({ targetPort: world.redisServer.port });
  const engine = await startEngineProcess('--time-scale=0');
  const others = await clientIds();
  const workerProcess = await startWorkerProcess({
    REDIS_URL: `redis://127.0.0.1:${workerProxy.port}`,
    QARR_UPSTREAM_URL: engine.url,
    QARR_WARMUP_REQUESTS: '1',
  });
  const first = await submitJob(world.api.url, { prompt: 'Hello', max_tokens: 4 });
  await (await openStream(first.urls.events)).until('event: completed');

  const begunMs = performance.now();
  const linesBefore = workerProcess.logs.length;
  const dead = (await clientIds()).filter((client) => !others.includes(client));
  await workerProxy.apply({ kind: 'black_hole', direction: 'down' });
  // One for commands, one for each queue that waits for its next entry, one for control messages.
  expect(dead.length).toBe(4);
  // Without a batch the worker pulls none: on that one it waits for nothing that it could miss.
  await untilGone(dead, { but: 1 });
  const second = await submitJob(world.api.url, { prompt: 'Hello', max_tokens: 4 });
  const stream = await openStream(second.urls.events);
  await stream.until('event: queued');
  expect(stream.text).not.toContain('event: started');
  await workerProxy.heal();
  await stream.until('event: completed');
  expect(eventsOf(await stream.end())).toEqual(await logOf(second.id));
  expectBoundedLog(workerProcess.logs.slice(linesBefore), { sinceMs: begunMs });
  await workerProcess.stop();
  await workerProxy.stop();
});
