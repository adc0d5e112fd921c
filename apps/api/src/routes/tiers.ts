/** What the tiers are and how they are: `/v1/tiers`, `/v1/models`, and `/v1/route` to ask why. */
import {
  equalOrHigherClasses,
  QarrError,
  admit,
  breakerSchema,
  depthOf,
  estimateWaits,
  routeRequestSchema,
  workerStatusSchema,
} from '@qarr/router-core';
import type { Admission, TierSnapshot, WorkerStatus } from '@qarr/router-core';
import { z } from 'zod';
import type { Api, ApiDeps } from '../app.ts';
import { admissionRequest } from '../place-job.ts';
import { routeRequest } from '../route-request.ts';
import { setRouteHeaders } from '../route-headers.ts';
import { defaultFallback } from '../submit-job.ts';

/** Of a name that an error repeats. */
const MODEL_CHARS_SHOWN = 64;

function byClass<Value extends z.ZodType>(value: Value) {
  return z.object({ interactive: value, standard: value, batch: value });
}

/** What concerns the operator alone is left out for keys without the scope `admin`. */
const shownWorkerSchema = workerStatusSchema.partial({ host: true, pid: true, upstream: true });

export const tiersSchema = z.object({
  tiers: z.array(
    z.object({
      name: z.string(),
      precision: z.string(),
      max_model_len: z.int(),
      /** Jobs that wait. */
      depth: z.int(),
      depth_by_class: byClass(z.int()),
      running: z.int(),
      /** Of the workers that take jobs. */
      slots: z.int(),
      /** The queue-depth alert. */
      alert: z.boolean(),
      breaker: breakerSchema,
      /** Of the last standard job that comes now; null where nobody can tell. */
      estimated_wait_ms: z.number().nullable(),
      estimated_wait_ms_by_class: byClass(z.number().nullable()),
      /** Jobs that other tiers have sent. */
      fallback_jobs: z.int(),
      /** Cost of jobs, in generated tokens, that it gets done with all its slots in use. */
      tokens_per_s: z.number().nullable(),
      workers: z.array(shownWorkerSchema),
    }),
  ),
});

const modelSchema = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
});

export const routeSchema = z.object({
  tier: z.string(),
  reasons: z.array(z.string()),
  features: z.object({
    words: z.number(),
    code: z.boolean(),
    max_tokens: z.int(),
    temperature: z.number(),
    prompt_tokens: z.int(),
  }),
  fits: z.record(z.string(), z.boolean()),
  alternatives: z.array(z.string()),
  dropped_messages: z.int(),
  /** What would become of it now. */
  admission: z.object({
    kind: z.enum(['enqueue', 'spill', 'refuse']),
    tier: z.string(),
    reason: z.string(),
    estimated_wait_ms: z.number().nullable(),
    retry_after_ms: z.int().nullable(),
  }),
});

