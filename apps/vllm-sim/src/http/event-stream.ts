import type { ServerResponse } from 'node:http';

/** A stream of server-sent events to one client. */
export type EventStream = {
  /** The headers leave at once. */
  open(headers?: Readonly<Record<string, string>>): void;
  /** Sends the data of one event; nothing happens when the client has gone. */
  send(data: string): void;
  /** Sends bytes as they are, as one chunk: for what is not one plain event. */
  write(bytes: Uint8Array | string): void;
  /** The response is complete. */
  end(): void;
  /** Resets the connection, after what was written has left. */
  reset(): void;
  /** Announces a chunk of these bytes, sends half of them and closes the connection. */
  breakOff(bytes: Uint8Array): void;
  /** The client reads more slowly than it is written to: what comes now should wait for `drain`. */
  readonly isSlow: boolean;
  readonly isGone: boolean;
  onDrain(listener: () => void): void;
  /** Called when the connection closed before `end`. */
  onGone(listener: () => void): void;
};

export function createEventStream(response: ServerResponse): EventStream {
  return {
    open(headers) {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', ...headers });
      response.flushHeaders();
    },
    send(data) {
      response.write(frameEvent(data));
    },
    write(bytes) {
      response.write(bytes);
    },
    end() {
      response.end();
    },
    reset() {
      const { socket } = response;
      // A reset discards what is still in this process: it waits for an empty write, which comes
      // after all others.
      socket?.write('', () => socket.resetAndDestroy());
    },
    breakOff(bytes) {
      const { socket } = response;
      const size = response.chunkedEncoding ? `${bytes.length.toString(16)}\r\n` : '';
      socket?.write(size);
      socket?.write(bytes.subarray(0, bytes.length / 2), () => socket.destroy());
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

/** One event as it goes over the wire. */
export function frameEvent(data: string): string {
  return `data: ${data}\n\n`;
}
