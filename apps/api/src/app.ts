/** The shape of the API: what every request passes through, and the routes. Read this first. */
import { randomUUID } from 'node:crypto';
import swagger from '@fastify/swagger';
import type { ProducerStore } from '@qarr/job-store';
import type { Logger } from '@qarr/process';
import { QarrError, errorBody } from '@qarr/router-core';
import Fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import { jsonSchemaTransform, validatorCompiler } from 'fastify-type-provider-zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ApiConfig, HttpLimits } from './config.ts';
import type { Drain } from './drain.ts';
import { replyWithErrors, sendError, toQarrError } from './error-replies.ts';
import { acceptJson } from './json-body.ts';
import type { ApiMetrics } from './metrics.ts';
import { registerChatRoutes } from './routes/chat.ts';
import { registerHealthRoutes } from './routes/health.ts';
import { registerJobRoutes } from './routes/jobs.ts';
import { registerTierRoutes } from './routes/tiers.ts';
import type { TierWatch } from './tier-watch.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Headers are a few hundred bytes; long ones are attacks. */
const HEADER_BYTES_MAX = 16_384;
/** Longer than the idle time of the usual load balancers, so that they let go first. */
const KEEP_ALIVE_MS = 72_000;

export interface ApiDeps {
  readonly config: ApiConfig;
  readonly store: ProducerStore;
  readonly watch: TierWatch;
  readonly tokenizer: Tokenizer;
  readonly drain: Drain;
  readonly limits: HttpLimits;
  readonly metrics: ApiMetrics;
}

export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

export async function buildApp(deps: ApiDeps, log: Logger): Promise<Api> {
  const { limits } = deps;
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bodyBytesMax,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: true,
    http: { maxHeaderSize: HEADER_BYTES_MAX },
    // Never the client's: it goes into logs.
    requestIdHeader: false,
    genReqId: () => `req_${randomUUID().replaceAll('-', '')}`,
    clientErrorHandler: answerMalformedRequest,
    // A URL that cannot be decoded.
    frameworkErrors: (error, _request, reply) => void sendError(reply, toQarrError(error, limits), deps.metrics),
  }).withTypeProvider<ZodTypeProvider>();

  app.setValidatorCompiler(validatorCompiler);
  // Answers are ours: their shape is checked by tests, not once more for each of them.
  app.setSerializerCompiler(() => JSON.stringify);
  acceptJson(app);
  replyWithErrors(app, { metrics: deps.metrics, bodyBytesMax: limits.bodyBytesMax });

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    if (deps.drain.isStopping && request.method === 'POST') {
      reply.header('connection', 'close');
      return sendError(reply, new QarrError('shutting_down'), deps.metrics);
    }
    return undefined;
  });

  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'QARR', version: '0.1.0', description: 'Quantization-aware request routing' },
    },
    transform: jsonSchemaTransform,
  });
  registerHealthRoutes(app, deps);
  registerJobRoutes(app, deps);
  registerChatRoutes(app, deps);
  registerTierRoutes(app, deps);
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  return app;
}

/** What is not HTTP never reaches a route, but is answered in the same shape. */
function answerMalformedRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const [status, problem] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? (['431 Request Header Fields Too Large', new QarrError('header_too_large')] as const)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? (['408 Request Timeout', new QarrError('request_timeout')] as const)
        : (['400 Bad Request', new QarrError('invalid_request', { message: 'This is not HTTP.' })] as const);
  const body = JSON.stringify(errorBody(problem));
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
