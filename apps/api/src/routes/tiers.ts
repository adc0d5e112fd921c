/** What the tiers are and how they are: `/v1/tiers`, `/v1/models`, and `/v1/route` to ask why. */
import {
  QarrError,
  estimateWaitMs,
  routeRequestSchema,
  workerStatusSchema,
} from '@qarr/router-core';
import { z } from 'zod';
import type { Api, ApiDeps } from '../app.ts';
import { routeRequest } from '../route-request.ts';
import { setRouteHeaders } from '../route-headers.ts';

const tiersSchema = z.object({
  tiers: z.array(
    z.object({
      name: z.string(),
      precision: z.string(),
      max_model_len: z.int(),
      depth: z.int(),
      running: z.int(),
      slots: z.int(),
      estimated_wait_ms: z.number().nullable(),
      workers: z.array(workerStatusSchema),
    }),
  ),
});

const modelSchema = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
});

const routeSchema = z.object({
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
});

export function registerTierRoutes(app: Api, deps: ApiDeps): void {
  const { watch, config } = deps;
  const startedAt = Math.floor(Date.now() / 1_000);

  app.get(
    '/v1/tiers',
    { schema: { summary: 'The tiers and their live workers', response: { 200: tiersSchema } } },
    async () => {
      await watch.refresh();
      const { tiers } = watch.policy();
      return {
        tiers: config.deployment.tiers.map(({ name, precision }) => {
          const status = watch.statuses().find((candidate) => candidate.name === name);
          const workers = [...(status?.workers ?? [])];
          const depth = status?.depth ?? 0;
          return {
            name,
            precision,
            max_model_len: tiers.find((tier) => tier.name === name)?.maxModelLen ?? 0,
            depth,
            running: sum(workers.map((worker) => worker.running)),
            slots: sum(workers.map((worker) => worker.slots)),
            estimated_wait_ms: estimateWaitMs({ depth, workers }),
            workers,
          };
        }),
      };
    },
  );

  app.post(
    '/v1/route',
    {
      schema: {
        summary: 'Say where a request would go, and why, without running it',
        body: routeRequestSchema,
        response: { 200: routeSchema },
      },
    },
    async (request, reply) => {
      const route = await routeRequest(request.body, deps);
      const { tier, reasons, features, fits } = route;
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

  app.get(
    '/v1/models',
    {
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
      schema: {
        summary: 'One of these names',
        params: z.object({ id: z.string() }),
        response: { 200: modelSchema },
      },
    },
    async (request) => {
      const model = models().find(({ id }) => id === request.params.id);
      if (model === undefined) throw new QarrError('model_not_found', { param: 'model' });
      return model;
    },
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
