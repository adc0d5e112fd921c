/** Every error that leaves over HTTP has the shape that official clients understand. */
import { QarrError, errorBody, errorRow, requestError } from '@qarr/router-core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { ZodFastifySchemaValidationError } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { traceIdOf } from '@qarr/process';
import type { ApiMetrics } from './metrics.ts';
import { createRefusalLog } from './refusal-log.ts';
import { noteError } from './request-span.ts';

/** When to come back after a failure that will pass by itself. */
const RETRY_AFTER_MS = 1_000;
/** The same where room is made only by jobs that end and are forgotten. */
const STORAGE_RETRY_AFTER_MS = 10_000;
/** Whatever the estimate: longer, and some official clients give up, others wait as long as told. */
const RETRY_AFTER_MS_MAX = 60_000;
/** They got all the time that they had: a library that begins anew by itself would double the work. */
const TIME_IS_UP: ReadonlySet<string> = new Set(['queue_timeout', 'run_timeout']);

/** The body of every error. */
export const errorSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string(),
    /** These of a request that was refused because its tier has too much to do. */
    tier: z.string().optional(),
    retry_after_ms: z.int().optional(),
    estimated_wait_ms: z.number().nullable().optional(),
    queue_depth: z.int().optional(),
  }),
});

export function replyWithErrors(
  app: FastifyInstance,
  { metrics, bodyBytesMax }: { metrics: ApiMetrics; bodyBytesMax: number },
): void {
  const logRefusal = createRefusalLog();
  app.setErrorHandler((error, request, reply) => {
    const problem = toQarrError(error, { bodyBytesMax });
    // A body that cannot be read is no reason to close, which could take the answer away.
    if (problem.code !== 'shutting_down') reply.removeHeader('connection');
    if (problem.code === 'internal_error') {
      // The stack says where; the message might quote a body.
      request.log.error({ ...traceOf(request), stack: stackOf(error) }, 'internal error');
    } else if (problem.congestion !== null) {
      logRefusal(request.log, problem, traceOf(request));
    } else if (errorRow(problem.code).httpStatus >= 500) {
      request.log.warn({ ...traceOf(request), cause: problem.code }, 'request failed');
    }
    noteError(request.span, problem);
    return sendError(reply, problem, metrics);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0]?.slice(0, 256);
    const message = `Invalid URL (${request.method} ${path})`;
    const problem = new QarrError('unknown_route', { message });
    noteError(request.span, problem);
    return sendError(reply, problem, metrics);
  });
}

function traceOf({ span }: FastifyRequest) {
  return { trace_id: traceIdOf(span.traceparent) };
}

export function sendError(
  reply: FastifyReply,
  error: QarrError,
  metrics: ApiMetrics,
): FastifyReply {
  const { httpStatus, retryable } = errorRow(error.code);
  metrics.refused(error.code);
  if (error.congestion !== null) metrics.refusalTook(reply.elapsedTime);
  // Official clients try 409 and 5xx again by themselves.
  if (!reply.hasHeader('x-should-retry') && (!retryable || TIME_IS_UP.has(error.code))) {
    reply.header('x-should-retry', 'false');
  }
  if (httpStatus === 429 || httpStatus === 503) {
    // What no client shall wait for by itself is told as it is.
    const retryAfterMs = Math.min(
      retryAfterMsOf(error),
      retryable ? RETRY_AFTER_MS_MAX : Number.POSITIVE_INFINITY,
    );
    reply.header('retry-after', Math.ceil(retryAfterMs / 1_000));
    reply.header('retry-after-ms', retryAfterMs);
  }
  return reply.code(httpStatus).type('application/json; charset=utf-8').send(errorBody(error));
}

function retryAfterMsOf({ code, retryAfterMs }: QarrError): number {
  return retryAfterMs ?? (code === 'storage_full' ? STORAGE_RETRY_AFTER_MS : RETRY_AFTER_MS);
}

/** What an error of any origin is to a client. */
export function toQarrError(error: unknown, { bodyBytesMax }: { bodyBytesMax: number }): QarrError {
  if (error instanceof QarrError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const [problem] = error.validation;
    return problem === undefined ? new QarrError('invalid_request') : fromValidation(problem);
  }
  switch (codeOf(error)) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new QarrError('body_too_large', {
        message: `The body is larger than ${bodyBytesMax} bytes.`,
      });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new QarrError('unsupported_media_type', {
        message: 'Send the body as content-type: application/json.',
      });
    // The client left in the middle of its body.
    case 'ECONNRESET':
      return malformed();
    default:
      return isRefusedByFastify(error)
        ? malformed()
        : new QarrError('internal_error', { cause: error });
  }
}

function fromValidation({
  instancePath,
  keyword,
  message,
  params,
}: ZodFastifySchemaValidationError): QarrError {
  const path = instancePath.slice(1).split('/');
  return requestError({
    code: keyword,
    path,
    message,
    keys: params['keys'],
    params: params['params'],
  });
}

function malformed(): QarrError {
  return new QarrError('invalid_request', { message: 'The request is malformed.' });
}

/** For a reason that is the client's: a URL that cannot be decoded, a wrong length, and more to come. */
function isRefusedByFastify(error: unknown): boolean {
  if (codeOf(error)?.startsWith('FST_ERR_') !== true) return false;
  const { statusCode = 500 } = error as { statusCode?: number };
  return statusCode >= 400 && statusCode < 500;
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

function stackOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  // A message may have many lines.
  return error.stack
    ?.split('\n')
    .filter((line) => /^\s+at /.test(line))
    .join('\n');
}

/** For the routes' parameters and headers. */
export function wholeNumberFrom(
  text: string,
  { name, max }: { name: string; max: number },
): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number <= max)) {
    throw new QarrError('invalid_request', {
      param: name,
      message: `${name} must be a whole number from 0 to ${max}.`,
    });
  }
  return number;
}
