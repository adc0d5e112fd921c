import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TIMINGS, USAGE, connectRaw, openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, StreamReader, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

const HEARTBEAT = ': hb\n';
const FIRST_EVENT = 'event: queued\n';

let world: ApiWorld;
let worker: TestWorker;

/** `fast` has a worker, `precise` has none: what is sent there waits. */
beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: '200' });
  worker = await world.startWorker('fast');
});
afterAll(() => world.stop());

interface Job {
  id: string;
  status: string;
  urls: { self: string; events: string; cancel: string };
  [field: string]: unknown;
}

async function submit(fields: Record<string, unknown> = {}): Promise<Job> {
  const response = await postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hello', ...fields });
  expect(response.status).toBe(202);
  return (await response.json()) as Job;
}

async function get(url: string): Promise<Job> {
  return (await (await fetch(url)).json()) as Job;
}

function follow(job: Job, headers: Record<string, string> = {}): Promise<StreamReader> {
  return openStream(job.urls.events, { headers });
}

/** Heartbeats come when they come. */
function withoutHeartbeats(text: string): string {
  return text.replaceAll(HEARTBEAT, '');
}

/** Each frame as id, type and parsed data; whatever is no such frame fails. */
function framesOf(text: string): [id: number, type: string, data: Record<string, unknown>][] {
  const frames = withoutHeartbeats(text).split(/(?<=\n\n)/);
  return frames
    .filter((frame) => frame !== '')
    .map((frame) => {
      const match = /^id: (\d+)\nevent: (\w+)\ndata: (.*)\n\n$/.exec(frame);
      if (match === null) throw new Error(`Not a frame: ${JSON.stringify(frame)}`);
      return [Number(match[1]), match[2] ?? '', JSON.parse(match[3] ?? '')];
    });
}

function turn(content: string) {
  return { role: 'user', content };
}

async function runToTheEnd(job: Job, texts: string[]): Promise<void> {
  const attempt = await worker.next(job.id);
  for (const text of texts) await attempt.say(text);
  await attempt.complete();
}

describe('submitting a job', () => {
  it('is answered with 202, where to find it, and how it was routed', async () => {
    const response = await postJson(`${world.api.url}/v1/jobs`, {
      prompt: 'Hello',
      tier: 'precise',
    });
    const job = (await response.json()) as Job;
    const self = `${world.api.url}/v1/jobs/${job.id}`;
    expect(response.status).toBe(202);
    expect(job).toEqual({
      id: expect.stringMatching(/^job_[0-9a-f]{32}$/),
      object: 'job',
      status: 'queued',
      tier: 'precise',
      route: ['pinned'],
      rerouted: null,
      position: 1,
      estimated_wait_ms: null,
      dropped_messages: 0,
      urls: { self, events: `${self}/events`, cancel: `${self}/cancel` },
    });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      location: self,
      'content-type': 'application/json; charset=utf-8',
      'x-qarr-tier': 'precise',
      'x-qarr-route': 'pinned',
      'x-qarr-job': job.id,
      'x-request-id': expect.stringMatching(/^req_\w{32}$/),
    });
    await fetch(job.urls.cancel, { method: 'POST' });
  });

  it('gives URLs under the name that the client used, and under the address where it said none', async () => {
    const body = '{"prompt":"Hello","tier":"precise"}';
    const head = `content-type: application/json\r\ncontent-length: ${body.length}\r\n`;
    const named = connectRaw(
      world.api.port,
      `POST /v1/jobs HTTP/1.1\r\nhost: qarr.localhost:81\r\nconnection: close\r\n${head}\r\n${body}`,
    );
    expect(await named.closed()).toContain('location: http://qarr.localhost:81/v1/jobs/job_');
    const unnamed = connectRaw(world.api.port, `POST /v1/jobs HTTP/1.0\r\n${head}\r\n${body}`);
    expect(await unnamed.closed()).toContain(`location: ${world.api.url}/v1/jobs/job_`);
  });

  it('says how many stand before it', async () => {
    const first = await submit({ tier: 'balanced' });
    const second = await submit({ tier: 'balanced' });
    expect([first['position'], second['position']]).toEqual([1, 2]);
  });

  it('drops the oldest turns only where the client allows it, and says how many', async () => {
    const messages = [turn('word '.repeat(2_500)), turn('Hello')];
    const refused = await postJson(`${world.api.url}/v1/jobs`, { tier: 'fast', messages });
    expect(await refused.json()).toMatchObject({ error: { code: 'context_length_exceeded' } });

    const job = await submit({ prompt: undefined, tier: 'fast', messages, truncation: 'auto' });
    expect(job).toMatchObject({ dropped_messages: 1 });
    const attempt = await worker.next(job.id);
    expect(attempt.job.request).toMatchObject({ messages: [turn('Hello')] });
    await attempt.complete();
  });

  it('sends the engine what was understood, with the defaults that routing assumed', async () => {
    const job = await submit({ system_prompt: 'Be brief', stop: 'x', seed: 7, user: 'u' });
    const attempt = await worker.next(job.id);
    expect(attempt.job.request).toEqual({
      messages: [
        { role: 'system', content: 'Be brief' },
        { role: 'user', content: 'Hello' },
      ],
      max_tokens: 512,
      temperature: 0.7,
      stop: ['x'],
      seed: 7,
    });
    await attempt.complete();
  });
});

