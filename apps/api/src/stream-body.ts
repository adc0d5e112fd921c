/**
 * What an event stream writes to, once its headers are sent: the socket itself, taken back from the
 * HTTP server, or the response where the server still needs the socket.
 */
import { once } from 'node:events';
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { attend } from './kept-sockets.ts';
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
  /** Writes this as the last of it. */
  end(text: string): void;
  destroy(): void;
  /** Calls it once the reader is gone, or all is sent. To be called once. */
  onClose(listener: () => void): void;
}

/** Sends the headers and the first of the body, after which the response is not to be used. */
export function createStreamBody(
  response: ServerResponse,
  { headers, first, isLast }: { headers: OutgoingHttpHeaders; first: string; isLast: boolean },
): StreamBody {
  const lent: Duplex | null = response.socket;
  const isKept = !isLast && lent instanceof LentSocket && canBeKept(response, lent);
  response.writeHead(200, isKept ? headers : { ...headers, connection: 'close' });
  response.write(first);
  if (!(lent instanceof LentSocket)) return new ResponseBody(response);
  // Node waits for more that could leave in the same write.
  lent.uncork();
  const socket = lent.takeBack();
  if (socket === null) return new ResponseBody(response);
  const isChunked = response.chunkedEncoding;
  return new SocketBody(socket, { isChunked, keep: isKept ? lent.keep : null });
}

/** Whether it is known where the next request begins, and where this answer ends. */
function canBeKept(response: ServerResponse, lent: LentSocket): boolean {
  const { httpVersion } = response.req;
  return httpVersion === '1.1' && response.shouldKeepAlive && lent.hasEndedWith(response);
}

class SocketBody implements StreamBody {
  readonly #socket: Socket;
  /** A reader of HTTP/1.0 knows the end by the end of the connection. */
  readonly #isChunked: boolean;
  /** Null: it closes. */
  readonly #keep: ((socket: Socket) => void) | null;
  readonly #bytesRead: number;
  #onClose: () => void = ignore;

  constructor(
    socket: Socket,
    { isChunked, keep }: { isChunked: boolean; keep: ((socket: Socket) => void) | null },
  ) {
    this.#socket = socket;
    this.#isChunked = isChunked;
    this.#keep = keep;
    this.#bytesRead = socket.bytesRead;
    attend(socket);
  }

  get needsDrain(): boolean {
    return this.#socket.writableNeedDrain;
  }

  write(text: string): boolean {
    return this.#send(this.#isChunked ? chunk(text) : text);
  }

  async drained(signal: AbortSignal): Promise<void> {
    await once(this.#socket, 'drain', { signal }).catch(ignore);
  }

  setTimeout(ms: number): void {
    this.#socket.setTimeout(ms);
  }

  end(text: string): void {
    const last = text === '' || !this.#isChunked ? text : chunk(text);
    this.#send(this.#isChunked ? `${last}${LAST_CHUNK}` : last, (error) => this.#ended(error));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  onClose(listener: () => void): void {
    this.#onClose = listener;
    if (this.#socket.destroyed) listener();
    else this.#socket.once('close', listener);
  }

  #send(framed: string, sent?: (error?: Error | null) => void): boolean {
    const isTakenAtOnce = this.#socket.writableLength === 0 && framed.length <= SHORT_CHARS_MAX;
    return this.#socket.write(isTakenAtOnce ? framed : bytesOf(framed), sent);
  }

  /** All is on its way. What its client has sent meanwhile was not kept: it is no whole request. */
  #ended(error?: Error | null): void {
    if (error) return;
    const socket = this.#socket;
    const isUsable =
      !socket.destroyed && !socket.readableEnded && socket.bytesRead === this.#bytesRead;
    if (this.#keep === null || !isUsable) return socket.destroySoon();
    socket.off('close', this.#onClose);
    this.#keep(socket);
    this.#onClose();
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

  end(text: string): void {
    this.#response.end(bytesOf(text));
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

/** An error is followed by a close, which is what counts. */
function ignore(): void {}
