/** `/v1/batches`: many requests at once, done within hours, by what interactive work leaves free. */
import { QarrError, batchRequestSchema, isBatchOver } from '@qarr/router-core';
import { z } from 'zod';
import type { Api, ApiDeps } from '../app.ts';
import { batchObject, batchObjectSchema } from '../batches/batch-object.ts';
import { createBatch } from '../batches/create-batch.ts';
import { findBatch } from '../batches/find-batch.ts';
import { createUploadGate } from '../files/upload-gate.ts';
import { idempotencyKeyOf } from '../idempotency-key.ts';
import { chatHeaders } from '../submit-headers.ts';
import { acceptWebhook } from '../webhooks/accept-webhook.ts';

const PAGE_DEFAULT = 20;
const PAGE_MAX = 100;

const params = z.object({ id: z.string() });
const once = () => z.string('must be given once').optional();

const listSchema = z.object({
  object: z.literal('list'),
  data: z.array(batchObjectSchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});

export function registerBatchRoutes(app: Api, deps: ApiDeps): void {
  const { store, files, config } = deps;
  const gate = createUploadGate({ config: config.files, files, store });

  app.post(
    '/v1/batches',
    {
      config: { access: 'batch' },
      schema: {
        summary: 'Run the requests of a file, or of a list',
        headers: chatHeaders.pick({ 'idempotency-key': true }),
        body: batchRequestSchema,
        response: { 200: batchObjectSchema },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const webhookUrl = acceptWebhook(body, config.webhooks)?.url ?? null;
      const idempotency = idempotencyKeyOf(request);
      const asked = { caller, webhookUrl, idempotency };
      const { batch, isKnown } = await createBatch(body, asked, { ...deps, gate });
      if (isKnown) reply.header('idempotent-replayed', 'true');
      else request.log.info({ batch: batch.id }, 'batch created');
      return batchObject(batch);
    },
  );

  app.get(
    '/v1/batches',
    {
      config: { access: 'batch' },
      schema: {
        summary: 'List batches, newest first',
        querystring: z.looseObject({
          limit: z
            .string('must be given once')
            .regex(/^([1-9]\d?|100)$/, `must be a whole number from 1 to ${PAGE_MAX}`)
            .optional(),
          after: once(),
        }),
        response: { 200: listSchema },
      },
    },
    async (request) => {
      const { caller, query } = request;
      const { limit = PAGE_DEFAULT, after = null } = query;
      if (after !== null) await findCursor(after);
      const { batches, hasMore } = await store.batches.list({
        owner: caller.owner,
        limit: Number(limit),
        after,
      });
      return {
        object: 'list' as const,
        data: batches.map(batchObject),
        first_id: batches[0]?.id ?? null,
        last_id: batches.at(-1)?.id ?? null,
        has_more: hasMore,
      };

      async function findCursor(id: string): Promise<void> {
        await findBatch(id, caller, deps).catch((error: unknown) => {
          if (!(error instanceof QarrError) || error.code !== 'batch_not_found') throw error;
          throw new QarrError('invalid_cursor', {
            param: 'after',
            message: 'after must be the id of a batch.',
          });
        });
      }
    },
  );

  app.get(
    '/v1/batches/:id',
    {
      config: { access: 'batch' },
      schema: { summary: 'Look up a batch', params, response: { 200: batchObjectSchema } },
    },
    async (request) => batchObject(await findBatch(request.params.id, request.caller, deps)),
  );

  app.post(
    '/v1/batches/:id/cancel',
    {
      config: { access: 'batch' },
      schema: {
        summary: 'Cancel a batch: what is done by then is kept',
        params,
        response: { 200: batchObjectSchema },
      },
    },
    async (request) => {
      const { id } = await findBatch(request.params.id, request.caller, deps);
      const batch = await store.batches.cancel(id);
      if (batch === null) throw new QarrError('batch_not_found');
      const isCancelled = batch.state === 'cancelled';
      if (isBatchOver(batch.state) && !isCancelled) {
        throw new QarrError('batch_over', {
          message: `The batch is ${batch.state}: nothing is left to cancel.`,
        });
      }
      request.log.info({ batch: id }, 'batch cancelled');
      return batchObject(batch);
    },
  );
}
