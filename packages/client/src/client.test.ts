/** Against servers that do what the API does only on bad days; the API itself is in `test/`. */
import type { ServerResponse } from 'node:http';
import { describe, expect, test, vi } from 'vitest';
import { createClient } from './client.ts';
import { clientOf, failureOf, json, refuse } from './server-for-test.ts';

// A busy machine is no failure.
vi.setConfig({ testTimeout: 30_000 });

const JOB = { id: 'job_1', object: 'job', status: 'queued' };

const accept = (response: ServerResponse) => json(response, 202, JOB);
const busy = (response: ServerResponse) =>
  refuse(response, 503, 'overloaded', { 'retry-after-ms': '5', 'x-request-id': 'req_1' });

describe('a request', () => {
  test('is sent again with the same key when the answer got lost, and comes back when it is told to', async () => {
    const { client, requests } = await clientOf([
      (response) => response.destroy(),
      (response) => refuse(response, 503, 'queue_unavailable', { 'retry-after-ms': '120' }),
      accept,
    ]);
    expect(await client.submit({ prompt: 'x' })).toEqual(JOB);
    const keys = requests.map(({ headers }) => headers['idempotency-key']);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(keys).size).toBe(1);
    await client.submit({ prompt: 'x' });
    expect(requests.at(-1)?.headers['idempotency-key']).not.toBe(keys[0]);
    await client.submit({ prompt: 'x' }, { idempotencyKey: 'mine' });
    expect(requests.at(-1)?.headers['idempotency-key']).toBe('mine');
  });

  test('is not sent again before it is told to', async () => {
    let toldAtMs = 0;
    let againAtMs = 0;
    const { client } = await clientOf([
      (response) => {
        toldAtMs = performance.now();
        refuse(response, 429, 'rate_limit_exceeded', { 'retry-after-ms': '200' });
      },
      (response) => {
        againAtMs = performance.now();
        accept(response);
      },
    ]);
    await client.submit({ prompt: 'x' });
    // A timer may be early by a millisecond.
    expect(againAtMs - toldAtMs).toBeGreaterThanOrEqual(199);
  });

  test('says all that the last answer said', async () => {
    const { client, requests } = await clientOf([busy], { maxRetries: 1 });
    expect(await failureOf(client.submit({ prompt: 'x' }))).toMatchObject({
      name: 'QarrClientError',
      code: 'overloaded',
      message: 'No.',
      status: 503,
      retryable: true,
      requestId: 'req_1',
      retryAfterMs: 5,
      param: 'p',
    });
    expect(requests).toHaveLength(2);
  });

  test.each<[number, string, Record<string, string>, number]>([
    [400, 'invalid_request', {}, 1],
    [401, 'invalid_api_key', {}, 1],
    [400, 'job_cancelled', {}, 1],
    [408, 'request_timeout', {}, 3],
    [500, 'internal_error', {}, 3],
    [504, 'run_timeout', { 'x-should-retry': 'false' }, 1],
    [400, 'odd', { 'x-should-retry': 'true' }, 3],
    // Longer than anybody wants to wait without knowing.
    [503, 'storage_full', { 'retry-after-ms': '60001' }, 1],
  ])('that gets %i %s %o is sent so often: %i', async (status, code, headers, times) => {
    const { client, requests } = await clientOf([
      (response) => refuse(response, status, code, { 'retry-after-ms': '0', ...headers }),
    ]);
    expect(await failureOf(client.tiers())).toMatchObject({ code, status });
    expect(requests).toHaveLength(times);
  });

  test('goes to another replica when one fails', async () => {
    const first = await clientOf([(response) => refuse(response, 500, 'internal_error')]);
    const second = await clientOf([accept]);
    const client = createClient({ baseUrl: [first.baseUrl, `${second.baseUrl}/v1/`] });
    await client.submit({ prompt: 'x' });
    await client.submit({ prompt: 'x' });
    expect([first.requests.length, second.requests.length]).toEqual([1, 2]);
  });

  test('carries the key, asked for each time', async () => {
    let count = 0;
    const { client, requests } = await clientOf([busy, accept], {
      apiKey: async () => `key-${++count}`,
    });
    await client.submit({ prompt: 'x' });
    expect(requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer key-1',
      'Bearer key-2',
    ]);
  });

  test.each<[string, (response: ServerResponse) => void, string]>([
    ['a page', (response) => response.writeHead(200).end('<p>hello'), 'bad_answer'],
    ['a proxy', (response) => response.writeHead(404).end('<p>hello'), 'http_error'],
    ['endless', (response) => response.writeHead(200).end('x'.repeat(2_000)), 'bad_answer'],
    ['silence', () => {}, 'timeout'],
    ['half an answer', (response) => halfAnswer(response), 'network_error'],
  ])('says what is wrong with %s', async (_name, answer, code) => {
    const timeoutMs = code === 'timeout' ? 50 : 20_000;
    const options = { answerCharsMax: 1_000, timeoutMs, maxRetries: 0 };
    const { client } = await clientOf([answer], options);
    expect(await failureOf(client.get('job_1'))).toMatchObject({ code });
  });

  test('is not made with an option that cannot be', () => {
    expect(() => createClient({ baseUrl: [] })).toThrow('baseUrl');
    expect(() => createClient({ baseUrl: 'http://x', maxRetries: -1 })).toThrow('maxRetries');
    expect(() => createClient({ baseUrl: 'http://x', silenceMs: Number.NaN })).toThrow('silenceMs');
  });
});

