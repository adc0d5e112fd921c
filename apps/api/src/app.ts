/** The shape of the API: what every request passes through, and the routes. Read this first. */
import swagger from '@fastify/swagger';
import type { FileStore } from '@qarr/file-store';
import type { ProducerStore } from '@qarr/job-store';
import { createErrorLog } from '@qarr/process';
import type { Logger, Tracing } from '@qarr/process';
import { QarrError } from '@qarr/router-core';
import Fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import { jsonSchemaTransform, validatorCompiler } from 'fastify-type-provider-zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ApiConfig, HttpLimits } from './config.ts';
import { HEADER_BYTES_MAX, KEEP_ALIVE_MS, createConnections, newRequestId } from './connections.ts';
import type { Drain } from './drain.ts';
import { errorSchema, replyWithErrors, sendError, toQarrError } from './error-replies.ts';
import { createUploadGate } from './files/upload-gate.ts';
import { checkHost } from './host-header.ts';
import { acceptJson } from './json-body.ts';
import { allowOrigins } from './keys/cors.ts';
import { guardRoutes } from './keys/guard.ts';
import type { Keys } from './keys/guard.ts';
import type { ApiMetrics } from './metrics.ts';
import type { OwedCancels } from './owed-cancels.ts';
import { traceRequests } from './request-span.ts';
import { registerBatchRoutes } from './routes/batches.ts';
import { registerChatRoutes } from './routes/chat.ts';
import { registerCompletionRoutes } from './routes/completions.ts';
import { registerFileRoutes } from './routes/files.ts';
import { registerHealthRoutes } from './routes/health.ts';
import { registerJobRoutes } from './routes/jobs.ts';
import { registerKeptJobRoutes } from './routes/kept-jobs.ts';
import { registerKeptResponseRoutes } from './routes/kept-responses.ts';
import { registerResponseRoutes } from './routes/responses.ts';
import { registerTierRoutes } from './routes/tiers.ts';
import type { Positions } from './positions.ts';
import type { EventStreams } from './sse.ts';
import type { TierWatch } from './tier-watch.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface ApiDeps {
  readonly config: ApiConfig;
  readonly store: ProducerStore;
  readonly files: FileStore;
  /** Null where none are configured. */
  readonly keys: Keys | null;
  readonly watch: TierWatch;
  readonly tokenizer: Tokenizer;
  readonly drain: Drain;
  readonly streams: EventStreams;
  readonly positions: Positions;
  readonly cancels: OwedCancels;
  readonly limits: HttpLimits;
  readonly metrics: ApiMetrics;
  readonly tracing: Tracing;
  readonly log: Logger;
  /** Settings that were allowed though they weaken the promise. */
  readonly warnings: readonly string[];
}

export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

export async function buildApp(deps: ApiDeps): Promise<Api> {
  const { limits, log } = deps;
  const connections = createConnections({
    ...deps,
    onDropped: createErrorLog(log, 'connection closed unanswered'),
  });
  const loggerInstance: FastifyBaseLogger = log;
  const app = Fastify({
    loggerInstance,
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: 'request_id',
    }),
    bodyLimit: limits.bodyBytesMax,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: true,
    http: connections.serverOptions,
    clientErrorHandler: connections.onClientError,
    // While it stops, routes refuse by themselves, in the shape of all errors.
    return503OnClosing: false,
    // A path as long as headers may be: an id in it is unknown, not an error of ours.
    routerOptions: { maxParamLength: HEADER_BYTES_MAX },
    // Never the client's: it goes into logs.
    requestIdHeader: false,
    genReqId: newRequestId,
    // A URL that cannot be decoded.
    frameworkErrors(error, request, reply) {
      reply.header('x-request-id', request.id);
      sendError(reply, toQarrError(error, limits), deps.metrics);
    },
  }).withTypeProvider<ZodTypeProvider>();

  connections.watch(app.server);
  app.addHook('preClose', async () => connections.stop());
  app.setValidatorCompiler(validatorCompiler);
  // Answers are ours: their shape is checked by tests, not once more for each of them.
  app.setSerializerCompiler(() => JSON.stringify);
  acceptJson(app);
  replyWithErrors(app, { metrics: deps.metrics, bodyBytesMax: limits.bodyBytesMax });

  traceRequests(app, deps);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    checkHost(request.raw, { isOpen: deps.keys === null });
  });
  if (deps.config.corsOrigins !== null) await allowOrigins(app, deps.config.corsOrigins);
  guardRoutes(app, deps);
  // Once its body is read: closing the connection before would take the answer away.
  app.addHook('preValidation', async (request, reply) => {
    if (!deps.drain.isStopping || request.method !== 'POST') return;
    reply.header('connection', 'close');
    throw new QarrError('shutting_down');
  });

  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'QARR', version: '0.1.0', description: 'Quantization-aware request routing' },
    },
    transform: jsonSchemaTransform,
  });
  app.addHook('onRoute', ({ schema }) => {
    if (schema !== undefined && schema.hide !== true) {
      schema.response = { ...(schema.response as object), '4xx': errorSchema, '5xx': errorSchema };
    }
  });
  registerHealthRoutes(app, deps);
  registerJobRoutes(app, deps);
  registerKeptJobRoutes(app, deps);
  registerChatRoutes(app, deps);
  registerResponseRoutes(app, deps);
  registerKeptResponseRoutes(app, deps);
  registerCompletionRoutes(app, deps);
  registerTierRoutes(app, deps);
  const gate = createUploadGate({ ...deps, config: deps.config.files });
  await registerFileRoutes(app, { ...deps, connections, gate });
  registerBatchRoutes(app, { ...deps, gate });
  app.get('/openapi.json', { config: { access: 'public' }, schema: { hide: true } }, async () =>
    app.swagger(),
  );
  return app;
}
