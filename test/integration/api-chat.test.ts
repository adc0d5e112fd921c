import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { USAGE, connectRaw, openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, StreamReader, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

const CHAT = '/v1/chat/completions';
const DONE = 'data: [DONE]\n\n';
/** Of one line, and belonging to what follows. */
const COMMENT = /^:.*\n(?!\n)/gm;

let world: ApiWorld;
let worker: TestWorker;

/** `fast` has a worker, `precise` has none: what is sent there waits. */
beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: '200' });
  worker = await world.startWorker('fast');
});
afterAll(() => world.stop());

const messages = [{ role: 'user', content: 'Hello' }];

function ask(fields: Record<string, unknown> = {}, init: RequestInit = {}): Promise<Response> {
  return postJson(world.api.url + CHAT, { messages, ...fields }, init);
}

function stream(fields: Record<string, unknown> = {}): Promise<StreamReader> {
  return openStream(world.api.url + CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages, stream: true, ...fields }),
  });
}

function jobOf({ response }: StreamReader): string {
  return response.headers.get('x-qarr-job') ?? '';
}

async function jobStatus(id: string): Promise<string> {
  const response = await fetch(`${world.api.url}/v1/jobs/${id}`);
  return ((await response.json()) as { status: string }).status;
}

/** Waits for a job that was not there before, and returns its id. */
async function newJobAfter(before: readonly string[]): Promise<string> {
  return waitUntil('a job is there', async () =>
    (await world.jobIds()).find((id) => !before.includes(id)),
  );
}

interface Chunk {
  id: string;
  created: number;
  [field: string]: unknown;
}

/** The data of each frame. A line that official clients would fail on fails here. */
function chunksOf(text: string): Chunk[] {
  const frames = text
    .replaceAll(COMMENT, '')
    .split(/(?<=\n\n)/)
    .filter((frame) => frame !== '' && frame !== DONE);
  return frames.map((frame) => {
    const match = /^data: (.*)\n\n$/.exec(frame);
    if (match === null) throw new Error(`Not a frame: ${JSON.stringify(frame)}`);
    return JSON.parse(match[1] ?? '');
  });
}

describe('a chat that is not streamed', () => {
  it('is answered as a whole, in the shape of OpenAI', async () => {
    const answer = ask();
    const attempt = await worker.next();
    await attempt.say('Hello ');
    await attempt.say('world');
    await attempt.complete();
    const response = await answer;
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'x-qarr-tier': 'fast',
      'x-qarr-route': 'default',
      'x-qarr-job': attempt.job.jobId,
      'x-request-id': expect.stringMatching(/^req_/),
    });
    expect(await response.json()).toEqual({
      id: `chatcmpl-${attempt.job.jobId}`,
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'fast',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello world', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: USAGE,
      service_tier: 'default',
      system_fingerprint: null,
    });
  });

  it('takes the short form', async () => {
    const answer = postJson(world.api.url + CHAT, {
      prompt: 'Hello',
      system_prompt: 'Be brief',
      max_tokens: 7,
      temperature: 0.2,
      stream: false,
    });
    const attempt = await worker.next();
    expect(attempt.job.request).toEqual({
      messages: [
        { role: 'system', content: 'Be brief' },
        { role: 'user', content: 'Hello' },
      ],
      max_tokens: 7,
      temperature: 0.2,
    });
    await attempt.complete();
    expect((await answer).status).toBe(200);
  });

  it.each([
    ['upstream_error', 502, 'server_error'],
    ['upstream_timeout', 504, 'server_error'],
    ['upstream_rejected', 400, 'invalid_request_error'],
    ['worker_lost', 502, 'server_error'],
    ['run_timeout', 504, 'server_error'],
    ['poison', 400, 'invalid_request_error'],
  ] as const)('that fails with %s gives %i', async (code, status, type) => {
    const answer = ask();
    const attempt = await worker.next();
    await attempt.say('Some text that was not sent yet');
    await attempt.fail(code);
    const response = await answer;
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({
      error: { message: expect.any(String), type, param: null, code },
    });
  });

  it('that nobody starts in time gives 504', async () => {
    const impatient = await world.startApi({ QARR_INTERACTIVE_QUEUE_MS: '1' });
    const response = await postJson(impatient.url + CHAT, { messages, model: 'precise' });
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ error: { code: 'queue_timeout' } });
    expect(await jobStatus(response.headers.get('x-qarr-job') ?? '')).toBe('expired');
  });

  it('that somebody cancels gives 400, which no client sends again by itself', async () => {
    const answer = ask();
    const attempt = await worker.next();
    const cancelling = fetch(`${world.api.url}/v1/jobs/${attempt.job.jobId}/cancel`, {
      method: 'POST',
    });
    await waitUntil('the worker is told', () => attempt.stopped === 'told');
    await attempt.giveUp(1);
    await cancelling;
    const response = await answer;
    expect([response.status, response.headers.get('x-should-retry')]).toEqual([400, 'false']);
    expect(await response.json()).toMatchObject({ error: { code: 'job_cancelled' } });
  });

  it('hides an attempt that was interrupted: nothing of it was sent', async () => {
    const answer = ask();
    const first = await worker.next();
    await first.say('lost');
    await first.handBack();
    const second = await worker.next(first.job.jobId);
    await second.say('Hello');
    await second.complete();
    const body = (await (await answer).json()) as { choices: { message: { content: string } }[] };
    expect(body.choices[0]?.message.content).toBe('Hello');
  });
});