describe('looking a job up', () => {
  it('shows it as queued, running and completed', async () => {
    const job = await submit({ metadata: { a: 'b' } });
    const attempt = await worker.next(job.id);
    const waiting = await submit({ tier: 'precise' });
    expect(await get(waiting.urls.self)).toMatchObject({
      status: 'queued',
      attempt: 0,
      started_at: null,
    });

    const running = await get(job.urls.self);
    expect(running).toMatchObject({
      status: 'running',
      attempt: 1,
      result: null,
      finished_at: null,
    });

    await attempt.say('Hello ');
    await attempt.say('world');
    await attempt.complete();
    const done = await get(job.urls.self);
    expect(done).toEqual({
      id: job.id,
      object: 'job',
      status: 'completed',
      tier: 'fast',
      requested_tier: null,
      route: ['default'],
      class: 'standard',
      fallback: 'up',
      rerouted: null,
      batch: null,
      position: null,
      estimated_wait_ms: null,
      attempt: 1,
      created_at: expect.any(Number),
      started_at: expect.any(Number),
      finished_at: expect.any(Number),
      dropped_messages: 0,
      metadata: { a: 'b' },
      result: { text: 'Hello world', finish_reason: 'stop' },
      usage: USAGE,
      timings: TIMINGS,
      error: null,
      urls: job.urls,
    });
    // Seconds, not milliseconds.
    expect(Math.abs(Number(done['created_at']) - Date.now() / 1_000)).toBeLessThan(60);
  });

  it('shows a failed one with its error', async () => {
    const job = await submit();
    await (await worker.next(job.id)).fail('upstream_error');
    expect(await get(job.urls.self)).toMatchObject({
      status: 'failed',
      result: null,
      error: { code: 'upstream_error', message: 'The engine failed.', retryable: true },
    });
  });

  it('shows one that nobody pulled in time as expired', async () => {
    const job = await submit({ tier: 'precise', queue_timeout_ms: 1 });
    const stream = await follow(job);
    const last = framesOf(await stream.end()).at(-1);
    expect(last).toMatchObject([2, 'expired', { error: { code: 'queue_timeout' } }]);
    expect(await get(job.urls.self)).toMatchObject({
      status: 'expired',
      attempt: 0,
      error: { code: 'queue_timeout', retryable: true },
    });
  });
});

