/**
 * Reads a file over as many connections as it takes. The reader's place is the number of bytes that
 * it was given: each connection begins there, and the end is where the file's length says.
 */
import { QarrClientError } from './errors.ts';
import { badAnswer, networkError } from './http.ts';
import { retryDelayMs } from './retry.ts';
import { within } from './within.ts';

interface ContentDeps {
  /** One connection, with these headers. */
  readonly open: (
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ) => Promise<Response>;
  readonly start: number;
  /** Of the whole file. */
  readonly bytes: number;
  readonly silenceMs: number;
  readonly reconnectsMax: number;
  readonly retryAfterMsMax: number;
  readonly signal: AbortSignal | undefined;
  readonly sleep: (ms: number) => Promise<void>;
  readonly random: () => number;
}

export async function* readContent(deps: ContentDeps): AsyncGenerator<Uint8Array, void, undefined> {
  const { start, bytes, reconnectsMax, retryAfterMsMax } = deps;
  let position = start;
  /** Connections in a row that brought nothing. */
  let fruitless = 0;
  while (position < bytes) {
    let problem = networkError(undefined);
    try {
      for await (const chunk of readConnection(deps, position)) {
        position += chunk.length;
        fruitless = 0;
        if (position > bytes) throw badAnswer(`The file is longer than ${bytes} bytes.`);
        yield chunk;
      }
    } catch (error) {
      if (!(error instanceof QarrClientError) || !error.retryable) throw error;
      problem = error;
    }
    if (position === bytes) return;
    fruitless += 1;
    const { retryAfterMs } = problem;
    const random = deps.random();
    const delayMs = retryDelayMs({ failures: fruitless, retryAfterMs, retryAfterMsMax, random });
    if (delayMs === null || fruitless > reconnectsMax) throw problem;
    await deps.sleep(delayMs);
  }
}

async function* readConnection(
  { open, silenceMs, signal }: ContentDeps,
  position: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const connection = new AbortController();
  // Time counts only while something is waited for: a reader may think as long as it likes.
  const limits = { timeoutMs: silenceMs, signal, onStop: () => connection.abort() };
  try {
    const headers = position === 0 ? {} : { range: `bytes=${position}-` };
    const response = await within(limits, () => open(headers, connection.signal));
    const reader = response.body?.getReader();
    // Whoever answers with the whole file all the same is heard from the place on.
    let toSkip = response.status === 206 ? 0 : position;
    if (reader === undefined) return;
    for (;;) {
      const { done, value } = await within(limits, () => reader.read().catch(asNetworkError));
      if (done) return;
      const chunk = value.subarray(Math.min(toSkip, value.length));
      toSkip -= value.length - chunk.length;
      if (chunk.length > 0) yield chunk;
    }
  } finally {
    connection.abort();
  }
}

function asNetworkError(error: unknown): never {
  throw networkError(error);
}
