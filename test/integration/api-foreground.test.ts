/** Requests that wait for their answer: what becomes of their jobs when nobody waits any more. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw, openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld, TestWorker } from '../harness/api.ts';
import { startEngineProcess } from '../harness/engine-process.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerProcess } from '../harness/worker-process.ts';

const messages = [{ role: 'user', content: 'Hello' }];
const JSON_TYPE = { 'content-type': 'application/json' };
const PATIENT = { timeoutMs: 45_000, everyMs: 50 };

let world: ApiWorld;
let worker: TestWorker;

beforeAll(async () => {
  world = await startApiWorld({
    QARR_HEARTBEAT_MS: '200',
    QARR_REPLICA_LOST_MS: '2000',
    QARR_DRAIN_MS: '500',
    QARR_PREFER_WAIT_MS_MAX: '30000',
    // On a busy machine a worker may take long to be ready.
    QARR_INTERACTIVE_QUEUE_MS: '120000',
  });
  worker = await world.startWorker('fast');
});
afterAll(() => world.stop());

function openChat(
  api: ApiProcess,
  { key, ...fields }: { key?: string; [field: string]: unknown } = {},
) {
  return openStream(`${api.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { ...JSON_TYPE, ...(key === undefined ? {} : { 'idempotency-key': key }) },
    body: JSON.stringify({ messages, stream: true, ...fields }),
  });
}

function submitAndWait(prefer: string, api = world.api): Promise<Response> {
  const headers = { ...JSON_TYPE, prefer };
  return postJson(`${api.url}/v1/jobs`, { prompt: 'Hello' }, { headers });
}

async function stateOf(id: string): Promise<string | null> {
  return world.redis.hget(`qarr:{${id}}:job`, 'state');
}

describe('a client that prefers to wait', () => {
  it('gets the whole job, as it would look it up, once it has ended', async () => {
    const waiting = submitAndWait('respond-async, wait=99');
    const attempt = await worker.next();
    await attempt.say('Hello world');
    await attempt.complete();
    const response = await waiting;
    expect([response.status, response.headers.get('preference-applied')]).toEqual([200, 'wait=30']);
    const job = (await response.json()) as { id: string };
    expect(job).toMatchObject({ status: 'completed', result: { text: 'Hello world' } });
    const url = `${world.api.url}/v1/jobs/${job.id}`;
    expect(response.headers.get('location')).toBe(url);
    expect(job).toEqual(await (await fetch(url)).json());
  });

  it('is told that it was accepted, and its state, when the time is over', async () => {
    const waiting = submitAndWait('wait=1');
    const attempt = await worker.next();
    const response = await waiting;
    expect([response.status, response.headers.get('preference-applied')]).toEqual([202, 'wait=1']);
    expect(await response.json()).toMatchObject({
      id: attempt.job.jobId,
      status: 'running',
      position: null,
      estimated_wait_ms: null,
    });
    await attempt.complete();
  });

  it('is refused where it does not say for how long', async () => {
    const response = await submitAndWait('wait=soon');
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: {
        param: 'Prefer',
        message:
          'The wait of Prefer must be a whole number of seconds, as in wait=10; at most 30 count.',
      },
    });
  });

  it('may leave: its job goes on, and nobody follows it', async () => {
    const body = '{"prompt":"Hello"}';
    const raw = connectRaw(
      world.api.port,
      `POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\nprefer: wait=30\r\n` +
        `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    const attempt = await worker.next();
    const followers = () => world.redis.hget(`qarr:{${attempt.job.jobId}}:job`, 'followers');
    await waitUntil('it is held', followers);
    raw.socket.destroy();
    await waitUntil('nobody follows it', async () => (await followers()) === '');
    expect(attempt.stopped).toBeNull();
    await attempt.complete();
  });

  it('is answered early by a replica that stops', async () => {
    const api = await world.startApi();
    const waiting = submitAndWait('wait=30', api);
    const attempt = await worker.next();
    expect(await api.stop()).toBe(0);
    const response = await waiting;
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({ id: attempt.job.jobId, status: 'running' });
    await attempt.complete();
  });
});

describe('a chat', () => {
  it('is cancelled when its client leaves while Redis is away, once it is back', async () => {
    const stream = await openChat(world.api);
    const attempt = await worker.next();
    await attempt.say('Hel');
    await stream.until('Hel');
    const url = `${world.api.url}/v1/chat/completions`;
    const leaving = new AbortController();
    const { signal } = leaving;
    const whole = postJson(url, { messages }, { signal }).catch(() => null);
    const other = await worker.next();
    process.kill(world.redisServer.pid, 'SIGSTOP');
    try {
      stream.leave();
      leaving.abort();
      await whole;
      // The first tries have failed: a submission that came after them has.
      expect((await postJson(url, { messages })).status).toBe(503);
    } finally {
      process.kill(world.redisServer.pid, 'SIGCONT');
    }
    await waitUntil('they are told', () => attempt.stopped && other.stopped);
    await attempt.giveUp(1);
    await other.giveUp(0);
  });

  it('with a key outlives a replica that stops, and the retry gets all of it', async () => {
    const api = await world.startApi();
    const key = randomUUID();
    const stream = await openChat(api, { key });
    const attempt = await worker.next();
    await attempt.say('Hello ');
    await stream.until('Hello ');
    const headers = { ...JSON_TYPE, 'idempotency-key': `${key} whole` };
    const url = '/v1/chat/completions';
    const whole = postJson(`${api.url}${url}`, { messages }, { headers });
    const second = await worker.next();
    expect(await api.stop()).toBe(0);
    expect(await stream.end()).toMatch(/"code":"shutting_down"\}\}\n\n$/);
    expect((await whole).status).toBe(503);

    const again = await openChat(world.api, { key });
    const wholeAgain = postJson(`${world.api.url}${url}`, { messages }, { headers });
    await attempt.say('world');
    await again.until('world');
    await second.say('Hi');
    expect([attempt.stopped, second.stopped]).toEqual([null, null]);
    await attempt.complete();
    await second.complete();
    expect(await again.end()).toMatch(/"Hello "[^]*"world"[^]*data: \[DONE\]\n\n$/);
    expect(await (await wholeAgain).json()).toMatchObject({
      choices: [{ message: { content: 'Hi' } }],
    });
  });

  it('is cancelled when its replica is killed; jobs, and chats with a key, are not', async () => {
    const api = await world.startApi();
    const key = randomUUID();
    const streams = [await openChat(api), await openChat(api, { key })];
    const whole = postJson(`${api.url}/v1/chat/completions`, { messages }).catch(() => null);
    await postJson(`${api.url}/v1/jobs`, { prompt: 'Hello' });
    // One that waits: no tier but `fast` has a worker.
    const body = { messages, model: 'precise' };
    const waiting = postJson(`${api.url}/v1/chat/completions`, body).catch(() => null);
    const attempts = await Promise.all([0, 1, 2, 3].map(() => worker.next()));
    const jobs = new Map(attempts.map((attempt) => [attempt.job.jobId, attempt]));
    const idOf = (index: number) => streams[index]?.response.headers.get('x-qarr-job') ?? '';
    const waitingId = await waitUntil('it waits', async () =>
      (await world.redis.zrange('qarr:open', '0', '-1')).find((id) => !jobs.has(id)),
    );
    const here = await openChat(world.api);
    const alive = await worker.next();

    api.kill('SIGKILL');
    await Promise.all([whole, waiting]);
    await waitUntil('the one that waits is cancelled', async () => {
      return (await stateOf(waitingId)) === 'cancelled';
    });
    const toldOf = () => [...jobs.values()].filter(({ stopped }) => stopped !== null);
    await waitUntil('two are told', () => toldOf().length === 2);
    expect(jobs.get(idOf(0))?.stopped).toBe('told');
    expect([jobs.get(idOf(1))?.stopped, alive.stopped]).toEqual([null, null]);
    const again = await openChat(world.api, { key });
    await jobs.get(idOf(1))?.say('Hello');
    for (const attempt of jobs.values()) {
      await (attempt.stopped === null ? attempt.complete() : attempt.giveUp(0));
    }
    expect(await again.end()).toMatch(/"Hello"[^]*data: \[DONE\]\n\n$/);
    await alive.complete();
    await here.end();
    await waitUntil('nothing is left of it', async () => {
      const left = await world.redis.keys('qarr:bound:*');
      return left.length === 0 && (await world.redis.zcard('qarr:replicas')) === 1;
    });
  });

  it('frees its place on the engine when its client leaves, with 200 at once', async () => {
    await worker.stop();
    const CHATS = 200;
    const LONG = { model: 'fast', max_tokens: 2_000, ignore_eos: true };
    // Slow, so that this machine has little to do.
    const flags = ['--profile=awq-24gb', '--max-num-seqs=256', '--time-scale=6'];
    const engine = await startEngineProcess(...flags);
    await startWorkerProcess({
      REDIS_URL: world.redisServer.url,
      QARR_UPSTREAM_URL: engine.url,
      QARR_CONCURRENCY: '256',
      QARR_WARMUP_REQUESTS: '1',
    });
    const runningNow = async () => {
      const state = await (await fetch(`${engine.url}/_sim/state`)).json();
      return state as { running: number; waiting: number };
    };
    const open = Array.from({ length: CHATS }, () => openChat(world.api, LONG));
    const streams = await Promise.all(open);
    await waitUntil('many run', async () => (await runningNow()).running > CHATS / 8, PATIENT);
    for (const stream of streams) stream.leave();
    await waitUntil(
      'the engine is free',
      async () => {
        const { running, waiting } = await runningNow();
        return running === 0 && waiting === 0;
      },
      PATIENT,
    );
    const ids = streams.map(({ response }) => response.headers.get('x-qarr-job') ?? '');
    await waitUntil(
      'all are cancelled',
      async () => (await Promise.all(ids.map(stateOf))).every((state) => state === 'cancelled'),
      PATIENT,
    );
    for (const id of ids) {
      const [[, last] = ['', []]] = await world.redis.xrevrange(
        `qarr:{${id}}:log`,
        '+',
        '-',
        'COUNT',
        1,
      );
      expect(last[1]).toBe('cancelled');
    }
    await waitUntil(
      'nothing is bound any more',
      async () => (await world.redis.keys('qarr:bound:*')).length === 0,
    );
  }, 120_000);
});