describe('following a job', () => {
  it('gives its events byte for byte, under headers that keep proxies from holding them back', async () => {
    const job = await submit();
    const stream = await follow(job);
    await runToTheEnd(job, ['Hello ', 'wörld\n🙂']);
    const { headers, status } = stream.response;
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(headers.get('cache-control')).toBe('no-cache, no-transform');
    expect(headers.get('x-accel-buffering')).toBe('no');
    expect(headers.get('content-encoding')).toBeNull();
    expect(headers.get('x-request-id')).toMatch(/^req_\w{32}$/);

    const text = await stream.end();
    expect(text.startsWith(HEARTBEAT)).toBe(true);
    const log = await world.redis.xrange(`qarr:{${job.id}}:log`, '-', '+');
    const written = log.map(([id, [, type, , data]]) => {
      return `id: ${id.slice(2)}\nevent: ${type}\ndata: ${data}\n\n`;
    });
    expect(withoutHeartbeats(text)).toBe(written.join(''));
    expect(framesOf(text)).toEqual([
      [
        1,
        'queued',
        { type: 'queued', tier: 'fast', route: ['default'], position: 1, estimated_wait_ms: 0 },
      ],
      [2, 'started', { type: 'started', tier: 'fast', worker: expect.any(String), attempt: 1 }],
      [3, 'delta', { type: 'delta', text: 'Hello ' }],
      [4, 'delta', { type: 'delta', text: 'wörld\n🙂' }],
      [
        5,
        'completed',
        { type: 'completed', finish_reason: 'stop', usage: USAGE, timings: TIMINGS },
      ],
    ]);
  });

  it.each([
    [
      'Last-Event-ID',
      (job: Job, id: number) =>
        openStream(job.urls.events, { headers: { 'last-event-id': String(id) } }),
    ],
    ['?after', (job: Job, id: number) => openStream(`${job.urls.events}?after=${id}`)],
    [
      'Last-Event-ID, which wins over ?after',
      (job: Job, id: number) =>
        openStream(`${job.urls.events}?after=1`, { headers: { 'last-event-id': String(id) } }),
    ],
  ])('goes on after any event by %s with the rest and only the rest', async (_name, resume) => {
    const job = await submit();
    await runToTheEnd(job, ['a', 'b', 'c']);
    const whole = framesOf(await (await follow(job)).end());
    expect(whole.map(([id]) => id)).toEqual([1, 2, 3, 4, 5, 6]);
    for (let after = 0; after < whole.length; after += 1) {
      const rest = await (await resume(job, after)).end();
      expect(framesOf(rest)).toEqual(whole.slice(after));
    }
  });

  it('goes on in the middle of a job that runs', async () => {
    const job = await submit();
    const attempt = await worker.next(job.id);
    await attempt.say('a');
    const first = await follow(job);
    await first.until('"text":"a"');
    first.leave();
    await attempt.say('b');
    const second = await follow(job, { 'last-event-id': '3' });
    await second.until('"text":"b"');
    await attempt.complete();
    expect(framesOf(await second.end()).map(([id, type]) => `${id} ${type}`)).toEqual([
      '4 delta',
      '5 completed',
    ]);
  });

  it('gives two readers the same, whenever they come, and one that leaves disturbs nobody', async () => {
    const job = await submit();
    const early = await follow(job);
    const leaver = await follow(job);
    const attempt = await worker.next(job.id);
    await attempt.say('a');
    await leaver.until('"text":"a"');
    leaver.leave();
    await attempt.say('b');
    const late = await follow(job);
    await attempt.say('c');
    await attempt.complete();
    const [first, second] = [await early.end(), await late.end()];
    expect(withoutHeartbeats(second)).toBe(withoutHeartbeats(first));
    expect(framesOf(first)).toHaveLength(6);

    const seen = framesOf(leaver.text);
    const rest = await (await follow(job, { 'last-event-id': String(seen.length) })).end();
    expect([...seen, ...framesOf(rest)]).toEqual(framesOf(first));
  });

  it('gives heartbeats while nothing happens: a comment with one newline, which ends no event', async () => {
    const job = await submit({ tier: 'precise' });
    const stream = await follow(job);
    await stream.until(HEARTBEAT.repeat(3));
    const [first, ...others] = framesOf(stream.text);
    expect([first?.[1], others]).toEqual(['queued', []]);
    expect(stream.text).toMatch(/^: hb\nid: 1\n[^\n]+\n[^\n]+\n\n(: hb\n)+$/);
    stream.leave();
  });

  it('answers 204 after the end, so that an EventSource does not come back', async () => {
    const job = await submit();
    await runToTheEnd(job, ['a']);
    for (const response of [
      await fetch(job.urls.events, { headers: { 'last-event-id': '4' } }),
      await fetch(`${job.urls.events}?after=4`),
    ]) {
      expect([response.status, await response.text()]).toEqual([204, '']);
    }
  });

  it.each([
    ['the header', 'Last-Event-ID', ''],
    ['the query', 'after', '?after=5'],
  ])(
    'answers 400 beyond the end, with the newest number there is: by %s',
    async (_name, param, query) => {
      const job = await submit();
      await runToTheEnd(job, ['a']);
      const headers = query === '' ? { 'last-event-id': '5' } : undefined;
      const response = await fetch(job.urls.events + query, headers && { headers });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        error: {
          code: 'invalid_cursor',
          param,
          message: expect.stringContaining('the newest is 4'),
        },
      });
    },
  );

  it.each(['banana', '-1', '1.5', '1e3', '99999999999999999999', '0x1'])(
    'answers 400 to the cursor %j',
    async (cursor) => {
      const job = await submit({ tier: 'precise' });
      const header = await fetch(job.urls.events, { headers: { 'last-event-id': cursor } });
      const query = await fetch(`${job.urls.events}?after=${cursor}`);
      expect([header.status, query.status]).toEqual([400, 400]);
      const [byHeader, byQuery] = [await header.json(), await query.json()];
      expect(byHeader).toMatchObject({
        error: { code: 'invalid_request', param: 'Last-Event-ID' },
      });
      expect(byQuery).toMatchObject({ error: { code: 'invalid_request', param: 'after' } });
    },
  );

  it('tells a reader with HTTP/1.0 the end by closing', async () => {
    const job = await submit();
    const raw = connectRaw(
      world.api.port,
      `GET /v1/jobs/${job.id}/events HTTP/1.0\r\nhost: localhost\r\n\r\n`,
    );
    await raw.until(FIRST_EVENT);
    await runToTheEnd(job, ['a']);
    const text = await raw.closed();
    expect(text).toContain('event: completed\n');
    expect(text).toMatch(/^connection: close\r$/im);
  });

  it('leaves the connection free for the next request of a client that only asks for headers', async () => {
    const job = await submit({ tier: 'precise' });
    const raw = connectRaw(
      world.api.port,
      `HEAD /v1/jobs/${job.id}/events HTTP/1.1\r\nhost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n`,
    );
    await raw.until('{"ok":true}');
    raw.socket.destroy();
  });
});

