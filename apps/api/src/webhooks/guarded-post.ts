/**
 * One POST to a URL that somebody else has chosen.
 *
 * The host is resolved once. If one of its addresses is not allowed, no connection is made; else the
 * connection goes to these addresses and no others, so that a name that answers differently the
 * second time gains nothing. Redirects are not followed, the certificate is always checked, nothing
 * is shared between two calls, and of the answer no more is taken than its status needs.
 */
import { request as requestHttp } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { FindAddresses } from './find-addresses.ts';
import { hostOf } from './webhook-url.ts';

/** Who has answered is given so long to end its answer by itself. */
const ANSWER_END_MS = 1_000;
const HEADER_BYTES_MAX = 16_384;

export interface GuardedPostDeps {
  readonly findAddresses: FindAddresses;
  readonly isAllowed: (address: string) => boolean;
  /** To the status of the answer, and for all that comes before. */
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}

/** A `cause` is a short word or the code of an error: it may be logged. */
export type PostOutcome =
  | { kind: 'answered'; status: number; retryAfter: string | undefined }
  | { kind: 'forbidden' }
  | { kind: 'failed'; cause: string }
  | { kind: 'aborted' };

export async function guardedPost(
  {
    url,
    headers,
    body,
    signal,
  }: { url: URL; headers: Record<string, string>; body: string; signal: AbortSignal },
  { findAddresses, isAllowed, timeoutMs, answerBytesMax }: GuardedPostDeps,
): Promise<PostOutcome> {
  const ending = new AbortController();
  const end = () => ending.abort();
  const timer = setTimeout(end, timeoutMs);
  signal.addEventListener('abort', end);
  if (signal.aborted) end();
  try {
    const addresses = await abortable(findAddresses(hostOf(url), ending.signal), ending.signal);
    if (!addresses.every(isAllowed)) return { kind: 'forbidden' };
    const request = open(url, { headers, addresses, signal: ending.signal });
    request.end(body);
    const response = await answerOf(request);
    await letEnd(response, answerBytesMax);
    const { statusCode: status = 0, headers: answered } = response;
    return { kind: 'answered', status, retryAfter: answered['retry-after'] };
  } catch (error) {
    if (signal.aborted) return { kind: 'aborted' };
    return { kind: 'failed', cause: ending.signal.aborted ? 'timeout' : causeOf(error) };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
    // Whatever is still open of it.
    end();
  }
}

function open(
  url: URL,
  {
    headers,
    addresses,
    signal,
  }: { headers: Record<string, string>; addresses: readonly string[]; signal: AbortSignal },
): ClientRequest {
  const options = {
    method: 'POST',
    headers,
    // A connection for this request alone.
    agent: false,
    lookup: pinnedTo(addresses),
    maxHeaderSize: HEADER_BYTES_MAX,
    signal,
  } as const;
  if (url.protocol === 'http:') return requestHttp(url, options);
  // Said once more, because a variable of Node's would switch it off for the whole process.
  return requestHttps(url, { ...options, rejectUnauthorized: true });
}

/** Node does not ask where the host is an address: that one has been checked as it is. */
function pinnedTo(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  return (_host, options, callback) => {
    const [first] = all;
    if (options.all === true) callback(null, all);
    else callback(null, first?.address ?? '', first?.family);
  };
}

function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    // Stays: an error after the answer is nobody's concern.
    request.on('error', reject);
    request.once('close', () => reject(new Error('closed')));
  });
}

/** Takes the rest of an answer, but not much of it. */
async function letEnd(response: IncomingMessage, bytesMax: number): Promise<void> {
  let bytes = 0;
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, ANSWER_END_MS);
  // A connection that breaks now takes nothing back of the status.
  response.on('error', () => {});
  response.once('close', over.resolve);
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes >= bytesMax) over.resolve();
  });
  await over.promise;
  clearTimeout(timer);
  response.destroy();
}

/** A question to DNS may go on after it was given up. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
  return Promise.race([promise, aborted]);
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : 'closed';
}
