import type { EventStream } from '../../http/event-stream.ts';
import { decorate } from './decorate.ts';
import type { Injection } from './stream-fault.ts';

/** A stream that a fault can end before its answer is complete. */
export type EndableStream = {
  readonly stream: EventStream;
  /**
   * Ends it by `action`. What comes later is dropped, and whoever feeds the stream is told that
   * nobody listens any more, so that the engine's slot is free. Only the first call counts.
   */
  endBy(action: () => void): void;
};

export function createEndable(inner: EventStream, injection: Injection): EndableStream {
  const listeners: (() => void)[] = [];
  let ended = false;
  const stream = decorate(inner, {
    send(data) {
      if (!ended) inner.send(data);
    },
    write(bytes) {
      if (!ended) inner.write(bytes);
    },
    end() {
      if (!ended) inner.end();
    },
    get isGone() {
      return ended || inner.isGone;
    },
    onGone(listener) {
      listeners.push(listener);
      inner.onGone(listener);
    },
  });
  return {
    stream,
    endBy(action) {
      if (ended) return;
      ended = true;
      injection.tookTheEnd();
      action();
      for (const listener of listeners) listener();
    },
  };
}