async function cancel(job: Job, init: RequestInit = {}): Promise<unknown> {
  const response = await fetch(job.urls.cancel, { method: 'POST', ...init });
  expect(response.status).toBe(200);
  return response.json();
}

async function cancelledByApi(): Promise<number> {
  const page = await (await fetch(`${world.api.opsUrl}/metrics`)).text();
  const ends = page.matchAll(/^qarr_jobs_total\{tier="precise",.*outcome="cancelled"\} (\d+)$/gm);
  return [...ends].reduce((sum, [, count]) => sum + Number(count), 0);
}

describe('cancelling a job', () => {
  it('takes one that waits out at once: it never ran', async () => {
    const before = await cancelledByApi();
    const job = await submit({ tier: 'precise' });
    const stream = await follow(job);
    const receipt = {
      id: job.id,
      object: 'job.cancellation',
      status: 'cancelled',
      ran: false,
      tokens: 0,
    };
    expect(await cancel(job)).toEqual(receipt);
    expect(framesOf(await stream.end()).at(-1)).toMatchObject([2, 'cancelled', { ran: false }]);
    // Once more changes nothing.
    expect(await cancel(job)).toEqual(receipt);
    expect(await get(job.urls.self)).toMatchObject({ status: 'cancelled', error: null });
    // No worker has ended it: the API counts it, once.
    expect(await cancelledByApi()).toBe(before + 1);
  });

  it('tells the worker of one that runs, and says how many tokens it had made', async () => {
    const job = await submit();
    const attempt = await worker.next(job.id);
    await attempt.say('a');
    const receipt = cancel(job);
    await waitUntil('the worker is told', () => attempt.stopped === 'told');
    await attempt.giveUp(3);
    expect(await receipt).toMatchObject({ status: 'cancelled', ran: true, tokens: 3 });
  });

  it('says so where the worker does not answer', async () => {
    const job = await submit();
    const attempt = await worker.next(job.id);
    expect(await cancel(job)).toMatchObject({ status: 'running', ran: true, tokens: null });
    await attempt.giveUp(0);
  });

  it('leaves a completed one as it is', async () => {
    const job = await submit();
    await runToTheEnd(job, ['a']);
    expect(await cancel(job)).toMatchObject({ status: 'completed', ran: true, tokens: 2 });
    expect(await get(job.urls.self)).toMatchObject({ status: 'completed' });
  });

  it("takes the empty body with a JSON content type that OpenAI's Python client sends", async () => {
    const job = await submit({ tier: 'precise' });
    const init = { headers: { 'content-type': 'application/json' }, body: '' };
    expect(await cancel(job, init)).toMatchObject({ status: 'cancelled' });
  });
});
