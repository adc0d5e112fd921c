import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw, openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

const JOBS = '/v1/jobs';
const CHAT = '/v1/chat/completions';
const ROUTES = [JOBS, CHAT];
const HELLO = [{ role: 'user', content: 'Hello' }];
/** Three times what is allowed. */
const HUGE_BYTES = 30_000_000;
const HUGE = Buffer.alloc(HUGE_BYTES, ' ');

let world: ApiWorld;
let jobsBefore: string[];

beforeAll(async () => {
  world = await startApiWorld({ QARR_REQUEST_TIMEOUT_MS: '1000', QARR_HEARTBEAT_MS: '100' });
  // With a live worker the served models are known.
  await world.startWorker('precise');
  await waitUntil('the API knows the model', async () =>
    (await (await fetch(`${world.api.url}/v1/models`)).text()).includes('test-model'),
  );
  jobsBefore = [];
});
afterAll(() => world.stop());
/** Whatever was sent: the server lives on, and what was refused left nothing behind. */
afterEach(async () => {
  const { status } = await fetch(`${world.api.url}/healthz`);
  const jobs = (await world.jobIds()).toSorted();
  const expected = JSON.stringify({ status: 200, jobs: jobsBefore.toSorted() });
  if (JSON.stringify({ status, jobs }) !== expected)
    throw new Error(`Not ${expected}: ${jobs.join()}`);
});

interface Refusal {
  status: number;
  code: string;
  param?: string | null;
  message?: RegExp;
}