describe('a chat that is streamed', () => {
  it('comes in chunks of one id and time: the role first, the finish last, then [DONE]', async () => {
    const reader = await stream();
    const attempt = await worker.next(jobOf(reader));
    await attempt.say('Hel');
    await attempt.say('lo');
    await attempt.complete();
    const text = await reader.end();
    expect(text.endsWith(DONE)).toBe(true);

    const chunks = chunksOf(text);
    const head = {
      id: `chatcmpl-${attempt.job.jobId}`,
      object: 'chat.completion.chunk',
      created: chunks[0]?.created,
      model: 'fast',
      service_tier: 'default',
    };
    const chunk = (delta: object, finishReason: string | null = null) => ({
      ...head,
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
    });
    expect(head.created).toEqual(expect.any(Number));
    expect(chunks).toEqual([
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'Hel' }),
      chunk({ content: 'lo' }),
      chunk({}, 'stop'),
    ]);
    expect(Object.fromEntries(reader.response.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-qarr-tier': 'fast',
      'x-qarr-route': 'default',
      'x-request-id': expect.stringMatching(/^req_/),
    });
  });

  it('tells the usage only where it is asked for, in a chunk of its own before [DONE]', async () => {
    const reader = await stream({ stream_options: { include_usage: true } });
    const attempt = await worker.next(jobOf(reader));
    await attempt.say('Hello');
    await attempt.complete();
    const chunks = chunksOf(await reader.end());
    expect(chunks.map(({ usage }) => usage)).toEqual([null, null, null, USAGE]);
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      id: chunks[0]?.id,
      created: chunks[0]?.created,
    });
  });

  it('begins with the role also where no text comes', async () => {
    const reader = await stream();
    await (await worker.next(jobOf(reader))).complete();
    expect(chunksOf(await reader.end()).map(({ choices }) => choices)).toMatchObject([
      [{ delta: { role: 'assistant', content: '' } }],
      [{ delta: {}, finish_reason: 'stop' }],
    ]);
  });

  it('shows nothing but heartbeats, and where it stands, while it waits', async () => {
    const reader = await stream({ model: 'precise' });
    await reader.until(': queued position=1\n');
    await reader.until(': hb\n: hb\n');
    expect(reader.text.replaceAll(COMMENT, '')).toBe('');
    reader.leave();
  });

  it('that fails before the first token ends with the error, not with [DONE]', async () => {
    const reader = await stream();
    await (await worker.next(jobOf(reader))).fail('upstream_error');
    const text = await reader.end();
    expect(chunksOf(text)).toEqual([
      {
        error: {
          message: 'The engine failed.',
          type: 'server_error',
          param: null,
          code: 'upstream_error',
        },
      },
    ]);
    expect(text).not.toContain('[DONE]');
  });

  it('that fails in the middle keeps what was sent and ends with the error', async () => {
    const reader = await stream();
    const attempt = await worker.next(jobOf(reader));
    await attempt.say('Hel');
    await attempt.fail('worker_lost');
    const text = await reader.end();
    expect(chunksOf(text)).toMatchObject([
      { choices: [{ delta: { role: 'assistant' } }] },
      { choices: [{ delta: { content: 'Hel' } }] },
      { error: { code: 'worker_lost' } },
    ]);
    expect(text).not.toContain('[DONE]');
    expect(text).not.toContain('"finish_reason":"stop"');
  });

  it('is one text where another attempt carries on', async () => {
    const reader = await stream();
    const first = await worker.next(jobOf(reader));
    await first.say('Hel');
    await reader.until('"Hel"');
    await first.handBack();
    const second = await worker.next(jobOf(reader));
    expect(second.job.attempt).toBe(2);
    await second.say('lo');
    await second.complete();
    const text = await reader.end();
    const chunks = chunksOf(text) as { choices?: { delta: { content?: string } }[] }[];
    const pieces = chunks.flatMap(({ choices = [] }) => choices.map(({ delta }) => delta.content));
    expect(pieces.join('')).toBe('Hello');
    expect(text).toContain('[DONE]');
  });

  it('that nobody starts in time ends with the error', async () => {
    const reader = await stream({ model: 'precise' });
    await world.redis.hset(`qarr:{${jobOf(reader)}}:job`, 'queue_deadline', 1);
    await world.redis.zadd('qarr:deadlines', 1, jobOf(reader));
    expect(chunksOf(await reader.end())).toMatchObject([{ error: { code: 'queue_timeout' } }]);
  });

  it('that somebody cancels ends with the error', async () => {
    const reader = await stream({ model: 'precise' });
    await fetch(`${world.api.url}/v1/jobs/${jobOf(reader)}/cancel`, { method: 'POST' });
    expect(chunksOf(await reader.end())).toMatchObject([{ error: { code: 'job_cancelled' } }]);
  });

  it('is refused with a status, not in a stream, as long as nothing was enqueued', async () => {
    const response = await ask({ stream: true, max_tokens: 0 });
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  });
});

