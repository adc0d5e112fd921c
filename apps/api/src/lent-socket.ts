/**
 * A connection as the HTTP server sees it. The server keeps some 20 KB for each, of which its parser
 * has the half, as long as the connection stands. An event stream needs none of it once its request
 * is answered: the socket is taken back, and the server lets go of all it had for it. For the next
 * request it is lent anew.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

type Written = (error?: Error | null) => void;

export class LentSocket extends Duplex {
  /** What becomes of it when it was taken back and can carry another request. */
  readonly keep: (socket: Socket) => void;
  readonly #socket: Socket;
  #isTakenBack = false;
  #latest: ServerResponse | null = null;
  #bytesGiven = 0;
  /** Of the requests that the server has found in what it was given. */
  #bytesOfRequests = 0;
  readonly #onData = (bytes: Buffer) => this.#give(bytes);
  readonly #onEnd = () => void this.push(null);
  readonly #onError = (error: Error) => void this.destroy(error);
  readonly #onClose = () => void this.destroy();
  readonly #onTimeout = () => void this.emit('timeout');

  /** @param first what has been read of it already */
  constructor(
    socket: Socket,
    { keep, first }: { keep: (socket: Socket) => void; first?: Buffer | undefined },
  ) {
    super({
      // A client may close its side and still wait for its answer: the HTTP server decides.
      allowHalfOpen: true,
      // Strings go to the system without a copy of ours.
      decodeStrings: false,
      highWaterMark: socket.writableHighWaterMark,
    });
    this.keep = keep;
    this.#socket = socket;
    if (first !== undefined) this.#give(first);
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    socket.on('timeout', this.#onTimeout);
  }

  /** The answer to the last request that the server has found. */
  get latest(): ServerResponse | null {
    return this.#latest;
  }

  /** To be called with each request as soon as the server has found it. */
  note(request: IncomingMessage, response: ServerResponse): void {
    this.#latest = response;
    this.#bytesOfRequests += bytesOf(request);
  }

  /** Whether nothing has come after the request of this answer: not a byte of another. */
  hasEndedWith(response: ServerResponse): boolean {
    return this.#latest === response && this.#bytesGiven === this.#bytesOfRequests;
  }

  /** Takes the socket away from the server. Null where the server still has something to send. */
  takeBack(): Socket | null {
    if (this.destroyed || this.writableLength > 0) return null;
    this.#isTakenBack = true;
    const socket = this.#socket;
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
    socket.off('timeout', this.#onTimeout);
    socket.setTimeout(0);
    // Not before Node has noted what is written, which would be an error then.
    process.nextTick(destroy, this);
    return socket;
  }

  #give(bytes: Buffer): void {
    this.#bytesGiven += bytes.length;
    if (!this.push(bytes)) this.#socket.pause();
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get localAddress(): string | undefined {
    return this.#socket.localAddress;
  }

  get localPort(): number | undefined {
    return this.#socket.localPort;
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  setTimeout(ms: number): this {
    this.#socket.setTimeout(ms);
    return this;
  }

  /** Ends it when all is sent, without waiting for the other side: the server asks for it by name. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: string | Buffer, encoding: BufferEncoding, written: Written): void {
    // Not by the callback of the write, which comes a turn later: until then nothing could be taken back.
    if (this.#socket.write(chunk, encoding)) written();
    else this.#socket.once('drain', written);
  }

  override _writev(
    chunks: { chunk: string | Buffer; encoding: BufferEncoding }[],
    written: Written,
  ): void {
    this.#socket.cork();
    for (const { chunk, encoding } of chunks) this.#socket.write(chunk, encoding);
    this.#socket.uncork();
    if (this.#socket.writableNeedDrain) this.#socket.once('drain', written);
    else written();
  }

  override _final(ended: Written): void {
    this.#socket.end(() => ended());
  }

  override _destroy(error: Error | null, destroyed: Written): void {
    if (!this.#isTakenBack) this.#socket.destroy();
    destroyed(error);
  }
}

function destroy(lent: LentSocket): void {
  lent.destroy();
}

/**
 * As nearly all clients write one: the parser does not tell. Of a request that is written otherwise, or in
 * chunks, it is another number, and its connection is not kept.
 */
function bytesOf({ method = '', url = '', rawHeaders, headers }: IncomingMessage): number {
  let bytes = `${method} ${url} HTTP/1.1\r\n\r\n`.length;
  // Names and values in turn, each followed by two bytes.
  for (const text of rawHeaders) bytes += text.length + 2;
  if (headers['transfer-encoding'] !== undefined) return Number.NaN;
  return bytes + Number(headers['content-length'] ?? 0);
}
