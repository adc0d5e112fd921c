/**
 * What becomes of the connection of an event stream, which is taken from the HTTP server and given back
 * for the next request.
 */
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

function request(target: string, { version = '1.1', header = '' } = {}): string {
  return `GET ${target} HTTP/${version}\r\nhost: localhost\r\n${header}\r\n`;
}

const CHAT_REQUEST =
  `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
  `content-length: ${CHAT.length}\r\n\r\n${CHAT}`;

/** What comes after the headers. */
function bodyOf(response: string): string {
  return response.slice(response.indexOf('\r\n\r\n') + 4);
}

/** A body in chunks, whose framing must be right to the last byte, and what comes after it. */
function unchunked(text: string): { body: string; rest: string } {
  let rest = Buffer.from(text);
  let body = '';
  for (;;) {
    const line = rest.indexOf('\r\n');
    const bytes = Number.parseInt(rest.subarray(0, line).toString(), 16);
    const end = line + 2 + bytes;
    if (rest.subarray(end, end + 2).toString() !== '\r\n') throw new Error('Bad framing');
    body += rest.subarray(line + 2, end).toString();
    rest = rest.subarray(end + 2);
    if (bytes === 0) return { body, rest: rest.toString() };
  }
}

const LAST_CHUNK = '\r\n0\r\n\r\n';

it('carries the next requests after the stream, whose last chunk is empty', async () => {
  const raw = connectRaw(world.api.port, request(`${path}/events`));
  await raw.until('event: started');
  await attempt.say('Grüße, 世界');
  await attempt.complete();
  await raw.until(LAST_CHUNK);
  expect(raw.text).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  expect(raw.text).toMatch(/\r\nx-request-id: req_\w+\r\n/);
  expect(raw.text).toMatch(/\r\nconnection: keep-alive\r\n/i);
  expect((await figuresOf(world.api)).streams).toBe(0);

  raw.socket.write(CHAT_REQUEST);
  const chat = await worker.next();
  await chat.say('Grüße, 世界');
  await chat.complete();
  await raw.until('[DONE]');
  raw.socket.write(request(path));
  await raw.until('"object":"job"');
  raw.socket.write(request(`${path}/events`, { header: 'connection: close\r\n' }));
  const text = await raw.closed();

  const events = unchunked(bodyOf(text));
  expect(events.body).toContain('Grüße, 世界');
  expect(events.body).toMatch(/event: completed\ndata: .*\n\n$/);
  const chunks = unchunked(bodyOf(events.rest));
  expect(chunks.body).toMatch(/Grüße, 世界[^]*data: \[DONE\]\n\n$/);
  const [job = '', again = ''] = chunks.rest.split(/(?<=\})(?=HTTP)/);
  expect(JSON.parse(bodyOf(job))).toMatchObject({ object: 'job', status: 'completed' });
  expect(again).toMatch(/\r\nconnection: close\r\n/i);
  expect(unchunked(bodyOf(again))).toEqual({ body: events.body, rest: '' });
});

it('closes where its client has asked for that, or has written otherwise than most', async () => {
  await attempt.complete();
  for (const header of ['connection: close\r\n', 'accept:  */*\r\n']) {
    const raw = connectRaw(world.api.port, request(`${path}/events`, { header }));
    const text = await raw.closed();
    expect(text).toMatch(/\r\nconnection: close\r\n/i);
    expect(unchunked(bodyOf(text)).rest).toBe('');
  }
});

it('of HTTP/1.0 ends with the stream, which has no chunks', async () => {
  const raw = connectRaw(
    world.api.port,
    request(`${path}/events`, { version: '1.0', header: 'connection: keep-alive\r\n' }),
  );
  await raw.until('event: started');
  await attempt.complete();
  const text = await raw.closed();
  expect(text).not.toMatch(/transfer-encoding|keep-alive/i);
  expect(text).toMatch(/\r\n\r\n: hb\nid: 1\n[^]*event: completed\ndata: .*\n\n$/);
});

it('may have carried other requests before, also such as were not waited for', async () => {
  const raw = connectRaw(world.api.port, request(path));
  await raw.until('"object":"job"');
  raw.socket.write(request(path) + request(`${path}/events`));
  await raw.until('event: started');
  await attempt.complete();
  await raw.until(LAST_CHUNK);
  const { text } = raw;
  expect(text.match(/"object":"job"/g)?.length).toBe(2);
  expect(text.lastIndexOf('"object":"job"')).toBeLessThan(text.indexOf('event: queued'));
  expect(text).toMatch(/event: completed\ndata: .*\n\n\r\n0\r\n\r\n$/);
  raw.socket.destroy();
});

it.each([
  ['in one piece with the next request', request('/'), ''],
  ['in one piece with its first byte', 'G', 'ET / HTTP/1.1\r\n\r\n'],
  ['and the next in the middle', '', request('/')],
  ['and much in the middle', '', Buffer.alloc(1_000_000)],
])('carries no further answer when its request came %s', async (_name, before, inTheMiddle) => {
  const raw = connectRaw(world.api.port, request(`${path}/events`) + before);
  await raw.until('event: started');
  raw.socket.write(inTheMiddle);
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

it('does not hold up a replica that stops while it waits for its next request', async () => {
  const api = await world.startApi();
  await attempt.complete();
  const raw = connectRaw(api.port, request(`${path}/events`));
  await raw.until(LAST_CHUNK);
  expect(raw.socket.destroyed).toBe(false);
  expect(await api.stop()).toBe(0);
  await raw.closed();
});

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
