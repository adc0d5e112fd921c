import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it, vi } from 'vitest';
import { createIncoming } from './incoming.ts';

const CHUNK_BYTES = 1_000_000;

it('keeps nothing of what has been read', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  async function* source() {
    for (let count = 0; count < 60; count += 1) yield Buffer.alloc(CHUNK_BYTES);
  }
  const { signal } = new AbortController();
  const incoming = createIncoming(source(), { bytesMax: 100 * CHUNK_BYTES, signal });
  collect();
  const before = process.memoryUsage().arrayBuffers;
  let read = 0;
  for await (const chunk of incoming) {
    read += chunk.byteLength;
    if (read < 50 * CHUNK_BYTES) continue;
    // In the middle: at the end all is let go of in any case. What is collected is counted later.
    await vi.waitUntil(
      () => {
        collect();
        return process.memoryUsage().arrayBuffers - before < 20 * CHUNK_BYTES;
      },
      { timeout: 10_000 },
    );
    break;
  }
  expect(read).toBe(50 * CHUNK_BYTES);
});