export function registerTierRoutes(app: Api, deps: ApiDeps): void {
  const { watch, config } = deps;
  const startedAt = Math.floor(Date.now() / 1_000);

  app.get(
    '/v1/tiers',
    {
      config: { access: 'read' },
      schema: { summary: 'The tiers and their live workers', response: { 200: tiersSchema } },
    },
    async (request) => {
      await watch.refresh();
      const isOperator = request.caller.scopes.has('admin');
      const { tiers } = watch.policy();
      return {
        tiers: watch.snapshots().map((tier) => {
          const { name } = tier;
          const status = watch.statuses().find((candidate) => candidate.name === name);
          const configured = config.deployment.tiers.find((candidate) => candidate.name === name);
          return {
            name,
            precision: configured?.precision ?? 'unknown',
            max_model_len: tiers.find((candidate) => candidate.name === name)?.maxModelLen ?? 0,
            ...tierFigures(tier),
            workers: (status?.workers ?? []).map((worker) =>
              isOperator ? worker : forTenant(worker),
            ),
          };
        }),
      };
    },
  );

  app.post(
    '/v1/route',
    {
      config: { access: 'submit' },
      schema: {
        summary: 'Say where a request would go, and why, without running it',
        body: routeRequestSchema,
        response: { 200: routeSchema },
      },
    },
    async (request, reply) => {
      const route = await routeRequest(request.body, deps);
      const { tier, reasons, features, fits } = route;
      const { class: jobClass = 'interactive' } = request.body;
      setRouteHeaders(reply, route);
      return {
        tier,
        reasons,
        features: {
          words: features.words,
          code: features.code,
          max_tokens: features.maxTokens,
          temperature: features.temperature,
          prompt_tokens: features.promptTokens,
        },
        fits,
        // Where it could be sent by naming the tier.
        alternatives: Object.keys(fits).filter((name) => name !== tier && fits[name] === true),
        dropped_messages: route.droppedMessages,
        admission: admissionShown(
          admit(
            admissionRequest(
              route,
              {
                class: jobClass,
                fallback: request.body.fallback ?? defaultFallback(route),
                queueTimeoutMs: request.body.queue_timeout_ms ?? config.queueTimeoutMs[jobClass],
              },
              deps,
            ),
            // As whoever has what waits would find it.
            watch.snapshots().map((snapshot) => ({
              ...snapshot,
              ahead: equalOrHigherClasses(snapshot.load, jobClass),
            })),
            config.admission,
          ),
        ),
      };
    },
  );

  function models() {
    const tiers = config.deployment.tiers.map((tier) => tier.name);
    const ids = [...new Set(['auto', ...tiers, ...watch.servedModels()])];
    return ids.map((id) => ({
      id,
      object: 'model' as const,
      created: startedAt,
      owned_by: 'qarr',
    }));
  }

  function modelCalled(name: string) {
    const model = models().find(({ id }) => id === name);
    if (model === undefined) {
      const message = `The model ${JSON.stringify(name.slice(0, MODEL_CHARS_SHOWN))} does not exist.`;
      throw new QarrError('model_not_found', { param: 'model', message });
    }
    return model;
  }

  app.get(
    '/v1/models',
    {
      config: { access: 'any' },
      schema: {
        summary: 'Names that requests may use as model',
        response: { 200: z.object({ object: z.literal('list'), data: z.array(modelSchema) }) },
      },
    },
    async () => ({ object: 'list' as const, data: models() }),
  );

  app.get(
    '/v1/models/:id',
    {
      config: { access: 'any' },
      schema: {
        summary: 'One of these names',
        params: z.object({ id: z.string() }),
        response: { 200: modelSchema },
      },
    },
    async ({ params }) => modelCalled(params.id),
  );

  // Ids may have slashes, which not every client encodes.
  app.get(
    '/v1/models/*',
    { config: { access: 'any' }, schema: { hide: true, params: z.object({ '*': z.string() }) } },
    async ({ params }) => modelCalled(params['*']),
  );
}

function forTenant(worker: WorkerStatus): z.output<typeof shownWorkerSchema> {
  const { host: _host, pid: _pid, upstream: _url, upstreams: _urls, ...shown } = worker;
  return shown;
}

function tierFigures(tier: TierSnapshot) {
  const { load, slots, breaker, tokensPerS } = tier;
  const { interactive, standard, batch } = load.waiting;
  const { running } = load;
  const waits = estimateWaits(tier);
  return {
    depth: depthOf(load),
    depth_by_class: {
      interactive: interactive.jobs,
      standard: standard.jobs,
      batch: batch.jobs,
    },
    running: running.interactive.jobs + running.standard.jobs + running.batch.jobs,
    slots,
    alert: load.isAlerting,
    breaker,
    estimated_wait_ms: waits.standard,
    estimated_wait_ms_by_class: waits,
    fallback_jobs: load.fallbackJobs,
    tokens_per_s: tokensPerS,
  };
}

function admissionShown(admission: Admission) {
  const { kind, tier, reason, waitMs } = admission;
  const retryAfterMs = kind === 'refuse' ? admission.retryAfterMs : null;
  return { kind, tier, reason, estimated_wait_ms: waitMs, retry_after_ms: retryAfterMs };
}
