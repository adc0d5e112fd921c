/** `/healthz` says that the process lives, `/readyz` that it can be given work. */
import { z } from 'zod';
import type { Api, ApiDeps } from '../app.ts';

const readinessSchema = z.object({
  ready: z.boolean(),
  redis: z.boolean(),
  stopping: z.boolean(),
  /** Redis has no room for another job; what was accepted goes on. */
  storage_full: z.boolean(),
  /** Settings that were allowed though they weaken the promise. */
  warnings: z.array(z.string()),
  /** Which tiers have a live worker one of whose engines is not lost. */
  tiers: z.record(z.string(), z.boolean()),
});

export function registerHealthRoutes(app: Api, { store, watch, drain, warnings }: ApiDeps): void {
  app.get(
    '/healthz',
    {
      config: { access: 'public' },
      schema: {
        summary: 'The process lives',
        response: { 200: z.object({ ok: z.literal(true) }) },
      },
    },
    async () => ({ ok: true }) as const,
  );

  app.get(
    '/readyz',
    {
      config: { access: 'public' },
      schema: {
        summary: 'Redis answers and at least one tier has a live worker',
        response: { 200: readinessSchema, 503: readinessSchema },
      },
    },
    async (_request, reply) => {
      const redis = await answers(store.ping());
      if (redis) await answers(watch.refresh());
      const tiers = Object.fromEntries(
        watch
          .statuses()
          .map(({ name, workers }) => [name, workers.some(({ breaker }) => breaker === 'closed')]),
      );
      const stopping = drain.isStopping;
      const memory = store.memory();
      const storageFull = memory?.limitBytes != null && memory.usedBytes >= memory.limitBytes;
      const ready = redis && !stopping && Object.values(tiers).includes(true);
      return reply.code(ready ? 200 : 503).send({
        ready,
        redis,
        stopping,
        storage_full: storageFull,
        tiers,
        warnings: [...warnings],
      });
    },
  );
}

async function answers(promise: Promise<unknown>): Promise<boolean> {
  return promise.then(
    () => true,
    () => false,
  );
}
