import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Engine } from '../engine/engine.ts';
import type { EngineMetrics } from '../metrics/engine-metrics.ts';
import { type CacheConfig, exposeMetrics, METRICS_CONTENT_TYPE } from '../metrics/exposition.ts';
import type { Persona } from '../personas.ts';
import type { ServedModel } from './model.ts';
import type { ServerLoad } from './server-load.ts';

/** What tells about the server: /health, /ping, /load, /version, /v1/models, /metrics. */
export function addServerRoutes(
  app: FastifyInstance,
  deps: {
    engine: Pick<Engine, 'isDead'>;
    model: ServedModel;
    persona: Persona;
    metrics: EngineMetrics;
    cache: CacheConfig;
    load: ServerLoad;
  },
): void {
  const { model, persona } = deps;
  const { routes } = persona;
  app.get('/health', (_request, reply) => health(reply));
  if (routes.ping) {
    const handler = (_request: unknown, reply: FastifyReply) => health(reply);
    app.route({ method: ['GET', 'POST'], url: '/ping', handler });
  }
  if (routes.load) app.get('/load', () => ({ server_load: deps.load.read() }));
  if (routes.version) app.get('/version', () => ({ version: persona.version }));
  app.get('/v1/models', () => {
    const card = persona.family === 'transformers' ? transformersCard : modelCard;
    return { object: 'list', data: model.names.map((id) => card(id, model)) };
  });
  const { metricsDialect: dialect } = persona;
  if (dialect === undefined) return;
  app.get('/metrics', (_request, reply) =>
    reply.type(METRICS_CONTENT_TYPE).send(
      exposeMetrics({
        metrics: deps.metrics,
        modelName: model.names[0],
        cache: deps.cache,
        dialect,
        admissionRejections: persona.countsRejections,
      }),
    ),
  );

  /** It asks whether the engine's process lives, not whether it works. */
  function health(reply: FastifyReply): FastifyReply {
    if (deps.engine.isDead()) return reply.status(persona.health.deadStatus).send();
    return reply.status(200).send(persona.health.okBody);
  }
}

function modelCard(id: string, model: ServedModel): object {
  return {
    id,
    object: 'model',
    created: model.created,
    owned_by: 'vllm',
    root: model.names[0],
    parent: null,
    max_model_len: model.modelLenMax,
    permission: [permissionOf(id, model)],
  };
}

/** What OpenAI once said of its models, and vLLM still says. */
function permissionOf(id: string, model: ServedModel): object {
  return {
    id: `modelperm-${id}`,
    object: 'model_permission',
    created: model.created,
    allow_create_engine: false,
    allow_sampling: true,
    allow_logprobs: true,
    allow_search_indices: false,
    allow_view: true,
    allow_fine_tuning: false,
    organization: '*',
    group: null,
    is_blocking: false,
  };
}

/** It knows its models by their repository, and says nothing of their context window. */
function transformersCard(id: string, model: ServedModel): object {
  const owner = id.includes('/') ? id.split('/', 1)[0] : '';
  return { owned_by: owner, id, object: 'model', created: model.created };
}
