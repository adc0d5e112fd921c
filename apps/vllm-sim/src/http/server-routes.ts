import type { FastifyInstance } from 'fastify';
import type { EngineMetrics } from '../metrics/engine-metrics.ts';
import { type CacheConfig, exposeMetrics, METRICS_CONTENT_TYPE } from '../metrics/exposition.ts';
import type { Persona } from '../personas.ts';
import type { ServedModel } from './model.ts';

/** What tells about the server: /health, /ping, /version, /v1/models, /metrics. */
export function addServerRoutes(
  app: FastifyInstance,
  deps: { model: ServedModel; persona: Persona; metrics: EngineMetrics; cache: CacheConfig },
): void {
  const { model } = deps;
  app.get('/health', (_request, reply) => reply.status(200).send());
  app.route({
    method: ['GET', 'POST'],
    url: '/ping',
    handler: (_request, reply) => reply.status(200).send(),
  });
  app.get('/version', () => ({ version: deps.persona.version }));
  app.get('/v1/models', () => ({
    object: 'list',
    data: model.names.map((id) => ({
      id,
      object: 'model',
      created: model.created,
      owned_by: 'vllm',
      root: model.names[0],
      parent: null,
      max_model_len: model.modelLenMax,
      permission: [],
    })),
  }));
  app.get('/metrics', (_request, reply) =>
    reply.type(METRICS_CONTENT_TYPE).send(
      exposeMetrics({
        metrics: deps.metrics,
        modelName: model.names[0],
        cache: deps.cache,
      }),
    ),
  );
}
