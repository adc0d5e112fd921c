import type { EventStream } from '../../http/event-stream.ts';
import type { NamesOf, ParamsOf } from '../fault-table.ts';
import { CHUNK_SHAPES } from './chunk-shapes.ts';
import { ENDINGS } from './endings.ts';
import { ERROR_EVENTS } from './error-events.ts';
import { FRAMING } from './framing.ts';
import { MALFORMED } from './malformed.ts';
import { PACING } from './pacing.ts';
import { RESPONSE_HEADERS } from './response-headers.ts';
import type { Injection, StreamFaults } from './stream-fault.ts';
import { WRITES } from './writes.ts';

const STREAM_FAULTS: StreamFaults<NamesOf<'stream'>> = {
  ...RESPONSE_HEADERS,
  ...ENDINGS,
  ...ERROR_EVENTS,
  ...PACING,
  ...MALFORMED,
  ...CHUNK_SHAPES,
  ...FRAMING,
  ...WRITES,
};

/** The stream that an answer is to be written to, so that its client sees the fault. */
export function disturbStream<Name extends NamesOf<'stream'>>(
  stream: EventStream,
  fault: { readonly name: Name; readonly params: ParamsOf<Name> },
  injection: Injection,
): EventStream {
  return STREAM_FAULTS[fault.name](stream, fault.params, injection);
}
