import type { EventStream } from '../../http/event-stream.ts';
import type { NamesOf, ParamsOf } from '../fault-table.ts';

/** What a fault in a stream needs to know of its request. */
export type Injection = {
  /** From the seed, the rule and the request's number. */
  readonly random: () => number;
  /** To be called when the fault takes effect; it counts once. */
  took(): void;
  /** To be called when the fault, and not the client, ends the response. */
  tookTheEnd(): void;
};

/** Faults by name: each gives the stream that the answer is to be written to instead of `inner`. */
export type StreamFaults<Names extends NamesOf<'stream'>> = {
  readonly [Name in Names]: (
    inner: EventStream,
    params: ParamsOf<Name>,
    injection: Injection,
  ) => EventStream;
};
