/** A span for each request, in the trace of its client or in one that begins here. */
import type { Span, Tracing } from '@qarr/process';
import { NO_TRACING } from '@qarr/process';
import { QarrError, errorRow } from '@qarr/router-core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

const NOTHING = NO_TRACING.span('');

/** The first hook: what a request is refused for, also for its key, is part of its span. */
export function traceRequests(app: FastifyInstance, { tracing }: { tracing: Tracing }): void {
  app.decorateRequest('span');
  app.addHook('onRequest', async (request, reply) => {
    request.span = begin(request, tracing);
    // A connection that closes unanswered is an end, too.
    if (request.span.isRecorded) reply.raw.once('close', () => end(request.span, reply));
  });
}

/**
 * Of a request whose answer goes on when request and reply are gone. Returns what to call when its
 * connection closes; null where nobody watches.
 */
export function takeSpan(reply: FastifyReply): ((end: { hasLeft: boolean }) => void) | null {
  const { request } = reply;
  const { span } = request;
  if (!span.isRecorded) return null;
  request.span = NOTHING;
  span.set({ 'http.response.status_code': reply.raw.statusCode });
  return ({ hasLeft }) => {
    if (hasLeft) span.event('client_gone');
    span.end();
  };
}

/** What a request, or a part of dealing with it, failed for. */
export function errorType(error: unknown): string {
  return error instanceof QarrError ? error.code : 'internal_error';
}

/** A refusal is no failure of this server; its reason is told all the same. */
export function noteError(span: Span, { code }: QarrError): void {
  if (errorRow(code).httpStatus >= 500) span.fail(code);
  else span.set({ 'error.type': code });
}

function begin(request: FastifyRequest, tracing: Tracing): Span {
  const { config, url } = request.routeOptions;
  // Whoever looks whether the process lives asks every second.
  if (config.access === 'public') return NOTHING;
  const { traceparent } = request.headers;
  const { method } = request;
  return tracing.span(url === undefined ? method : `${method} ${url}`, {
    kind: 'server',
    parent: typeof traceparent === 'string' ? traceparent : null,
    // Neither path nor query nor any header: they are the client's.
    attributes: {
      'http.request.method': method,
      'http.route': url,
      'qarr.request.id': request.id,
    },
  });
}

function end(span: Span, { raw }: FastifyReply): void {
  if (raw.writableFinished) span.set({ 'http.response.status_code': raw.statusCode });
  else span.event('client_gone');
  span.end();
}

declare module 'fastify' {
  interface FastifyRequest {
    span: Span;
  }
}
