import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestWorker } from '../harness/api.ts';
import { KILLABLE } from '../harness/own-redis.ts';
import { startRedisServer } from '../harness/redis-server.ts';
import { waitUntil } from '../harness/wait-until.ts';

let dir: string;
const stopLater: (() => Promise<void>)[] = [];
let world: ApiWorld;
let worker: TestWorker;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'qarr-outage-'));
  world = await startApiWorld(
    { QARR_HEARTBEAT_MS: '200' },
    startRedisServer({ dir, settings: KILLABLE }),
  );
  worker = await world.startWorker('fast');
});
afterAll(async () => {
  await world.stop();
  for (const stop of stopLater) await stop();
  await rm(dir, { recursive: true, force: true });
});

const outages = {
  /** Answers nothing, and refuses nothing. */
  async frozen() {
    process.kill(world.redisServer.pid, 'SIGSTOP');
    return async () => void process.kill(world.redisServer.pid, 'SIGCONT');
  },
  async killed() {
    await world.redisServer.stop();
    return async () => {
      const { stop } = await startRedisServer({
        port: world.redisServer.port,
        dir,
        settings: KILLABLE,
      });
      stopLater.push(stop);
    };
  },
};
interface Submitted {
  id: string;
  urls: { self: string; events: string };
}

async function submit(): Promise<Submitted> {
  const response = await postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hello' });
  expect(response.status).toBe(202);
  return (await response.json()) as Submitted;
}

describe.each(['frozen', 'killed'] as const)('while Redis is %s', (kind) => {
  it('requests get 503 soon, the process lives, and goes on when Redis is back', async () => {
    const { id, urls } = await submit();
    const attempt = await worker.next(id);
    await attempt.say('a');
    const stream = await openStream(urls.events);
    await stream.until('"text":"a"');

    const recover = await outages[kind]();
    try {
      const chat = { messages: [{ role: 'user', content: 'Hello' }], stream: true };
      const [refused, healthy, ready, ...others] = await Promise.all([
        postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hello' }),
        fetch(`${world.api.url}/healthz`),
        fetch(`${world.api.url}/readyz`),
        postJson(`${world.api.url}/v1/chat/completions`, chat),
        fetch(urls.self),
        fetch(urls.events),
        fetch(`${urls.self}/cancel`, { method: 'POST' }),
        fetch(`${world.api.url}/v1/tiers`),
      ]);
      for (const response of [refused, ...others]) {
        expect([response.url, response.status]).toEqual([response.url, 503]);
        expect(response.headers.get('retry-after')).toBe('1');
        expect(await response.json()).toMatchObject({
          error: { code: 'queue_unavailable', type: 'server_error' },
        });
      }
      expect(healthy.status).toBe(200);
      expect(ready.status).toBe(503);
      expect(await ready.json()).toMatchObject({ ready: false, redis: false });
      // What needs no Redis goes on by what was known.
      const route = await postJson(`${world.api.url}/v1/route`, { prompt: 'Hello' });
      expect(route.status).toBe(200);
    } finally {
      await recover();
    }

    await waitUntil(
      'the API is ready again',
      async () => (await fetch(`${world.api.url}/readyz`)).status === 200,
    );
    // The stream that was open has lost nothing.
    await attempt.say('b');
    await attempt.complete();
    const text = await stream.end();
    const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, number]) => Number(number));
    expect(ids).toEqual([1, 2, 3, 4, 5]);
    expect(text).toContain('event: completed\n');

    await (await worker.next((await submit()).id)).complete();
  });
});
