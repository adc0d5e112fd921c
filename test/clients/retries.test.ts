/**
 * When the installed versions of the client libraries send a request again by themselves. Needs no
 * API: it is the evidence for its statuses and headers.
 */
import { ERROR_TABLE, QarrError, errorBody } from '@qarr/router-core';
import type { ErrorCode } from '@qarr/router-core';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { CHAT_STREAMS, json, streamed } from './chat-wires.ts';
import { STREAMING, WHOLE } from './clients.ts';
import { serveWires } from './wire-server.ts';

/** So that a client that obeys it does not keep the test waiting. */
const SOON = { 'retry-after-ms': '1', 'retry-after': '0' };
const BODY = JSON.stringify(errorBody(new QarrError('queue_full')));
const HELLO = { model: 'auto', messages: [{ role: 'user' as const, content: 'Hello' }] };

/** How often each client asks that may try twice again; LangChain, whose pauses are long, once. */
function attempts(status: number, headers: Record<string, string>): Promise<number[]> {
  const asking = Object.entries(WHOLE).map(async ([client, ask]) => {
    const wire = json(BODY);
    const { baseURL, seen } = await serveWires([
      { ...wire, status, headers: { ...wire.headers, ...headers } },
    ]);
    await ask({ baseURL, maxRetries: client === 'langchain' ? 1 : 2 });
    return seen.length;
  });
  return Promise.all(asking);
}

describe.concurrent('how often clients ask that are answered', () => {
  // openai, ai openai, ai compatible, langchain
  it.each<[status: number, headers: Record<string, string>, attempts: number[]]>([
    [400, SOON, [1, 1, 1, 1]],
    [401, SOON, [1, 1, 1, 1]],
    [403, SOON, [1, 1, 1, 1]],
    [404, SOON, [1, 1, 1, 1]],
    [408, SOON, [3, 3, 3, 2]],
    [409, SOON, [3, 3, 3, 1]],
    [422, SOON, [1, 1, 1, 2]],
    [429, SOON, [3, 3, 3, 2]],
    [429, { 'retry-after-ms': '1' }, [3, 3, 3, 1]],
    [503, SOON, [3, 3, 3, 2]],
    [504, SOON, [3, 3, 3, 2]],
    [400, { ...SOON, 'x-should-retry': 'true' }, [3, 1, 1, 1]],
    [504, { ...SOON, 'x-should-retry': 'false' }, [1, 3, 3, 2]],
  ])('%i with %j', async (status, headers, expected) => {
    expect(await attempts(status, headers)).toEqual(expected);
  });

  it('a good status, and are cut off then: only some of them', async () => {
    const asking = Object.values({ ...WHOLE, stream: STREAMING['openai create'] }).map(
      async (ask) => {
        const { baseURL, seen } = await serveWires([{ ...json('{'), isCut: true }]);
        await ask?.({ baseURL, maxRetries: 1 });
        return seen.length;
      },
    );
    expect(await Promise.all(asking)).toEqual([1, 2, 2, 2, 1]);
  });
});

describe('a retry of OpenAI', () => {
  it('has the headers of its user, and its number', async () => {
    const { baseURL, seen } = await serveWires([
      { ...json(BODY), status: 503, headers: SOON },
      { ...json(BODY), status: 503, headers: SOON },
      CHAT_STREAMS['as it should be'],
    ]);
    const client = new OpenAI({ baseURL, apiKey: 'unused' });
    const headers = { 'Idempotency-Key': 'mine' };
    await client.chat.completions.create({ ...HELLO, stream: true }, { headers });
    expect(seen.map((request) => request.headers['idempotency-key'])).toEqual([
      'mine',
      'mine',
      'mine',
    ]);
    const counts = seen.map((request) => request.headers['x-stainless-retry-count']);
    expect(counts).toEqual(['0', '1', '2']);
  });

  it('has no key that its user gave as an option: it must be a header', async () => {
    const { baseURL, seen } = await serveWires([CHAT_STREAMS['as it should be']]);
    const client = new OpenAI({ baseURL, apiKey: 'unused' });
    await client.chat.completions.create({ ...HELLO, stream: true }, { idempotencyKey: 'mine' });
    expect(JSON.stringify(seen)).not.toContain('mine');
  });
});

/** OpenAI's classes of errors. */
function classOf(status: number): unknown {
  const classes: Record<number, unknown> = {
    400: OpenAI.BadRequestError,
    401: OpenAI.AuthenticationError,
    403: OpenAI.PermissionDeniedError,
    404: OpenAI.NotFoundError,
    409: OpenAI.ConflictError,
    422: OpenAI.UnprocessableEntityError,
    429: OpenAI.RateLimitError,
  };
  return classes[status] ?? (status >= 500 ? OpenAI.InternalServerError : OpenAI.APIError);
}

/** Of jobs that have run: they must not run again because a library decides so. */
const NEVER_AGAIN: readonly ErrorCode[] = ['job_cancelled', 'poison', 'upstream_rejected'];

describe.each(Object.keys(ERROR_TABLE) as ErrorCode[])('our error %s', (code) => {
  const { httpStatus, type } = ERROR_TABLE[code];
  const body = JSON.stringify(errorBody(new QarrError(code, { param: 'p' })));

  it('is of the class of its status, and says all that it has to say', async () => {
    const { baseURL } = await serveWires([{ ...json(body), status: httpStatus }]);
    const { error } = (await WHOLE['openai']?.({ baseURL })) ?? {};
    expect(Object.getPrototypeOf(error)).toBe(
      (classOf(httpStatus) as { prototype: object }).prototype,
    );
    expect(error).toMatchObject({ status: httpStatus, code, type, param: 'p' });
  });

  it('is an error to every client also in a stream', async () => {
    const { baseURL } = await serveWires([streamed(`: hb\ndata: ${body}\n\n`)]);
    const outcomes = await Promise.all(Object.values(STREAMING).map((ask) => ask({ baseURL })));
    for (const { error, finish } of outcomes) {
      expect(String(error)).toContain(ERROR_TABLE[code].message);
      expect(finish ?? 'error').toBe('error');
    }
    const again = Object(outcomes[2]?.error) as { isRetryable?: boolean };
    if (NEVER_AGAIN.includes(code)) expect(again.isRetryable).toBe(false);
  });
});

it('gives no job that must not run again a status at which a client would send it again', () => {
  expect(NEVER_AGAIN.map((code) => ERROR_TABLE[code].httpStatus)).toEqual([400, 400, 400]);
});
