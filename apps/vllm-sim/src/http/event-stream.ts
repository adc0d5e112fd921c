import type { ServerResponse } from 'node:http';

/** A stream of server-sent events to one client. */
export type EventStream = {
  /** The headers leave at once. */
  open(): void;
  /** Sends the data of one event; nothing happens when the client has gone. */
  send(data: string): void;
  /** The response is complete. */
  end(): void;
  /** The client reads more slowly than it is written to: what comes now should wait for `drain`. */
  readonly isSlow: boolean;
  readonly isGone: boolean;
  onDrain(listener: () => void): void;
  /** Called when the connection closed before `end`. */
  onGone(listener: () => void): void;
};

export function createEventStream(response: ServerResponse): EventStream {
  return {
    open() {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      response.flushHeaders();
    },
    send(data) {
      response.write(`data: ${data}\n\n`);
    },
    end() {
      response.end();
    },
    get isSlow() {
      return response.writableNeedDrain;
    },
    get isGone() {
      return response.destroyed;
    },
    onDrain(listener) {
      response.on('drain', listener);
    },
    onGone(listener) {
      response.on('close', () => {
        if (!response.writableFinished) listener();
      });
    },
  };
}
