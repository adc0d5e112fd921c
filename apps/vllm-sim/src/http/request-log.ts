import type { ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { GENERATE_PATHS } from './generate-paths.ts';

/** What the simulator saw of its clients. Names and ids only: no prompt, no text. */
export type RequestLog = {
  /** Notes a request and, once its response closes, how it ended. */
  follow(request: LoggedRequest, response: ServerResponse): void;
  /** A fault took effect on a response; `ends` when it, and not the client, ended that. */
  faulted(response: ServerResponse, fault: { name: string; ends: boolean }): void;
  /** A fault of the whole engine took effect on all that is open. */
  faultedAll(name: string): void;
  /** The server, and not its client, closes a response, or all that is open. */
  cut(response: ServerResponse): void;
  cutAll(): void;
  read(): { received: number; abortedByClient: number; recent: readonly LogEntry[] };
};

type LoggedRequest = {
  readonly path: string;
  /** Names of the body's fields. */
  readonly fields: readonly string[];
  readonly requestId: string | null;
  readonly traceparent: string | null;
};

type LogEntry = LoggedRequest & {
  /** The fault that took effect. */
  fault: string | null;
  /** Null while it is open. */
  ended: 'completed' | 'aborted_by_client' | 'fault' | null;
};

/** Enough for a test to look back on, little enough to print. */
const RECENT_MAX = 100;
/** More than any API has; longer than any name or id should be. */
const FIELDS_MAX = 100;
const CHARS_MAX = 200;

export function createRequestLog(): RequestLog {
  const recent: LogEntry[] = [];
  const open = new Map<ServerResponse, LogEntry>();
  let received = 0;
  let abortedByClient = 0;

  return {
    follow(request, response) {
      const entry: LogEntry = { ...request, fault: null, ended: null };
      received += 1;
      recent.push(entry);
      if (recent.length > RECENT_MAX) recent.shift();
      open.set(response, entry);
      response.once('close', () => {
        open.delete(response);
        entry.ended ??= response.writableFinished ? 'completed' : 'aborted_by_client';
        if (entry.ended === 'aborted_by_client') abortedByClient += 1;
      });
    },
    faulted(response, { name, ends }) {
      const entry = open.get(response);
      if (entry === undefined) return;
      entry.fault = name;
      if (ends) entry.ended = 'fault';
    },
    faultedAll(name) {
      for (const entry of open.values()) entry.fault ??= name;
    },
    cut(response) {
      const entry = open.get(response);
      if (entry !== undefined) entry.ended ??= 'fault';
    },
    cutAll() {
      for (const entry of open.values()) entry.ended ??= 'fault';
    },
    read: () => ({ received, abortedByClient, recent }),
  };
}

/** Follows every request for an answer, from when its body has been read. */
export function followRequests(app: FastifyInstance, log: RequestLog): void {
  app.addHook('preHandler', (request, reply, done) => {
    const path = request.routeOptions.url ?? '';
    const { body } = request;
    if (GENERATE_PATHS.includes(path) && typeof body === 'object' && body !== null) {
      const fields = Object.keys(body).slice(0, FIELDS_MAX);
      const entry = {
        path,
        fields: fields.map((field) => field.slice(0, CHARS_MAX)),
        requestId: headerOf(request, 'x-request-id'),
        traceparent: headerOf(request, 'traceparent'),
      };
      log.follow(entry, reply.raw);
    }
    done();
  });
}

function headerOf(request: FastifyRequest, name: string): string | null {
  const value = request.headers[name];
  return typeof value === 'string' ? value.slice(0, CHARS_MAX) : null;
}
