import { isUtf8 } from 'node:buffer';
import { createLineSplitter } from '@qarr/router-core';
import type { RawLine } from '@qarr/router-core';

/** Lines as they come; see `LineSplitter`. */
export async function* splitLines(
  content: AsyncIterable<Uint8Array>,
  { lineBytesMax }: { lineBytesMax: number },
): AsyncGenerator<RawLine> {
  const splitter = createLineSplitter({ lineBytesMax, decode: decodeUtf8 });
  for await (const chunk of content) yield* splitter.push(chunk);
  yield* splitter.end();
}

/** Null for what is not valid UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  return isUtf8(bytes) ? viewOf(bytes).toString('utf8') : null;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
