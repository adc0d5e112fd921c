/** Requests that are sent again with the same `Idempotency-Key`, as they come over HTTP. */
import { randomUUID } from 'node:crypto';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw, openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld, TestWorker } from '../harness/api.ts';
import { startTcpProxy } from '../harness/tcp-proxy.ts';
import type { TcpProxy } from '../harness/tcp-proxy.ts';
import { waitUntil } from '../harness/wait-until.ts';

const messages = [{ role: 'user' as const, content: 'Hello' }];
const PATHS = ['/v1/jobs', '/v1/chat/completions'];
const PARALLEL = 1_000;
/** Of those, sent to the replica that is killed when nobody can say any more whether it was busy. */
const LATE = 20;
/** Fits into the window of the usual test worker, but not into a small one. */
const SIZED = { prompt: 'Hello', tier: 'fast', max_tokens: 300 };

let world: ApiWorld;
let other: ApiProcess;
let worker: TestWorker;

beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: '200' });
  other = await world.startApi();
  worker = await world.startWorker('fast');
});
afterAll(() => world.stop());

interface Job {
  id: string;
  status: string;
  position: number | null;
  estimated_wait_ms: number | null;
}

function withKey(key: string, more: Record<string, string> = {}): RequestInit {
  return { headers: { 'content-type': 'application/json', 'idempotency-key': key, ...more } };
}

function submit(key: string, body: object = { prompt: 'Hello' }, api = world.api) {
  return postJson(`${api.url}/v1/jobs`, body, withKey(key));
}

