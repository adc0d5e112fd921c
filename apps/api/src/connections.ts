/**
 * Below the routes: the server's connections. What is not HTTP is answered in the same shape as
 * all else, no answer is cut off or mixed with another, and nobody holds a connection for nothing.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { QarrError, errorBody } from '@qarr/router-core';
import { createArrivals } from './arrivals.ts';
import type { Arrivals } from './arrivals.ts';
import type { HttpLimits } from './config.ts';
import type { Drain } from './drain.ts';
import { createKeptSockets } from './kept-sockets.ts';
import type { KeptSockets } from './kept-sockets.ts';
import { LentSocket } from './lent-socket.ts';

/** Longer than the idle time of the usual load balancers, so that they let go first. */
export const KEEP_ALIVE_MS = 72_000;
/** Headers are a few hundred bytes; long ones are attacks. */
export const HEADER_BYTES_MAX = 16_384;
/**
 * A connection with more than this unsent is waited for, which counts for each of hundreds of readers
 * that are stuck: a quarter of Node's default.
 */
const UNSENT_BYTES_MAX = 16_384;
/** Open files that are no connections of clients: Redis, tokenizers, the ops port, the log. */
const FILES_RESERVED = 64;
/** How often the server looks for requests that take too long to arrive. */
const CHECK_MS = 1_000;
/** Of a body that was answered before it was read: this much is read and thrown away. */
const UNREAD_BYTES_MAX = 67_108_864;
const UNREAD_MS_MAX = 5_000;
const UNREAD_CHECK_MS = 50;
/** What was answered gets this long to reach a client that keeps its side open. */
const GOODBYE_MS = 1_000;

export interface Connections {
  readonly serverOptions: ServerOptions;
  /** Gives a body that is expected to be large the time that it needs. */
  readonly allow: Arrivals['allow'];
  /** Answers what the parser gave up on, and what took too long to arrive. */
  onClientError(error: Error & { code?: string }, socket: Socket): void;
  /** Call once, before the server listens. */
  watch(server: Server): void;
  /** Closes those of which the server does not know, as it closes its own. */
  stop(): void;
}

export function newRequestId(): string {
  return `req_${randomUUID().replaceAll('-', '')}`;
}

export function createConnections({
  limits,
  drain,
  onDropped,
}: {
  limits: Pick<HttpLimits, 'connectionsMax' | 'requestTimeoutMs'>;
  drain: Pick<Drain, 'enter'>;
  /** A connection was closed unanswered, because there are too many. */
  onDropped: (error: Error) => void;
}): Connections {
  const checkMs = Math.min(CHECK_MS, limits.requestTimeoutMs);
  let kept: KeptSockets | null = null;
  const arrivals = createArrivals({
    timeoutMs: limits.requestTimeoutMs,
    checkMs,
    onLate: ({ socket }) => onClientError({ code: 'ERR_HTTP_REQUEST_TIMEOUT' }, socket),
  });

  return {
    serverOptions: {
      maxHeaderSize: HEADER_BYTES_MAX,
      highWaterMark: UNSENT_BYTES_MAX,
      headersTimeout: limits.requestTimeoutMs,
      // Bodies are watched by us: Node's limit would be that of every request.
      requestTimeout: 0,
      connectionsCheckingInterval: checkMs,
      // Its absence is answered by us, in JSON.
      requireHostHeader: false,
    },

    allow: arrivals.allow,
    onClientError,

    watch(server) {
      // Beyond the limit of open files the system would close connections without telling anybody.
      server.maxConnections = Math.min(limits.connectionsMax, openFilesMax() - FILES_RESERVED);
      kept = lendSockets(server);
      server.on('drop', () => onDropped(new Error('EMFILE too many connections')));
      server.prependListener('request', (request, response) => {
        const { socket } = request;
        if (socket instanceof LentSocket) socket.note(request, response);
        response.once('close', drain.enter());
        if (!hasBody(request)) return;
        arrivals.watch(request);
        response.once('finish', () => {
          arrivals.forget(request);
          boundUnreadBody(request);
        });
      });
      // An expectation may be ignored; Node's own answer to it would not be JSON.
      server.on('checkExpectation', (request, response) => {
        server.emit('request', request, response);
      });
    },

    stop: () => kept?.stop(),
  };
}

function onClientError(error: { code?: string }, socket: Socket): void {
  const response = socket instanceof LentSocket ? socket.latest : null;
  if (error.code === 'ECONNRESET' || (response && isInTheMiddle(response))) {
    socket.destroy();
    return;
  }
  // It has been answered already, and this is what it still sends.
  if (!socket.writable) return;
  socket.end(malformedRequestReply(error));
  const goodbye = setTimeout(() => socket.destroy(), GOODBYE_MS);
  socket.once('close', () => clearTimeout(goodbye));
}

/** Lets the server work on a stand-in for each socket, which can be taken back from it. */
function lendSockets(server: Server): KeptSockets {
  const listeners = server.listeners('connection');
  server.removeAllListeners('connection');
  const kept = createKeptSockets({ idleMs: KEEP_ALIVE_MS, lend });
  function lend(socket: Socket, first?: Buffer): void {
    const lent = new LentSocket(socket, { first, keep: kept.keep });
    for (const listener of listeners) Reflect.apply(listener, server, [lent]);
  }
  server.on('connection', (socket: Socket) => lend(socket));
  return kept;
}

/** How many files and sockets this process may have open. */
function openFilesMax(): number {
  // It would ask for the names of all peers, and nothing else would go on where no name server answers.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as { userLimits?: UserLimits };
  const soft = report.userLimits?.open_files?.soft;
  // Where there is no limit it is a word.
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}

interface UserLimits {
  readonly open_files?: { readonly soft: number | string };
}

/** Whether something of the answer is on its way, so that another one would get mixed with it. */
function isInTheMiddle(response: ServerResponse): boolean {
  return response.headersSent && !(response.writableFinished && response.req.complete);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

/**
 * An answer may leave before the whole body has arrived. Closing the connection at once would make
 * the client's system throw the answer away, so what still comes is read, within bounds.
 */
function boundUnreadBody(request: IncomingMessage): void {
  if (request.complete) return;
  const { socket } = request;
  const bytesMax = socket.bytesRead + UNREAD_BYTES_MAX;
  const deadlineMs = performance.now() + UNREAD_MS_MAX;
  const check = setInterval(() => {
    if (request.complete) return clearInterval(check);
    if (socket.bytesRead > bytesMax || performance.now() > deadlineMs) socket.destroy();
  }, UNREAD_CHECK_MS);
  socket.once('close', () => clearInterval(check));
}

function malformedRequestReply({ code }: { code?: string }): string {
  const [status, problem] =
    code === 'HPE_HEADER_OVERFLOW'
      ? (['431 Request Header Fields Too Large', new QarrError('header_too_large')] as const)
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? (['408 Request Timeout', new QarrError('request_timeout')] as const)
        : ([
            '400 Bad Request',
            new QarrError('invalid_request', { message: 'This is not HTTP.' }),
          ] as const);
  const body = JSON.stringify(errorBody(problem));
  return (
    `HTTP/1.1 ${status}\r\nx-request-id: ${newRequestId()}\r\n` +
    `content-type: application/json; charset=utf-8\r\n` +
    `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
  );
}
