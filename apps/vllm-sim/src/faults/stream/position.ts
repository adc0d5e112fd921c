import { type EventStream, frameEvent } from '../../http/event-stream.ts';
import { decorate } from './decorate.ts';
import type { Injection } from './stream-fault.ts';

/** Where in a stream a fault happens: before this event or byte, counted from 0. */
export type Position =
  | { readonly kind: 'event'; readonly index: number }
  | { readonly kind: 'byte'; readonly index: number };

export type PositionParams = {
  /** So many events go through first; chat's role chunk, usage and [DONE] are events. */
  readonly after: number | undefined;
  /** The same, drawn from 0 to this. */
  readonly within: number | undefined;
  readonly after_bytes?: number | undefined;
  readonly within_bytes?: number | undefined;
};

/** After the first event, unless the parameters say otherwise. */
const EVENTS_BEFORE = 1;

export function readPosition(params: PositionParams, random: Injection['random']): Position {
  const { after, within, after_bytes: bytes, within_bytes: bytesMax } = params;
  if (bytes !== undefined) return { kind: 'byte', index: bytes };
  if (bytesMax !== undefined) return { kind: 'byte', index: drawUpTo(bytesMax, random) };
  if (within !== undefined) return { kind: 'event', index: drawUpTo(within, random) };
  return { kind: 'event', index: after ?? EVENTS_BEFORE };
}

function drawUpTo(max: number, random: Injection['random']): number {
  return Math.floor(random() * (max + 1));
}

/**
 * Lets a stream through up to a position. What is due from there on goes to `rest`, so that an
 * answer that ends earlier, or exactly there, is untouched.
 */
export function divert(
  inner: EventStream,
  position: Position,
  rest: {
    /** At least one byte each time. */
    write(bytes: Buffer): void;
    end(): void;
  },
): EventStream {
  let left = position.index;
  let diverted = false;

  function send(data: string): void {
    const bytes = Buffer.from(frameEvent(data));
    if (diverted) {
      rest.write(bytes);
    } else if (left >= measure(bytes)) {
      left -= measure(bytes);
      inner.write(bytes);
    } else {
      diverted = true;
      const before = position.kind === 'byte' ? left : 0;
      if (before > 0) inner.write(bytes.subarray(0, before));
      rest.write(bytes.subarray(before));
    }
  }

  function measure(bytes: Buffer): number {
    return position.kind === 'byte' ? bytes.length : 1;
  }

  return decorate(inner, { send, end: () => (diverted ? rest.end() : inner.end()) });
}

/** Lets events through up to a position and hands the later ones, as data, to `rest`. */
export function divertEvents(
  inner: EventStream,
  params: { readonly after: number | undefined; readonly within: number | undefined },
  options: { random: Injection['random']; rest: (data: string) => void },
): EventStream {
  let left = readPosition(params, options.random).index;
  return decorate(inner, {
    send(data) {
      if (left === 0) {
        options.rest(data);
      } else {
        left -= 1;
        inner.send(data);
      }
    },
  });
}
