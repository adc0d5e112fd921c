/** What is being written, as both stores take it: counted, hashed, bounded, and given up when told. */
import { createHash } from 'node:crypto';
import { FileStoreError } from './file-store.ts';
import type { Written } from './file-store.ts';

export interface Incoming extends AsyncIterable<Uint8Array> {
  /** Call once all of it has been read. */
  written(): Written;
}

export function createIncoming(
  content: AsyncIterable<Uint8Array>,
  { bytesMax, signal }: { bytesMax: number; signal?: AbortSignal | undefined },
): Incoming {
  const hash = createHash('sha256');
  let bytes = 0;

  return {
    async *[Symbol.asyncIterator]() {
      for await (const chunk of untilAborted(content, signal)) {
        bytes += chunk.byteLength;
        if (bytes > bytesMax) {
          throw new FileStoreError('too_large', `The content is larger than ${bytesMax} bytes.`);
        }
        hash.update(chunk);
        yield chunk;
      }
    },
    written: () => ({ bytes, sha256: hash.digest('hex') }),
  };
}

/** Throws the signal's reason at once, also while the source is silent. */
async function* untilAborted<Item>(
  source: AsyncIterable<Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Item> {
  signal?.throwIfAborted();
  const iterator = source[Symbol.asyncIterator]();
  let giveUp: ((reason: unknown) => void) | null = null;
  const onAbort = () => giveUp?.(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  // A promise of its own for each: a race with one that is never settled would keep all that was read.
  const next = () =>
    new Promise<IteratorResult<Item>>((resolve, reject) => {
      giveUp = reject;
      iterator.next().then(resolve, reject);
    });
  let isOver = false;
  try {
    while (true) {
      signal?.throwIfAborted();
      const { done, value } = await next();
      if (done === true) {
        isOver = true;
        return;
      }
      yield value;
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    // Not waited for: a source that is silent ends only when it says something.
    if (!isOver) void iterator.return?.().catch(() => {});
  }
}
