/** What a program without types may get wrong: nothing of it is sent, or sent again. */
import { expect, onTestFinished, test, vi } from 'vitest';
import { createClient } from './client.ts';
import { QarrClientError } from './errors.ts';
import type { ClientOptions, JobRef } from './options.ts';
import type { ChatRequest } from './requests.ts';

async function codeOf(call: () => Promise<unknown>): Promise<string> {
  const error = await call().catch((problem: unknown) => problem);
  if (error instanceof QarrClientError) return `${error.code} ${error.retryable}`;
  throw new Error(`Not a client error: ${String(error)}`);
}

const REFUSED = 'invalid_option false';
/** Nobody listens there. */
const NOWHERE = 'http://127.0.0.1:1';

test.each([
  undefined,
  {},
  { baseUrl: null },
  { baseUrl: '' },
  { baseUrl: [] },
  { baseUrl: 'localhost:8080' },
  { baseUrl: '/api' },
  { baseUrl: 'ftp://127.0.0.1' },
  { baseUrl: `${NOWHERE}/?a=b` },
  { baseUrl: 'http://user:secret@127.0.0.1' },
  { baseUrl: [NOWHERE, 5] },
])('cannot be made with %j', async (options) => {
  const make = () => createClient(options as ClientOptions);
  expect(await codeOf(async () => make())).toBe(REFUSED);
  expect(make).not.toThrow('secret');
});

test('may have bases that are relative to its page', async () => {
  vi.stubGlobal('location', { href: 'https://page.example/app/?tab=1#top' });
  onTestFinished(() => void vi.unstubAllGlobals());
  const asked: unknown[] = [];
  const fetch = async (url: unknown) => {
    asked.push(url);
    return Response.json({ tiers: [] });
  };
  for (const baseUrl of ['', '/api/v1/', 'https://qarr.example']) {
    await createClient({ baseUrl, fetch }).tiers();
  }
  expect(asked).toEqual(['/v1/tiers', '/api/v1/tiers', 'https://qarr.example/v1/tiers']);
});

test('never sends, and never repeats, a key that no header can hold', async () => {
  const client = createClient({ baseUrl: NOWHERE, apiKey: 'qarr-a\nb' });
  const error = await client.tiers().catch((problem: unknown) => problem);
  expect(error).toMatchObject({ code: 'invalid_option', retryable: false, cause: undefined });
  expect(String(error)).not.toContain('qarr-a');
});

test('asks for a job, where none is given', async () => {
  const client = createClient({ baseUrl: NOWHERE, maxRetries: 0 });
  for (const job of [undefined, null, '', {}, { id: 5 }] as unknown[] as JobRef[]) {
    expect(await codeOf(() => client.get(job))).toBe(REFUSED);
    expect(await codeOf(() => client.cancel(job))).toBe(REFUSED);
    expect(await codeOf(() => client.token(job))).toBe(REFUSED);
    expect(await codeOf(() => client.wait(job))).toBe(REFUSED);
    expect(await codeOf(async () => client.stream(job).next())).toBe(REFUSED);
  }
});

test('says that a chat is no stream', async () => {
  const client = createClient({ baseUrl: NOWHERE, maxRetries: 0, fallback: 'queue' });
  const request = { prompt: 'x', stream: true } as ChatRequest;
  expect(await codeOf(() => client.chat(request))).toBe(REFUSED);
  expect(await codeOf(() => client.chat({ prompt: 'x' }))).toBe('network_error true');
});