function openChat(key: string, api = world.api) {
  return openStream(`${api.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ messages, stream: true }),
    ...withKey(key),
  });
}

/** Whether a new request of that size would be taken. */
async function fits(): Promise<boolean> {
  return (await postJson(`${world.api.url}/v1/route`, SIZED)).status === 200;
}

function textOf(stream: string): string {
  return [...stream.matchAll(/"delta":\{[^}]*"content":"([^"]*)"/g)]
    .map(([, text]) => text)
    .join('');
}

/** All jobs that are made while this goes on. */
async function jobsMadeBy(
  act: (madeSoFar: () => Promise<string[]>) => Promise<unknown>,
): Promise<string[]> {
  const before = new Set(await world.jobIds());
  const madeSoFar = async () => (await world.jobIds()).filter((id) => !before.has(id));
  await act(madeSoFar);
  return madeSoFar();
}

describe.each(PATHS)('POST %s refuses a key', (path) => {
  it.each([
    ['without a character', ''],
    ['that is too long', 'k'.repeat(256)],
    ['with other characters', 'ключ'],
  ])('%s', async (_name, key) => {
    // No client would send the last one.
    const body = JSON.stringify({ prompt: 'Hello' });
    const raw = connectRaw(
      world.api.port,
      `POST ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nidempotency-key: ${key}\r\n` +
        `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    const text = await raw.closed();
    expect(text).toMatch(/^HTTP\/1.1 400 /);
    expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n')))).toEqual({
      error: {
        code: 'invalid_request',
        type: 'invalid_request_error',
        param: 'Idempotency-Key',
        message: 'Idempotency-Key must be given once, with 1 to 255 printable ASCII characters.',
      },
    });
  });

  it('that is given twice', async () => {
    const body = JSON.stringify({ prompt: 'Hello' });
    const raw = connectRaw(
      world.api.port,
      `POST ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nidempotency-key: a\r\n` +
        `idempotency-key: a\r\ncontent-type: application/json\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
    expect(await raw.closed()).toMatch(/^HTTP\/1.1 400 [^]*"param":"Idempotency-Key"/);
  });
});

it('is documented, as is the wait that a client prefers', async () => {
  const { paths } = (await (await fetch(`${world.api.url}/openapi.json`)).json()) as {
    paths: Record<string, { post: { parameters: { name: string; in: string }[] } }>;
  };
  const headersOf = (path: string) =>
    paths[path]?.post.parameters.flatMap((each) => (each.in === 'header' ? each.name : []));
  expect(headersOf('/v1/jobs')).toEqual(['idempotency-key', 'traceparent', 'prefer']);
  expect(headersOf('/v1/chat/completions')).toEqual(['idempotency-key', 'traceparent']);
});

describe('a job that is submitted again', () => {
  it('is the same one, in its present state, on every replica', async () => {
    const key = ` ${'k'.repeat(200)}: ~!{}`;
    const metadata = { one: '1', two: '2' };
    const first = await submit(key, { prompt: 'Hello', max_tokens: 5, metadata });
    expect([first.status, first.headers.get('idempotent-replayed')]).toEqual([202, null]);
    const job = (await first.json()) as Job;
    const attempt = await worker.next(job.id);
    await attempt.say('Hello');

    // The fields are the same, their order and spacing are not.
    const body = '{ "metadata": { "two": "2",  "one": "1" }, "max_tokens": 5, "prompt": "Hello" }';
    const again = () => postJson(`${other.url}/v1/jobs`, body, withKey(key));
    const second = await again();
    expect(second.status).toBe(202);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(second.headers.get('x-qarr-job')).toBe(job.id);
    expect(await second.json()).toMatchObject({
      id: job.id,
      status: 'running',
      tier: 'fast',
      route: ['default'],
      position: null,
      estimated_wait_ms: null,
      urls: { self: `${other.url}/v1/jobs/${job.id}` },
    });
    await attempt.complete();
    expect(await (await again()).json()).toMatchObject({ id: job.id, status: 'completed' });
  });

  it.each([
    ['another body', '/v1/jobs', { prompt: 'Hello!' }],
    ['another order of a list', '/v1/jobs', { prompt: 'Hello', stop: ['b', 'a'] }],
    ['another route', '/v1/chat/completions', { prompt: 'Hello', stop: ['a', 'b'] }],
  ])('with %s is refused, and makes no job', async (_name, path, body) => {
    const key = randomUUID();
    expect((await submit(key, { prompt: 'Hello', stop: ['a', 'b'] })).status).toBe(202);
    await (await worker.next()).complete();
    const made = await jobsMadeBy(async () => {
      const response = await postJson(`${other.url}${path}`, body, withKey(key));
      expect([response.status, response.headers.get('x-should-retry')]).toEqual([422, 'false']);
      expect(await response.json()).toMatchObject({
        error: { code: 'idempotency_key_reused', param: 'Idempotency-Key' },
      });
    });
    expect(made).toEqual([]);
  });

  it('keeps the id that its key was reserved for, when its first submitter died', async () => {
    const key = randomUUID();
    // Nobody pulls it.
    const body = { prompt: 'Hello', tier: 'precise' };
    const { id } = (await (await submit(key, body)).json()) as Job;
    await world.redis.del(`qarr:{${id}}:job`, `qarr:{${id}}:log`, `{qarr:precise}:${id}`);
    await world.redis.zrem('{qarr:precise}:prioritized', id);
    await world.redis.hset(`qarr:idem:anonymous:${key}`, 'written', '0');
    const again = await submit(key, body, other);
    expect(again.headers.get('idempotent-replayed')).toBeNull();
    expect(again.headers.get('x-qarr-job')).toBe(id);
    expect(await again.json()).toMatchObject({ id, status: 'queued', position: 1 });
    const look = await fetch(`${other.url}/v1/jobs/${id}`);
    expect(await look.json()).toMatchObject({ id, status: 'queued' });
  });

  it('does not run again when it has been removed', async () => {
    const key = randomUUID();
    const { id } = (await (await submit(key)).json()) as Job;
    await (await worker.next(id)).complete();
    await world.redis.del(`qarr:{${id}}:job`, `qarr:{${id}}:log`);
    const made = await jobsMadeBy(async () => {
      const response = await submit(key);
      expect([response.status, response.headers.get('x-should-retry')]).toEqual([410, 'false']);
      expect(await response.json()).toMatchObject({ error: { code: 'idempotent_job_gone' } });
    });
    expect(made).toEqual([]);
  });

  it('is attached to also where what is known now would refuse it', async () => {
    const key = randomUUID();
    const { id } = (await (await submit(key, SIZED)).json()) as Job;
    const attempt = await worker.next(id);
    // An engine with a small window appears.
    const small = await world.startWorker('fast', { max_model_len: 64 });
    try {
      await waitUntil('it is known', async () => !(await fits()));
      const again = await submit(key, SIZED);
      expect(again.headers.get('x-qarr-tier')).toBe('fast');
      expect(await again.json()).toMatchObject({ id, tier: 'fast', status: 'running' });
    } finally {
      await small.stop();
    }
    await waitUntil('it is forgotten', fits);
    await attempt.complete();
  });
});

describe('a chat that is sent again', () => {
  it('goes on when its client has left, and is streamed from its beginning', async () => {
    const key = randomUUID();
    const first = await openChat(key);
    const attempt = await worker.next();
    await attempt.say('One ');
    await first.until('One ');
    first.leave();
    const second = await openChat(key, other);
    await second.until('One ');
    expect(second.response.headers.get('idempotent-replayed')).toBe('true');
    await attempt.say('two');
    await second.until('two');
    expect(attempt.stopped).toBeNull();
    await attempt.complete();
    const text = await second.end();
    expect(textOf(text)).toBe('One two');
    expect(text).toMatch(/"finish_reason":"stop"[^]*data: \[DONE\]\n\n$/);
    // Once more, when it has ended.
    expect(textOf(await (await openChat(key)).end())).toBe('One two');
  });

  it('gets its text also when only the result is left', async () => {
    const key = randomUUID();
    const first = await openChat(key);
    const attempt = await worker.next();
    await attempt.say('One ');
    await attempt.say('two');
    await attempt.complete();
    await first.end();
    await world.redis.del(`qarr:{${attempt.job.jobId}}:log`);
    const text = await (await openChat(key, other)).end();
    expect(textOf(text)).toBe('One two');
    expect(text).toMatch(/"finish_reason":"stop"[^]*data: \[DONE\]\n\n$/);
  });

  it('that failed is answered with its failure, which is not worth another try', async () => {
    const key = randomUUID();
    const ask = () => postJson(`${world.api.url}/v1/chat/completions`, { messages }, withKey(key));
    const first = ask();
    await (await worker.next()).fail('upstream_error');
    for (const response of [await first, await ask()]) {
      expect([response.status, response.headers.get('x-should-retry')]).toEqual([502, 'false']);
      expect(await response.json()).toMatchObject({ error: { code: 'upstream_error' } });
    }
  });

  it("is one job for OpenAI's client, whole and streamed", async () => {
    const clients = [world.api, other].map(
      ({ url }) => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 }),
    );
    const body = { model: 'auto', messages };
    const made = await jobsMadeBy(async () => {
      const key = { headers: { 'Idempotency-Key': randomUUID() } };
      const asking = clients.map((client) => client.chat.completions.create(body, key));
      const attempt = await worker.next();
      await attempt.say('Hello world');
      await attempt.complete();
      const [one, two] = await Promise.all(asking);
      expect(one?.choices[0]?.message.content).toBe('Hello world');
      expect(two).toEqual(one);

      const streamKey = { headers: { 'Idempotency-Key': randomUUID() } };
      const streamed = clients.map(async (client) => {
        let text = '';
        const chunks = await client.chat.completions.create({ ...body, stream: true }, streamKey);
        for await (const chunk of chunks) text += chunk.choices[0]?.delta.content ?? '';
        return text;
      });
      const second = await worker.next();
      await second.say('Hello ');
      await second.say('again');
      await second.complete();
      expect(await Promise.all(streamed)).toEqual(['Hello again', 'Hello again']);
    });
    expect(made).toHaveLength(2);
  });
});

describe('a submission whose outcome is unknown', () => {
  let proxy: TcpProxy;
  let cut: ApiProcess;
  beforeAll(async () => {
    proxy = await startTcpProxy({ targetPort: world.redisServer.port });
    cut = await world.startApi({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
  });
  afterAll(async () => {
    await cut.stop();
    await proxy.stop();
  });

  /** Sends a request whose job is written, which its server does not get to know. Returns its id. */
  async function submitUnanswered(ask: () => Promise<Response>, advice: string): Promise<string> {
    await proxy.apply({ kind: 'latency', delayMs: 100 });
    const [id = ''] = await jobsMadeBy(async (madeSoFar) => {
      const asking = ask();
      const isWritten = async () => (await madeSoFar()).length === 1;
      await waitUntil('it is written', isWritten, { everyMs: 1 });
      await proxy.apply({ kind: 'black_hole', direction: 'down' });
      const response = await asking;
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
      expect(await response.json()).toMatchObject({
        error: { code: 'queue_unavailable', message: expect.stringContaining(advice) },
      });
    });
    await proxy.heal();
    return id;
  }

  it('is one job when it is sent again with its key', async () => {
    const key = randomUUID();
    const ask = () => submit(key, { prompt: 'Hello' }, cut);
    const id = await submitUnanswered(ask, 'send it again with the same Idempotency-Key');
    const more = await jobsMadeBy(async () => {
      const again = await waitUntil('Redis answers', async () => {
        const response = await ask();
        return response.status === 202 ? response : null;
      });
      expect(await again.json()).toMatchObject({ id });
      await (await worker.next(id)).complete();
    });
    expect(more).toEqual([]);
  });

  it('is cancelled where nobody waits for it', async () => {
    // Nobody pulls it.
    const body = { messages, model: 'precise' };
    const ask = () => postJson(`${cut.url}/v1/chat/completions`, body);
    const id = await submitUnanswered(ask, 'What was accepted of this request is cancelled');
    await waitUntil(
      'it is cancelled',
      async () => (await world.redis.hget(`qarr:{${id}}:job`, 'state')) === 'cancelled',
    );
  });

  it(`makes one job of ${PARALLEL} at once on four replicas, of which one is killed`, async () => {
    const victim = await world.startApi();
    const replicas = [world.api, other, cut, victim];
    const key = randomUUID();
    const ids = new Set<string>();
    let killed = 0;
    let answered = 0;
    /** As a client does it: on another replica, until it has an answer. */
    async function ask(index: number): Promise<void> {
      const api = replicas[index % replicas.length] ?? world.api;
      const response = await submit(key, { prompt: 'Hello' }, api).catch(() => null);
      if (response === null) killed += 1;
      // So many at once may be too much for this machine.
      if (response === null || response.status === 503) return ask(index + 1);
      expect(response.status).toBe(202);
      ids.add(((await response.json()) as Job).id);
      answered += 1;
    }
    const made = await jobsMadeBy(async () => {
      const asking = Array.from({ length: PARALLEL - LATE }, (_, index) => ask(index));
      await waitUntil('the first are answered', () => ids.size > 0, { everyMs: 1 });
      // In the middle of what it has, unless it was faster than this test could see: then it has
      // these, which it cannot answer any more.
      victim.kill('SIGSTOP');
      const late = Array.from({ length: LATE }, () => ask(replicas.indexOf(victim)));
      victim.kill('SIGKILL');
      await Promise.all([...asking, ...late]);
    });
    expect(killed).toBeGreaterThan(0);
    expect(answered).toBe(PARALLEL);
    expect([...ids]).toEqual(made);
    const attempt = await worker.next(made[0]);
    await attempt.complete();
  });
});
