/** One request over HTTP, and what it comes to. Trying again is for whoever asks: see `retry.ts`. */
import { QarrClientError, invalidOption } from './errors.ts';
import type { ClientOptions } from './options.ts';
import { retryAfterMsOf } from './retry.ts';
import type { Settings } from './settings.ts';
import { within } from './within.ts';

/** May pass by themselves. A 409 does not: what it conflicts with will still be there. */
const PASSING_STATUSES: ReadonlySet<number> = /* #__PURE__ */ new Set([408, 425, 429]);

const OPEN_STATUSES: ReadonlySet<number> = /* #__PURE__ */ new Set([200, 204, 206]);

interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** From `/v1` on. */
  readonly path: string;
  /** Those that are undefined are left out. */
  readonly query?: Readonly<Record<string, string | number | undefined>> | undefined;
  /** A form as it is, anything else as JSON. */
  readonly body?: object | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** A call as all calls are made: in time, and again where that may help. */
export type CallApi = <Body>(request: Omit<Call, 'timeoutMs'>) => Promise<Body>;

interface Answer {
  /** As parsed; an object. */
  readonly body: object;
  readonly headers: Headers;
}

export interface Http {
  send(call: Call): Promise<Answer>;
  /** A response whose body is for the caller to read; only 200, 204 and 206 are no errors. */
  open(call: {
    path: string;
    headers: Readonly<Record<string, string>>;
    signal: AbortSignal;
  }): Promise<Response>;
}

export function createHttp(
  settings: Pick<Settings, 'bases' | 'answerCharsMax'>,
  { apiKey, fetch: given }: Pick<ClientOptions, 'apiKey' | 'fetch'>,
): Http {
  const { bases, answerCharsMax } = settings;
  // In a browser it must be called as a function of the window.
  const fetch: typeof globalThis.fetch = given ?? ((url, init) => globalThis.fetch(url, init));
  let current = 0;

  async function request(
    { method, path, query, body, headers }: Omit<Call, 'timeoutMs' | 'signal'>,
    signal: AbortSignal,
  ): Promise<Response> {
    const key = typeof apiKey === 'function' ? await apiKey() : apiKey;
    // The platform says what kind of form it is, and where its parts end.
    const isJson = body !== undefined && !(body instanceof FormData);
    const sent = headersOf({
      ...(isJson ? { 'content-type': 'application/json' } : {}),
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...headers,
    });
    const used = current;
    try {
      const response = await fetch(`${bases[used] ?? ''}${path}${searchOf(query)}`, {
        method,
        headers: sent,
        body: isJson ? JSON.stringify(body) : (body ?? null),
        signal,
      });
      if (response.status >= 500) leave(used);
      return response;
    } catch (error) {
      leave(used);
      throw networkError(error);
    }
  }

  /** The next one is asked from now on, unless somebody has left it already. */
  function leave(used: number): void {
    if (current === used) current = (used + 1) % bases.length;
  }

  return {
    send({ timeoutMs, signal, ...call }) {
      const leaving = new AbortController();
      return within({ timeoutMs, signal, onStop: () => leaving.abort() }, async () => {
        const response = await request(call, leaving.signal);
        const body = parse(await readText(response, answerCharsMax));
        if (!response.ok) throw errorOf(response, { body, call });
        if (isRecord(body)) return { body, headers: response.headers };
        throw badAnswer(`${call.method} ${call.path} was not answered by QARR.`);
      });
    },
    async open({ signal, ...asked }) {
      const call = { method: 'GET', ...asked } as const;
      const response = await request(call, signal);
      if (OPEN_STATUSES.has(response.status)) return response;
      const body = parse(await readText(response, answerCharsMax));
      throw errorOf(response, { body, call });
    },
  };
}

function searchOf(query: Call['query'] = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) search.append(name, String(value));
  }
  return search.size === 0 ? '' : `?${search.toString()}`;
}

/** What `fetch` says of a wrong one repeats it, and it may be a key. */
function headersOf(headers: Readonly<Record<string, string>>): Headers {
  try {
    return new Headers(headers);
  } catch {
    throw invalidOption('apiKey and idempotencyKey must be what a header can hold, in one line');
  }
}

export function networkError(cause: unknown): QarrClientError {
  return new QarrClientError({
    code: 'network_error',
    message: 'There was no answer, or the connection broke.',
    retryable: true,
    cause,
  });
}

export function badAnswer(message: string, cause?: unknown): QarrClientError {
  return new QarrClientError({ code: 'bad_answer', message, retryable: false, cause });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function readText(response: Response, charsMax: number): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return '';
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw networkError(error);
    });
    if (done) return text + decoder.decode();
    text += decoder.decode(value, { stream: true });
    if (text.length <= charsMax) continue;
    await reader.cancel();
    throw badAnswer('The answer has no end.');
  }
}

function errorOf(
  { status, headers }: Response,
  { body, call }: { body: unknown; call: Pick<Call, 'method' | 'path'> },
): QarrClientError {
  const error = isRecord(body) && isRecord(body['error']) ? body['error'] : {};
  const { code, message, param, retry_after_ms: told } = error;
  const said = headers.get('x-should-retry');
  return new QarrClientError({
    code: textIn(code) ?? 'http_error',
    message: textIn(message) ?? `${call.method} ${call.path} was answered with ${status}.`,
    status,
    retryable: said === null ? status >= 500 || PASSING_STATUSES.has(status) : said === 'true',
    requestId: headers.get('x-request-id'),
    // The headers of an answer from elsewhere are not all to be seen in a browser.
    retryAfterMs: retryAfterMsOf(headers, Date.now()) ?? (typeof told === 'number' ? told : null),
    param: textIn(param),
  });
}

function textIn(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What is no JSON is told by its status, or as a bad answer.
    return null;
  }
}
