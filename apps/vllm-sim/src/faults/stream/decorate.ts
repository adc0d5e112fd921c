import type { EventStream } from '../../http/event-stream.ts';

/** A stream that passes everything on to `inner`, but for what `own` replaces. */
export function decorate(inner: EventStream, own: Partial<EventStream>): EventStream {
  return {
    open: own.open ?? inner.open,
    send: own.send ?? inner.send,
    write: own.write ?? inner.write,
    end: own.end ?? inner.end,
    reset: own.reset ?? inner.reset,
    breakOff: own.breakOff ?? inner.breakOff,
    onDrain: own.onDrain ?? inner.onDrain,
    onGone: own.onGone ?? inner.onGone,
    get isSlow() {
      return own.isSlow ?? inner.isSlow;
    },
    get isGone() {
      return own.isGone ?? inner.isGone;
    },
  };
}

/**
 * A stream whose events are replaced one by one.
 *
 * @param replace what goes out instead, in order; `[DONE]` comes here too
 */
export function replaceEvents(
  inner: EventStream,
  replace: (data: string) => readonly string[],
): EventStream {
  return decorate(inner, {
    send(data) {
      for (const each of replace(data)) inner.send(each);
    },
  });
}