describe('a client that leaves', () => {
  it.each([true, false])('takes its waiting job with it (stream: %s)', async (isStream) => {
    const before = await world.jobIds();
    const leaving = new AbortController();
    const answer = ask({ model: 'precise', stream: isStream }, { signal: leaving.signal });
    const id = await newJobAfter(before);
    leaving.abort();
    await expect(answer.then((response) => response.text())).rejects.toThrow(/abort/);
    await waitUntil('the job is cancelled', async () => (await jobStatus(id)) === 'cancelled');
  });

  it.each([true, false])('stops its running job (stream: %s)', async (isStream) => {
    const leaving = new AbortController();
    const answer = ask({ stream: isStream }, { signal: leaving.signal });
    const attempt = await worker.next();
    await attempt.say('Hello');
    leaving.abort();
    await expect(answer.then((response) => response.text())).rejects.toThrow(/abort/);
    await waitUntil('the worker is told', () => attempt.stopped === 'told');
    await attempt.giveUp(1);
    expect(await jobStatus(attempt.job.jobId)).toBe('cancelled');
  });

  it('stops all of what it had sent at once on one connection', async () => {
    const before = await world.jobIds();
    const body = '{"prompt":"Hello","stream":true,"model":"precise"}';
    const request = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const raw = connectRaw(world.api.port, request.repeat(3));
    const ids = await waitUntil('the jobs are there', async () => {
      const fresh = (await world.jobIds()).filter((id) => !before.includes(id));
      return fresh.length === 3 ? fresh : null;
    });
    raw.socket.destroy();
    await waitUntil('the jobs are cancelled', async () => {
      const statuses = await Promise.all(ids.map(jobStatus));
      return statuses.every((status) => status === 'cancelled');
    });
  });

  it('leaves nothing open', async () => {
    await waitUntil('no stream is open', async () => {
      const metrics = await (await fetch(`${world.api.opsUrl}/metrics`)).text();
      return /^qarr_sse_connections 0$/m.test(metrics);
    });
  });
});
