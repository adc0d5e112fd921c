import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectRaw, openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

const messages = [{ role: 'user', content: 'Hello' }];

let world: ApiWorld;
let worker: TestWorker;
let api: ApiProcess;

beforeEach(async () => {
  world = await startApiWorld({ QARR_DRAIN_MS: '2000', QARR_HEARTBEAT_MS: '200' });
  api = world.api;
  worker = await world.startWorker('fast');
});
afterEach(() => world.stop());

async function submit(): Promise<string> {
  const response = await postJson(`${api.url}/v1/jobs`, { prompt: 'Hello' });
  return ((await response.json()) as { id: string }).id;
}

function eventsUrl(replica: ApiProcess, id: string): string {
  return `${replica.url}/v1/jobs/${id}/events`;
}

async function untilStopping(): Promise<void> {
  await waitUntil('the API is stopping', async () => {
    const response = await fetch(`${api.url}/readyz`);
    const { ready, stopping } = (await response.json()) as { ready: boolean; stopping: boolean };
    if (stopping) expect([response.status, ready]).toEqual([503, false]);
    return stopping;
  });
}

/** As events are stored: what a reader has got of them, without heartbeats. */
function eventsOf(text: string): string[] {
  return text
    .replaceAll(': hb\n', '')
    .split(/(?<=\n\n)/)
    .filter((frame) => frame.startsWith('id: '));
}

describe('a replica that is told to stop', () => {
  it('ends with code 0 when nothing is open', async () => {
    expect(await api.stop()).toBe(0);
  });

  it('lets a job that ends in time reach its reader', async () => {
    const id = await submit();
    const attempt = await worker.next(id);
    const stream = await openStream(eventsUrl(api, id));
    api.kill('SIGTERM');
    await untilStopping();
    await attempt.say('Hello');
    await attempt.complete();
    const text = await stream.end();
    expect(text).toContain('event: completed\n');
    expect(text).not.toContain('retry:');
    expect(await api.exited).toBe(0);
  });

  it('hands a stream over to another replica without a gap', async () => {
    const other = await world.startApi();
    const id = await submit();
    const attempt = await worker.next(id);
    await attempt.say('a');
    const stream = await openStream(eventsUrl(api, id));
    await stream.until('"text":"a"');
    api.kill('SIGTERM');
    await untilStopping();
    await attempt.say('b');
    const first = await stream.end();
    expect(first).toMatch(/\n\n(: hb\n)*retry: \d+\n\n$/);
    expect(await api.exited).toBe(0);

    await attempt.say('c');
    const seen = eventsOf(first);
    const resumed = await openStream(eventsUrl(other, id), {
      headers: { 'last-event-id': String(seen.length) },
    });
    await attempt.complete();
    const rest = eventsOf(await resumed.end());
    const whole = eventsOf(await (await openStream(eventsUrl(other, id))).end());
    expect(whole).toHaveLength(6);
    expect([...seen, ...rest]).toEqual(whole);
  });

  it('ends chats with an error that says so, and cancels their jobs', async () => {
    const stream = await openStream(`${api.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages, stream: true }),
    });
    const streamed = await worker.next();
    await streamed.say('Hel');
    const answer = postJson(`${api.url}/v1/chat/completions`, { messages });
    const whole = await worker.next();
    api.kill('SIGTERM');

    const text = await stream.end();
    expect(text).toContain('"Hel"');
    expect(text).toMatch(/data: \{"error":\{[^\n]+"code":"shutting_down"\}\}\n\n$/);
    const response = await answer;
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await response.json()).toMatchObject({ error: { code: 'shutting_down' } });
    await waitUntil('the workers are told', () => streamed.stopped && whole.stopped);
    await streamed.giveUp(1);
    await whole.giveUp(0);
    expect(await api.exited).toBe(0);
  });

  it('takes no new work while it drains, and says when to come back', async () => {
    const stream = await openStream(eventsUrl(api, await submit()));
    const before = await world.jobIds();
    api.kill('SIGTERM');
    await untilStopping();
    for (const path of ['/v1/jobs', '/v1/chat/completions']) {
      // As large as a body may be: its answer must get through all the same.
      const prompt = 'x'.repeat(9_000_000);
      const response = await postJson(api.url + path, { prompt });
      expect(response.status).toBe(503);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        'retry-after': '1',
        'retry-after-ms': '1000',
        connection: 'close',
      });
      expect(await response.json()).toMatchObject({ error: { code: 'shutting_down' } });
    }
    expect(await world.jobIds()).toEqual(before);
    stream.leave();
    expect(await api.exited).toBe(0);
  });

  it('answers a request that was on its way', async () => {
    const body = JSON.stringify({ prompt: 'Hello' });
    const raw = connectRaw(
      api.port,
      `POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
    );
    await fetch(`${api.url}/healthz`);
    api.kill('SIGTERM');
    await untilStopping();
    raw.socket.write(body);
    expect(await raw.closed()).toMatch(/^HTTP\/1.1 503 [^]*"code":"shutting_down"\}\}$/);
    expect(await api.exited).toBe(0);
  });

  it.each(['SIGSTOP', 'SIGKILL'] as const)('ends also when Redis is gone (%s)', async (signal) => {
    const other = await startApiWorld({ QARR_DRAIN_MS: '200' });
    const stream = await openStream(`${other.api.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages, stream: true }),
    });
    process.kill(other.redisServer.pid, signal);
    try {
      expect(await other.api.stop()).toBe(0);
      expect(await stream.end()).toMatch(/"code":"shutting_down"\}\}\n\n$/);
    } finally {
      await other.redisServer.stop();
      await other.stop();
    }
  });
});