async function expectRefusal(response: Response, refusal: Refusal): Promise<void> {
  const body = await response.json();
  expect(body).toEqual({
    error: {
      message: expect.stringMatching(refusal.message ?? /^[A-Z{a-z].*\.$/s),
      type: refusal.status < 500 ? 'invalid_request_error' : 'server_error',
      param: refusal.param ?? null,
      code: refusal.code,
    },
  });
  expect(response.status).toBe(refusal.status);
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(response.headers.get('x-request-id')).toMatch(/^req_\w{32}$/);
}

async function accepted(response: Response): Promise<void> {
  const id = response.headers.get('x-qarr-job');
  expect([response.status, id]).toEqual([202, expect.any(String)]);
  jobsBefore.push(id ?? '');
}

describe('a request that is not valid', () => {
  const cases: [name: string, body: object, param: string, message: RegExp][] = [
    ['no messages', {}, 'messages', /is required/],
    ['empty messages', { messages: [] }, 'messages', /at least one message/],
    ['messages that are a string', { messages: 'Hello' }, 'messages', /must be a list/],
    ['messages that are an object', { messages: {} }, 'messages', /must be a list/],
    ['a message that is a string', { messages: ['Hello'] }, 'messages.0', /must be an object/],
    [
      'a message without content',
      { messages: [{ role: 'user' }] },
      'messages.0.content',
      /must be/,
    ],
    ['an unknown role', { messages: [{ role: 'x', content: 'x' }] }, 'messages.0.role', /must be/],
    [
      'messages without text',
      { messages: [{ role: 'user', content: '' }] },
      'messages',
      /some text/,
    ],
    [
      'an image',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
      'messages.0.content',
      /parts/,
    ],
    ['more messages than allowed', { messages: Array(4097).fill(HELLO[0]) }, 'messages', /4096/],
    ['an empty prompt', { prompt: '' }, 'prompt', /must not be empty/],
    ['prompt beside messages', { messages: HELLO, prompt: 'x' }, 'prompt', /excludes/],
    ['max_tokens 0', { messages: HELLO, max_tokens: 0 }, 'max_tokens', /from 1 to 1000000/],
    ['max_tokens -1', { messages: HELLO, max_tokens: -1 }, 'max_tokens', /from 1 to 1000000/],
    ['max_tokens 1e9', { messages: HELLO, max_tokens: 1e9 }, 'max_tokens', /from 1 to 1000000/],
    ['max_tokens 1.5', { messages: HELLO, max_tokens: 1.5 }, 'max_tokens', /whole number/],
    ['max_tokens "many"', { messages: HELLO, max_tokens: 'many' }, 'max_tokens', /whole number/],
    ['temperature 3', { messages: HELLO, temperature: 3 }, 'temperature', /from 0 to 2/],
    ['temperature "hot"', { messages: HELLO, temperature: 'hot' }, 'temperature', /from 0 to 2/],
    [
      'five stop strings',
      { messages: HELLO, stop: ['a', 'b', 'c', 'd', 'e'] },
      'stop',
      /at most 4/,
    ],
  ];

  describe.each(ROUTES)('to %s', (route) => {
    it.each(cases)(
      'with %s is refused by the name of the field',
      async (_name, body, param, message) => {
        const response = await postJson(world.api.url + route, body);
        await expectRefusal(response, { status: 400, code: 'invalid_request', param, message });
      },
    );

    it('names an unknown tier and the tiers there are', async () => {
      const response = await postJson(world.api.url + route, { prompt: 'Hello', tier: 'banana' });
      await expectRefusal(response, {
        status: 400,
        code: 'unknown_tier',
        param: 'tier',
        message: /"banana".*fast, balanced, precise/,
      });
    });

    it('names an unknown model', async () => {
      const response = await postJson(world.api.url + route, { prompt: 'Hello', model: 'banana' });
      await expectRefusal(response, { status: 404, code: 'model_not_found', param: 'model' });
    });

    it('with more tokens than any window holds says so in the words that clients search for', async () => {
      const response = await postJson(world.api.url + route, { prompt: 'Hi', max_tokens: 100_000 });
      await expectRefusal(response, {
        status: 400,
        code: 'context_length_exceeded',
        param: 'max_tokens',
        message: /maximum context length is 32768 tokens/,
      });
    });

    it.each([
      ['functions', [{ name: 'f' }]],
      ['logit_bias', { 1: 5 }],
      ['reasoning_effort', 'low'],
    ])('with %s, which is not offered, is refused by its name', async (name, value) => {
      const response = await postJson(world.api.url + route, { messages: HELLO, [name]: value });
      await expectRefusal(response, {
        status: 400,
        code: 'unsupported_parameter',
        param: name,
        message: new RegExp(`^${name} is not supported`),
      });
    });

    it.each([
      ['a truncated object', '{"prompt":"Hel'],
      ['no JSON', 'banana'],
      ['a key that would poison prototypes', '{"prompt":"x","__proto__":{"isAdmin":true}}'],
      ['the same by its constructor', '{"prompt":"x","user":{"constructor":{"prototype":{}}}}'],
    ])('whose body is %s is answered as invalid JSON, without quoting it', async (_name, body) => {
      const response = await postJson(world.api.url + route, body);
      await expectRefusal(response, {
        status: 400,
        code: 'invalid_json',
        message: /^The body is not valid JSON\.$/,
      });
    });

    it.each(['[]', '"Hello"', 'null', '1', ''])(
      'whose body is %j is told to send an object',
      async (body) => {
        const response = await postJson(world.api.url + route, body);
        await expectRefusal(response, {
          status: 400,
          code: 'invalid_request',
          message: /must be a JSON object/,
        });
      },
    );

    it('whose body is not UTF-8 is told so', async () => {
      const body = Buffer.concat([
        Buffer.from('{"prompt":"'),
        Buffer.from([0xff, 0xfe]),
        Buffer.from('"}'),
      ]);
      const response = await postJson(world.api.url + route, null, { body });
      await expectRefusal(response, { status: 400, code: 'invalid_utf8' });
    });

    it.each(['text/plain', 'application/x-www-form-urlencoded', 'banana', ''])(
      'whose content type is %j is told to send JSON',
      async (type) => {
        const response = await postJson(world.api.url + route, '{"prompt":"Hello"}', {
          headers: { 'content-type': type },
        });
        await expectRefusal(response, {
          status: 415,
          code: 'unsupported_media_type',
          message: /application\/json/,
        });
      },
    );

    it('whose body is compressed is told to send it plain', async () => {
      const response = await postJson(world.api.url + route, null, {
        headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
        body: gzipSync('{"prompt":"Hello"}'),
      });
      await expectRefusal(response, {
        status: 415,
        code: 'unsupported_media_type',
        message: /content-encoding/,
      });
    });

    it.each([
      ['deeper', `{"prompt":"x","logit_bias":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
      ['more', `{"messages":[{"role":"user","content":[${'{},'.repeat(500_000)}{}]}]}`],
    ])(
      'whose body holds %s than any conversation is refused before it is looked at',
      async (_name, body) => {
        const response = await postJson(world.api.url + route, body);
        await expectRefusal(response, { status: 400, code: 'invalid_request', message: /at most/ });
      },
    );
  });
});

describe('a request that is unusual but valid', () => {
  it('may send every optional field as null', async () => {
    const fields = `
      model tier prompt system_prompt max_tokens max_completion_tokens temperature
      top_p top_k min_p presence_penalty frequency_penalty repetition_penalty seed
      stop min_tokens ignore_eos stream stream_options truncation class fallback
      on_interrupt metadata queue_timeout_ms run_timeout_ms webhook_url n tools
      tool_choice response_format logprobs top_logprobs logit_bias user store
    `.match(/\w+/g);
    const nulls = Object.fromEntries((fields ?? []).map((name) => [name, null]));
    await accepted(await postJson(world.api.url + JOBS, { ...nulls, messages: HELLO }));
  });

  it('may send nulls inside of messages and options', async () => {
    await accepted(
      await postJson(world.api.url + JOBS, {
        messages: [
          { role: 'user', content: 'Hello', name: null },
          { role: 'assistant', content: null },
          { role: 'user', content: [{ type: 'text', text: 'Hello' }] },
        ],
        stream_options: { include_usage: null },
      }),
    );
  });

  it('may send its text in parts', async () => {
    const content = [
      { type: 'text', text: 'Hello' },
      { type: 'text', text: 'world' },
    ];
    await accepted(await postJson(world.api.url + JOBS, { messages: [{ role: 'user', content }] }));
  });

  it('may begin with a byte order mark, and name the encoding that changes nothing', async () => {
    await accepted(
      await postJson(world.api.url + JOBS, '\uFEFF{"prompt":"Hello"}', {
        headers: {
          'content-type': 'application/json; charset=utf-8',
          'content-encoding': 'identity',
        },
      }),
    );
  });

  it('is refused with an unknown parameter by its name on the native route', async () => {
    const response = await postJson(world.api.url + JOBS, { messages: HELLO, banana: 1 });
    await expectRefusal(response, {
      status: 400,
      code: 'unknown_parameter',
      param: 'banana',
      message: /"banana"/,
    });
  });

  it('goes on with an unknown parameter on the OpenAI route', async () => {
    const stream = await openStream(world.api.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages: HELLO, stream: true, banana: 1, chat_template_kwargs: {} }),
    });
    stream.leave();
    expect(stream.response.status).toBe(200);
    jobsBefore.push(stream.response.headers.get('x-qarr-job') ?? '');
  });
});

describe('a body that is too large', () => {
  const refusal: Refusal = { status: 413, code: 'body_too_large', message: /10485760 bytes/ };

  describe.each(ROUTES)('for %s', (route) => {
    it('is refused so that fetch reads it, by content length', async () => {
      await expectRefusal(await postJson(world.api.url + route, null, { body: HUGE }), refusal);
    });

    it('is refused so that fetch reads it, in chunks', async () => {
      const body = new Blob([HUGE]).stream();
      const init = { body, duplex: 'half' } as RequestInit;
      await expectRefusal(await postJson(world.api.url + route, null, init), refusal);
    });

    it.each([[[]], [['--header', 'expect:']], [['--header', 'transfer-encoding: chunked']]])(
      'is refused so that curl reads it, with %j',
      async (options) => {
        const dir = await mkdtemp(join(tmpdir(), 'qarr-body-'));
        try {
          await writeFile(join(dir, 'body'), HUGE);
          const { stdout } = await promisify(execFile)('curl', [
            '--silent',
            '--show-error',
            '--write-out',
            '%{http_code}',
            '--header',
            'content-type: application/json',
            '--data-binary',
            `@${join(dir, 'body')}`,
            ...options,
            world.api.url + route,
          ]);
          expect(stdout).toMatch(/"code":"body_too_large"\}\}413$/);
        } finally {
          await rm(dir, { recursive: true });
        }
      },
    );

    it.each([
      ['content length', `content-length: ${HUGE_BYTES}`, HUGE],
      [
        'chunks',
        'transfer-encoding: chunked',
        Buffer.concat([
          Buffer.from(`${HUGE_BYTES.toString(16)}\r\n`),
          HUGE,
          Buffer.from('\r\n0\r\n\r\n'),
        ]),
      ],
    ])(
      'is answered in full to a client that sends all of it first, by %s',
      async (_name, header, body) => {
        const raw = connectRaw(world.api.port, headOf(route, header));
        raw.socket.pause();
        await new Promise((resolve) => raw.socket.write(body, resolve));
        raw.socket.resume();
        await raw.until('"code":"body_too_large"}}');
        expect(raw.text).toMatch(/^HTTP\/1.1 413 /);
        raw.socket.destroy();
      },
    );
  });

  it('is not read for ever: who never stops sending is disconnected', async () => {
    const patient = await world.startApi({ QARR_REQUEST_TIMEOUT_MS: '600000' });
    const raw = connectRaw(patient.port, headOf(JOBS, 'transfer-encoding: chunked'));
    const chunk = Buffer.concat([
      Buffer.from('100000\r\n'),
      Buffer.alloc(1_048_576, ' '),
      Buffer.from('\r\n'),
    ]);
    const send = () => {
      while (raw.socket.writable && raw.socket.write(chunk));
    };
    raw.socket.on('drain', send);
    send();
    const text = await raw.closed();
    expect(text).toContain('"code":"body_too_large"');
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });
});

describe('what is hardly HTTP', () => {
  it.each([
    ['garbage', '\u0000banana\r\n\r\n', 400, 'invalid_request'],
    ['another protocol', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'invalid_request'],
    ['a length that is no number', headOf(JOBS, 'content-length: many'), 400, 'invalid_request'],
    [
      'a header of 20 KB',
      `GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-long: ${'a'.repeat(20_000)}\r\n\r\n`,
      431,
      'header_too_large',
    ],
    [
      'a host that is none',
      'GET /healthz HTTP/1.1\r\nhost: a b<>\r\nconnection: close\r\n\r\n',
      400,
      'invalid_request',
    ],
    ['no host', 'GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'invalid_request'],
  ])('as %s is answered in JSON, and the connection closed', async (_name, bytes, status, code) => {
    const text = await connectRaw(world.api.port, bytes).closed();
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(text).toMatch(/\r\nx-request-id: req_\w{32}\r\n/i);
    expect(text).toMatch(/\r\ncontent-type: application\/json/i);
    const body = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4));
    expect(body).toEqual({
      error: {
        message: expect.any(String),
        type: 'invalid_request_error',
        param: null,
        code,
      },
    });
  });

  it('is answered with its connection closed also where the client keeps its side open', async () => {
    const raw = connectRaw(world.api.port);
    raw.socket.allowHalfOpen = true;
    raw.socket.write('\u0000banana\r\n\r\n');
    await raw.until('"code":"invalid_request"');
    const ended = Promise.withResolvers<void>();
    raw.socket.once('close', ended.resolve);
    // Writing is what tells that nobody is there any more.
    const writing = setInterval(() => raw.socket.write('x'), 20);
    await ended.promise;
    clearInterval(writing);
  });

  it('behind the request of a stream is thrown away, and its reader may still leave', async () => {
    const body = '{"prompt":"Hello","stream":true}';
    const request = `${headOf(CHAT, `content-length: ${body.length}`)}${body}`;
    const raw = connectRaw(world.api.port, request);
    await raw.until(': hb');
    const id = /x-qarr-job: (\w+)/.exec(raw.text)?.[1] ?? '';
    jobsBefore.push(id);
    raw.socket.write('\u0000banana\r\n\r\n');
    const { length } = raw.text;
    await waitUntil('it goes on', () => raw.text.length > length);
    expect(raw.text.slice(length)).toMatch(/^5\r\n: hb\n\r\n/);
    raw.socket.destroy();
    await waitUntil('the job is cancelled', async () => (await statusOf(id)) === 'cancelled');
  });

  it('as a body that is too slow is answered with 408', async () => {
    const raw = connectRaw(world.api.port, `${headOf(JOBS, 'content-length: 100')}{"prompt":`);
    const text = await raw.closed();
    expect(text).toMatch(/^HTTP\/1.1 408 /);
    expect(text).toContain('"code":"request_timeout"');
  });

  it('as a header that is too slow is answered with 408', async () => {
    const raw = connectRaw(world.api.port, 'POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\n');
    expect(await raw.closed()).toMatch(/^HTTP\/1.1 408 /);
  });

  it('as a connection that closes in the middle of a body enqueues nothing and is not our error', async () => {
    const raws = ROUTES.map((route) =>
      connectRaw(world.api.port, `${headOf(route, 'content-length: 100')}{"prompt":"Hel`),
    );
    for (const { socket } of raws) socket.destroySoon();
    const half = connectRaw(world.api.port, `${headOf(JOBS, 'content-length: 100')}{"prompt":"Hel`);
    half.socket.end();
    expect(await half.closed()).toMatch(/^(HTTP\/1.1 400 |$)/);
    // That nothing was logged as an error is looked at when the API stops.
  });

  it('as an expectation that nobody knows is let through', async () => {
    const raw = connectRaw(
      world.api.port,
      'GET /healthz HTTP/1.1\r\nhost: localhost\r\nexpect: banana\r\nconnection: close\r\n\r\n',
    );
    expect(await raw.closed()).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe('a path', () => {
  it.each([
    ['GET', '/v1/nope'],
    ['GET', '/metrics'],
    ['PUT', '/v1/jobs'],
    ['OPTIONS', '/v1/jobs'],
  ])('that does not exist is named: %s %s', async (method, path) => {
    await expectRefusal(await fetch(world.api.url + path, { method }), {
      status: 404,
      code: 'unknown_route',
      message: new RegExp(`^Invalid URL \\(${method} ${path}\\)`),
    });
  });

  it('that cannot be decoded is refused', async () => {
    await expectRefusal(await fetch(`${world.api.url}/v1/jobs/%zz`), {
      status: 400,
      code: 'invalid_request',
    });
  });

  it.each([
    ['an id that looks like one', `job_${'0'.repeat(32)}`],
    ['65 characters', 'a'.repeat(65)],
    ['1000 characters', 'a'.repeat(1_000)],
    ['a null', '%00'],
    ['a path', '..%2F..%2Fhealthz'],
    ['braces', '%7Bx%7D'],
    ['an emoji', '🙂'],
  ])('to a job that does not exist gives 404: %s', async (_name, id) => {
    const refusal: Refusal = { status: 404, code: 'job_not_found' };
    const url = `${world.api.url}/v1/jobs/${id}`;
    await expectRefusal(await fetch(url), refusal);
    await expectRefusal(await fetch(`${url}/events`), refusal);
    await expectRefusal(await fetch(`${url}/cancel`, { method: 'POST' }), refusal);
  });
});

async function statusOf(id: string): Promise<unknown> {
  const job = (await (await fetch(`${world.api.url}/v1/jobs/${id}`)).json()) as { status: unknown };
  return job.status;
}

function headOf(route: string, header: string): string {
  return `POST ${route} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${header}\r\n\r\n`;
}
