import fastify, { type FastifyInstance } from 'fastify';
import type { Engine } from './engine/engine.ts';
import type { SchedulingPolicy } from './engine/scheduler.ts';
import type { Faults } from './faults/faults.ts';
import { injectFaults } from './faults/inject-faults.ts';
import { requireApiKey } from './http/api-key.ts';
import { replyWithErrors } from './http/error-replies.ts';
import { addGenerateRoutes } from './http/generate-routes.ts';
import { acceptJsonOnly } from './http/json-body.ts';
import type { ServedModel } from './http/model.ts';
import { returnRequestIds } from './http/request-id.ts';
import { followRequests, type RequestLog } from './http/request-log.ts';
import { createServerLoad } from './http/server-load.ts';
import { addServerRoutes } from './http/server-routes.ts';
import { addSimRoutes } from './http/sim-routes.ts';
import { addTokenizeRoutes } from './http/tokenize-routes.ts';
import type { EngineMetrics } from './metrics/engine-metrics.ts';
import type { CacheConfig } from './metrics/exposition.ts';
import type { Persona } from './personas.ts';

/** uvicorn's timeout_keep_alive, which vLLM leaves at its default. */
const KEEP_ALIVE_TIMEOUT_MS = 5_000;
/** A prompt of the longest windows, escaped, still fits. */
const BODY_BYTES_MAX = 64 * 1024 * 1024;

/** The HTTP surface: which routes there are and what they stand on. */
export function buildApp(deps: {
  engine: Engine;
  metrics: EngineMetrics;
  model: ServedModel;
  cache: CacheConfig;
  persona: Persona;
  seed: number;
  apiKey: string | undefined;
  requestLog: RequestLog;
  faults: Faults;
  schedulingPolicy: SchedulingPolicy;
  requestIdHeaders: boolean;
  keepAliveIntervalMs: number;
  loadTracking: boolean;
}): FastifyInstance {
  const { persona } = deps;
  const app = fastify({
    bodyLimit: BODY_BYTES_MAX,
    http: { noDelay: true },
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    // vLLM takes requests until it is gone and ends them with `abort`.
    return503OnClosing: false,
  });
  const load = createServerLoad({ tracking: deps.loadTracking });

  acceptJsonOnly(app);
  replyWithErrors(app, persona);
  if (persona.requestId.alwaysReturned || deps.requestIdHeaders) returnRequestIds(app);
  if (deps.apiKey !== undefined) {
    requireApiKey(app, { apiKey: deps.apiKey, guardedPrefixes: persona.guardedPrefixes });
  }
  followRequests(app, deps.requestLog);
  injectFaults(app, deps.faults);
  addGenerateRoutes(app, { ...deps, load });
  addTokenizeRoutes(app, deps);
  addServerRoutes(app, { ...deps, load });
  addSimRoutes(app, deps);
  return app;
}
