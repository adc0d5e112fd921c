/** One small request to an engine and its answer, bounded in time and size. */
import { Agent, request } from 'undici';

/** vLLM closes idle connections after 5 s: let go before it does. */
const KEEP_ALIVE_MS = 4_000;

export type Exchange =
  | { kind: 'answer'; status: number; text: string }
  /** Nobody listens there. */
  | { kind: 'unreachable'; cause: string }
  /** The answer did not come, or not to its end. */
  | { kind: 'broken'; cause: string };

export interface ExchangeOptions {
  /** With a body it is a POST, without one a GET. */
  readonly body?: object;
  /** For the whole of it. */
  readonly timeoutMs: number;
  readonly bytesMax: number;
  readonly signal: AbortSignal;
  /** The answer is complete before the response has ended. */
  readonly isComplete?: (text: string) => boolean;
}

export interface Exchanges {
  /** Never rejects. `path` begins at the engine's base URL. */
  send(path: string, options: ExchangeOptions): Promise<Exchange>;
  stop(): Promise<void>;
}

export function createExchanges({
  baseUrl,
  apiKey,
  connectMs,
}: {
  /** Without a final `/v1`. */
  baseUrl: string;
  apiKey: string | undefined;
  connectMs: number;
}): Exchanges {
  const agent = new Agent({
    connect: { timeout: connectMs },
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const authorization = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };

  return {
    async send(path, { body, timeoutMs, bytesMax, signal, isComplete }) {
      const limits = new AbortController();
      const onAbort = () => limits.abort(new Error('stopped'));
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      const timer = setTimeout(() => limits.abort(new Error('timeout')), timeoutMs);
      try {
        const response = await request(`${baseUrl}${path}`, {
          dispatcher: agent,
          signal: limits.signal,
          headers: {
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...authorization,
          },
          ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
        });
        const text = await readText(response.body, { bytesMax, isComplete });
        return { kind: 'answer', status: response.statusCode, text };
      } catch (error) {
        return failureOf(error);
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        // What is left of the response is not wanted.
        limits.abort();
      }
    },
    stop: () => agent.destroy(),
  };
}

async function readText(
  body: AsyncIterable<Buffer>,
  { bytesMax, isComplete }: { bytesMax: number; isComplete: ExchangeOptions['isComplete'] },
): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Error('too large');
    text += decoder.decode(chunk, { stream: true });
    if (isComplete?.(text) === true) break;
  }
  return text;
}

/** What these mean is that there was no connection on which to ask. */
const NOT_CONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
]);

function failureOf(error: unknown): Exchange {
  const cause = nameOf(error);
  return NOT_CONNECTED.has(cause) ? { kind: 'unreachable', cause } : { kind: 'broken', cause };
}

/** A code, or one of our own words: never a text that may quote the request. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if ('code' in error && typeof error.code === 'string') return error.code;
  // A name that resolves to several addresses fails once for each.
  if (error instanceof AggregateError) return nameOf(error.errors[0]);
  return OWN_WORDS.has(error.message) ? error.message : error.name;
}

const OWN_WORDS: ReadonlySet<string> = new Set(['stopped', 'timeout', 'too large']);
