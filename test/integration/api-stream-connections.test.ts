/** What becomes of the connection of an event stream, which is taken from the HTTP server. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { connectRaw, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestAttempt, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { figuresOf } from '../soak/process-figures.ts';

const CHAT = JSON.stringify({ prompt: 'Hello', stream: true });

let world: ApiWorld;
let worker: TestWorker;
let attempt: TestAttempt;
let path: string;

beforeAll(async () => {
  world = await startApiWorld();
  worker = await world.startWorker('fast');
});
afterAll(() => world.stop());

beforeEach(async () => {
  const response = await postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hello' });
  attempt = await worker.next(((await response.json()) as { id: string }).id);
  path = `/v1/jobs/${attempt.job.jobId}`;
});

function request(target: string, version = '1.1'): string {
  return `GET ${target} HTTP/${version}\r\nhost: localhost\r\n\r\n`;
}

/** The body of a response in chunks, whose framing must be right to the last byte. */
function unchunked(response: string): string {
  let rest = Buffer.from(response.slice(response.indexOf('\r\n\r\n') + 4));
  let body = '';
  for (;;) {
    const line = rest.indexOf('\r\n');
    const bytes = Number.parseInt(rest.subarray(0, line).toString(), 16);
    const end = line + 2 + bytes;
    if (rest.subarray(end, end + 2).toString() !== '\r\n') throw new Error('Bad framing');
    body += rest.subarray(line + 2, end).toString();
    rest = rest.subarray(end + 2);
    if (bytes === 0) {
      expect(rest.length).toBe(0);
      return body;
    }
  }
}

it('is told to close after the stream, and comes in chunks of which the last is empty', async () => {
  const raw = connectRaw(world.api.port, request(`${path}/events`));
  await raw.until('event: started');
  await attempt.say('Grüße, 世界');
  await attempt.complete();
  const text = await raw.closed();
  expect(text).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  expect(text).toMatch(/\r\nx-request-id: req_\w+\r\n/);
  expect(text).toMatch(/\r\nconnection: close\r\n/i);
  const body = unchunked(text);
  expect(body).toContain('Grüße, 世界');
  expect(body).toMatch(/event: completed\ndata: .*\n\n$/);
});

it('carries a chat in the same way', async () => {
  const raw = connectRaw(
    world.api.port,
    `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
      `content-length: ${CHAT.length}\r\n\r\n${CHAT}`,
  );
  const chat = await worker.next();
  await chat.say('Grüße, 世界');
  await chat.complete();
  expect(unchunked(await raw.closed())).toMatch(/Grüße, 世界[^]*data: \[DONE\]\n\n$/);
});

it('of HTTP/1.0 ends with the stream, which has no chunks', async () => {
  const raw = connectRaw(world.api.port, request(`${path}/events`, '1.0'));
  await raw.until('event: started');
  await attempt.complete();
  const text = await raw.closed();
  expect(text).not.toMatch(/transfer-encoding/i);
  expect(text).toMatch(/\r\n\r\n: hb\nid: 1\n[^]*event: completed\ndata: .*\n\n$/);
});

it('may have carried other requests before, also such as were not waited for', async () => {
  const raw = connectRaw(world.api.port, request(path));
  await raw.until('"object":"job"');
  raw.socket.write(request(path) + request(`${path}/events`));
  await raw.until('event: started');
  await attempt.complete();
  const text = await raw.closed();
  expect(text.match(/"object":"job"/g)?.length).toBe(2);
  expect(text.lastIndexOf('"object":"job"')).toBeLessThan(text.indexOf('event: queued'));
  expect(text).toMatch(/event: completed\ndata: .*\n\n\r\n0\r\n\r\n$/);
});

it('carries no further answer, whatever is sent on it', async () => {
  const raw = connectRaw(world.api.port, request(`${path}/events`) + request(path));
  await raw.until('event: started');
  raw.socket.write(request(path));
  raw.socket.write(Buffer.alloc(1_000_000));
  await attempt.say('more');
  await raw.until('more');
  await attempt.complete();
  expect((await raw.closed()).match(/HTTP\/1.1/g)?.length).toBe(1);
});

it.each(['end', 'destroy', 'resetAndDestroy'] as const)(
  'is given up at once when its reader leaves (%s)',
  async (leave) => {
    const raw = connectRaw(world.api.port, request(`${path}/events`));
    await raw.until('event: started');
    expect((await figuresOf(world.api)).streams).toBe(1);
    raw.socket[leave]();
    await waitUntil('it is gone', async () => (await figuresOf(world.api)).streams === 0);
    await raw.closed();
    await attempt.complete();
  },
);

it('does not hold up a replica that stops, also where its reader is stuck', async () => {
  const api = await world.startApi();
  const raw = connectRaw(api.port, request(`${path}/events`));
  await raw.until('event: started');
  raw.socket.pause();
  await attempt.pour('x'.repeat(100_000), 100);
  expect(await api.stop()).toBe(0);
  raw.socket.destroy();
  await attempt.complete();
});
