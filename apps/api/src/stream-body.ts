/**
 * What an event stream writes to, once its headers are sent: the socket itself, taken back from the
 * HTTP server, or the response where the server still needs the socket.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { LentSocket } from './lent-socket.ts';

const LAST_CHUNK = '0\r\n\r\n';
/** What is shorter Node gives to the system without a copy of its own, where nothing waits before it. */
const SHORT_CHARS_MAX = 5_000;

export interface StreamBody {
  readonly needsDrain: boolean;
  /** False when it is better to wait until it has drained. */
  write(text: string): boolean;
  /** Resolves when more can be written, or when the signal is aborted. */
  drained(signal: AbortSignal): Promise<void>;
  /** Closes the connection when the reader has taken nothing of what waits for so long; 0 for never. */
  setTimeout(ms: number): void;
  end(): void;
  destroy(): void;
  /** Calls it once the reader is gone, or all is sent and the connection closed. */
  onClose(listener: () => void): void;
}

/** The response must have sent its headers, and that the connection closes after it. */
export function createStreamBody(response: ServerResponse): StreamBody {
  const lent: Duplex | null = response.socket;
  const socket = lent instanceof LentSocket ? lent.takeBack() : null;
  if (socket === null) return new ResponseBody(response);
  return new SocketBody(socket, { isChunked: response.chunkedEncoding });
}

class SocketBody implements StreamBody {
  readonly #socket: Socket;
  /** A reader of HTTP/1.0 knows the end by the end of the connection. */
  readonly #isChunked: boolean;

  constructor(socket: Socket, { isChunked }: { isChunked: boolean }) {
    this.#socket = socket;
    this.#isChunked = isChunked;
    // Nothing is expected from the reader but that it leaves, which only shows when it is read.
    socket.resume();
    socket.on('end', destroySoon);
    socket.on('timeout', destroy);
    socket.on('error', ignore);
  }

  get needsDrain(): boolean {
    return this.#socket.writableNeedDrain;
  }

  write(text: string): boolean {
    const framed = this.#isChunked ? chunk(text) : text;
    const isTakenAtOnce = this.#socket.writableLength === 0 && framed.length <= SHORT_CHARS_MAX;
    return this.#socket.write(isTakenAtOnce ? framed : bytesOf(framed));
  }

  async drained(signal: AbortSignal): Promise<void> {
    await once(this.#socket, 'drain', { signal }).catch(ignore);
  }

  setTimeout(ms: number): void {
    this.#socket.setTimeout(ms);
  }

  end(): void {
    if (this.#isChunked) this.#socket.write(LAST_CHUNK);
    this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  onClose(listener: () => void): void {
    if (this.#socket.destroyed) listener();
    else this.#socket.once('close', listener);
  }
}

/** Answers of earlier requests, sent without waiting for each other, may still be on their way. */
class ResponseBody implements StreamBody {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  get needsDrain(): boolean {
    return this.#response.writableNeedDrain;
  }

  write(text: string): boolean {
    return this.#response.write(bytesOf(text));
  }

  async drained(signal: AbortSignal): Promise<void> {
    await once(this.#response, 'drain', { signal }).catch(ignore);
  }

  setTimeout(ms: number): void {
    this.#response.socket?.setTimeout(ms);
  }

  end(): void {
    this.#response.end();
  }

  destroy(): void {
    this.#response.destroy();
  }

  onClose(listener: () => void): void {
    if (this.#response.destroyed) listener();
    else this.#response.once('close', listener);
  }
}

function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

/**
 * For what may have to wait: for a string that waits, Node sets three bytes aside for each character. In
 * memory of their own: in that which Node shares out, a few bytes that wait would keep the 64 KB around
 * them. Setting it aside costs as much as sending a token.
 */
function bytesOf(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}

// Not closures, of which each of many thousand streams would have its own.
function destroySoon(this: Socket): void {
  this.destroySoon();
}

function destroy(this: Socket): void {
  this.destroy();
}

/** An error is followed by a close, which is what counts. */
function ignore(): void {}