describe('whoever gives up', () => {
  const reason = new Error('enough');

  test.each<[string, (response: ServerResponse) => void]>([
    ['while it waits for an answer', () => {}],
    [
      'while it waits to try again',
      (response) => refuse(response, 503, 'x', { 'retry-after': '9' }),
    ],
    ['in the middle of an answer', (response) => response.writeHead(200).write('{"id"')],
  ])('is let go %s', async (_name, answer) => {
    const giving = new AbortController();
    const { client, requests } = await clientOf([
      (response) => {
        answer(response);
        setTimeout(() => giving.abort(reason), 20);
      },
    ]);
    const error = await failureOf(client.submit({ prompt: 'x' }, { signal: giving.signal }));
    expect(error).toMatchObject({ code: 'aborted', retryable: false, cause: reason });
    expect(requests).toHaveLength(1);
  });

  test('before the beginning asks nothing', async () => {
    const { client, requests } = await clientOf([accept]);
    const signal = AbortSignal.abort(reason);
    expect(await failureOf(client.submit({ prompt: 'x' }, { signal }))).toMatchObject({
      code: 'aborted',
    });
    expect(await failureOf(client.stream('job_1', { signal }).next())).toMatchObject({
      code: 'aborted',
    });
    expect(requests).toHaveLength(0);
  });

  test('is let go from a stream, and so is the server', async () => {
    const giving = new AbortController();
    const closed = Promise.withResolvers<void>();
    const { client } = await clientOf([
      (response) => {
        response.on('close', closed.resolve);
        response.writeHead(200).write('id: 1\ndata: {"type":"delta","text":"x"}\n\n');
      },
    ]);
    const stream = client.stream('job_1', { signal: giving.signal });
    expect(await stream.next()).toMatchObject({ value: { seq: 1, text: 'x' } });
    const next = failureOf(stream.next());
    giving.abort(reason);
    expect(await next).toMatchObject({ code: 'aborted', cause: reason });
    await closed.promise;
  });

  test('by leaving the loop closes the connection', async () => {
    const closed = Promise.withResolvers<void>();
    const { client } = await clientOf([
      (response) => {
        response.on('close', closed.resolve);
        response.writeHead(200).write('id: 1\ndata: {"type":"delta","text":"x"}\n\n');
      },
    ]);
    for await (const _event of client.stream('job_1')) break;
    await closed.promise;
  });
});

describe('a stream', () => {
  test('is taken up where it stopped, also when nothing comes any more', async () => {
    const { client, requests } = await clientOf(
      [
        // Silent after the first event.
        (response) => response.writeHead(200).write(event(1, 'queued')),
        // Cut in the middle of the second.
        (response) => response.writeHead(200).end('id: 2\ndata: {"type":"sta'),
        (response) => response.writeHead(200).end(event(2, 'started') + event(3, 'completed')),
      ],
      { silenceMs: 500 },
    );
    const seen: unknown[] = [];
    for await (const each of client.stream({ id: 'job/1' })) seen.push(each);
    expect(seen).toEqual([
      { type: 'queued', seq: 1 },
      { type: 'started', seq: 2 },
      { type: 'completed', seq: 3 },
    ]);
    expect(requests.map(({ url }) => url)).toEqual([
      '/v1/jobs/job%2F1/events?after=0',
      '/v1/jobs/job%2F1/events?after=1',
      '/v1/jobs/job%2F1/events?after=1',
    ]);
  });

  test('is alive as long as heartbeats come, and while its reader thinks', async () => {
    const { client, requests } = await clientOf(
      [
        (response) => {
          response.writeHead(200).write(event(1, 'queued'));
          let beats = 0;
          const beating = setInterval(() => {
            beats += 1;
            response.write(': hb\n');
            if (beats < 18) return;
            clearInterval(beating);
            response.end(event(2, 'completed'));
          }, 100);
        },
      ],
      { silenceMs: 800 },
    );
    const stream = client.stream('job_1');
    await stream.next();
    await new Promise((resolve) => setTimeout(resolve, 900));
    expect(await stream.next()).toMatchObject({ value: { seq: 2 } });
    expect(requests).toHaveLength(1);
  });

  test('gives what is good before it says what is not', async () => {
    const { client } = await clientOf([
      (response) => response.writeHead(200).end(`${event(1, 'queued')}id: 2\ndata: {"ty\n\n`),
    ]);
    const stream = client.stream('job_1');
    expect(await stream.next()).toMatchObject({ value: { seq: 1 } });
    expect(await failureOf(stream.next())).toMatchObject({ code: 'bad_answer' });
  });
});

function event(seq: number, type: string): string {
  return `id: ${seq}\ndata: {"type":"${type}"}\n\n`;
}

function halfAnswer(response: ServerResponse): void {
  response.writeHead(200, { 'content-length': '100' }).write('{"id"');
  setTimeout(() => response.destroy(), 10);
}
