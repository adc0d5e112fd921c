/** Redis dies and comes back on its data, freezes, or loses its listeners: with a real worker. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, StreamReader } from '../harness/api.ts';
import { startEngineProcess } from '../harness/engine-process.ts';
import { submitJob } from '../harness/native-client.ts';
import { KILLABLE } from '../harness/own-redis.ts';
import { startRedisServer } from '../harness/redis-server.ts';
import { startWorkerProcess } from '../harness/worker-process.ts';
import type { WorkerProcess } from '../harness/worker-process.ts';

/** Shorter than a lock: what runs goes on with its attempt. */
const OUTAGE_MS = 5_000;
const KILLS = 8;
const KILL_EVERY_MS = 250;
/** Each kind of error has one line a second. */
const LINES_MAX = 60;
/** Long enough to be caught at work. */
const JOB = { prompt: 'Tell me a story.', tier: 'fast', max_tokens: 60, ignore_eos: true };

let dir: string;
let world: ApiWorld;
let worker: WorkerProcess;
const stopLater: (() => Promise<void>)[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'qarr-outage-'));
  world = await startApiWorld(
    { QARR_HEARTBEAT_MS: '200' },
    startRedisServer({ dir, settings: KILLABLE }),
  );
}, 30_000);
afterAll(async () => {
  await world.stop();
  for (const stop of stopLater) await stop();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  const engine = await startEngineProcess('--profile=awq-24gb');
  worker = await startWorkerProcess({
    REDIS_URL: world.redisServer.url,
    QARR_UPSTREAM_URL: engine.url,
    QARR_WARMUP_REQUESTS: '1',
  });
});

const outages = {
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

function eventsOf(text: string): string[] {
  const frames = text.replaceAll(/^(: hb|retry: \d+)\n/gm, '').split(/(?<=\n\n)/);
  return frames.filter((frame) => frame.startsWith('id: '));
}

/** The whole of the stream is the log, and the log has an end. */
async function expectWhole(stream: StreamReader, id: string): Promise<void> {
  const seen = eventsOf(await stream.end());
  const entries = await world.redis.xrange(`qarr:{${id}}:log`, '-', '+');
  const log = entries.map(([seq, fields]) => {
    return `id: ${seq.slice(2)}\nevent: ${fields[1]}\ndata: ${fields[3]}\n\n`;
  });
  expect(seen).toEqual(log);
  expect(log.map((_, index) => index + 1)).toEqual(entries.map(([seq]) => Number(seq.slice(2))));
  expect(log.at(-1)).toContain('event: completed\n');
}

describe.each(['frozen', 'killed'] as const)('while Redis is %s for a while', (kind) => {
  it('nothing is lost, streams stay open, and the worker takes up again', async () => {
    const running = await submitJob(world.api.url, JOB);
    const stream = await openStream(running.urls.events);
    await stream.until('event: delta');
    const lines = { api: world.api.logs.length, worker: worker.logs.length };

    const recover = await outages[kind]();
    const refused = await postJson(`${world.api.url}/v1/jobs`, JOB);
    const textBefore = stream.text.length;
    await sleep(OUTAGE_MS);
    const isHeard = stream.text.slice(textBefore).includes(': hb\n');
    await recover();
    expect(refused.status).toBe(503);
    expect(isHeard).toBe(true);

    await expectWhole(stream, running.id);
    const next = await submitUntilAccepted();
    await expectWhole(await openStream(next.urls.events), next.id);
    expect(world.api.logs.length - lines.api).toBeLessThan(LINES_MAX);
    expect(worker.logs.length - lines.worker).toBeLessThan(LINES_MAX);
  });
});

it('a stream is whole while all who listen are cut off again and again', async () => {
  const { id, urls } = await submitJob(world.api.url, JOB);
  const stream = await openStream(urls.events);
  await stream.until('event: started');
  for (let kill = 0; kill < KILLS; kill += 1) {
    await world.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await sleep(KILL_EVERY_MS);
  }
  await expectWhole(stream, id);
});

/** The API may not have noticed yet that Redis is back. */
async function submitUntilAccepted() {
  for (;;) {
    const accepted = await submitJob(world.api.url, JOB).catch(() => null);
    if (accepted !== null) return accepted;
    await sleep(100);
  }
}
