import { constants, createGzip } from 'node:zlib';
import { type EventStream, frameEvent } from '../../http/event-stream.ts';
import { decorate } from './decorate.ts';
import type { Injection, StreamFaults } from './stream-fault.ts';

/** How much of a bomb is in memory at once. */
const BOMB_PIECE_BYTES = 1024 * 1024;

/** Streams whose headers surprise. */
export const RESPONSE_HEADERS: StreamFaults<'wrong_content_type' | 'gzip' | 'gzip_bomb'> = {
  wrong_content_type: (inner, params, injection) =>
    decorate(inner, {
      open() {
        injection.took();
        inner.open({ 'content-type': params.type });
      },
    }),

  gzip: (inner, _params, injection) => compress(inner, { injection, bombBytes: 0 }),
  gzip_bomb: (inner, params, injection) => compress(inner, { injection, bombBytes: params.bytes }),
};

/** @param options.bombBytes of a comment that comes before the answer */
function compress(
  inner: EventStream,
  options: { injection: Injection; bombBytes: number },
): EventStream {
  // A flush after each event, or the first would wait for a whole block.
  const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH });
  gzip.on('data', inner.write);
  gzip.on('end', inner.end);
  inner.onGone(() => gzip.destroy());
  return decorate(inner, {
    open() {
      options.injection.took();
      inner.open({ 'content-encoding': 'gzip' });
      for (const piece of bomb(options.bombBytes)) gzip.write(piece);
    },
    send(data) {
      gzip.write(frameEvent(data));
    },
    end() {
      gzip.end();
    },
  });
}

function* bomb(bytes: number): Generator<Buffer | string> {
  if (bytes === 0) return;
  yield ':';
  const piece = Buffer.alloc(Math.min(bytes, BOMB_PIECE_BYTES), ' ');
  for (let left = bytes; left > 0; left -= piece.length) yield piece.subarray(0, left);
  yield '\n\n';
}
