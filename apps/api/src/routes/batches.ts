/** `/v1/batches`: many requests at once, done within hours, by what interactive work leaves free. */
import { QarrError, batchRequestSchema, batchStateSchema, isBatchOver } from '@qarr/router-core';
import { z } from 'zod';
import type { Api, ApiDeps } from '../app.ts';
import { batchObject, batchObjectSchema } from '../batches/batch-object.ts';
import { createBatch } from '../batches/create-batch.ts';
import { findBatch } from '../batches/find-batch.ts';
import { readResults } from '../batch-runner/results.ts';
import type { UploadGate } from '../files/upload-gate.ts';
import { watchClient } from '../client-gone.ts';
import { wholeNumberFrom } from '../error-replies.ts';
import { asClientProblem } from '../files/store-problem.ts';
import { idempotencyKeyOf } from '../idempotency-key.ts';
import { chatHeaders } from '../submit-headers.ts';
import { acceptWebhook } from '../webhooks/accept-webhook.ts';

const PAGE_DEFAULT = 20;
const PAGE_MAX = 100;
const RESULTS_DEFAULT = 100;
const RESULTS_MAX = 1_000;
/** Of a page of results, but for its first line. */
const RESULTS_BYTES_MAX = 4_194_304;

const params = z.object({ id: z.string() });
const once = () => z.string('must be given once').optional();

const listSchema = z.object({
  object: z.literal('list'),
  data: z.array(batchObjectSchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});

/** For the document of the API: the lines are passed on as they lie in the files. */
const resultsSchema = z.object({
  object: z.literal('list'),
  status: batchStateSchema,
  has_more: z.boolean(),
  /** Always given, to read on from. */
  next_cursor: z.string(),
  data: z.array(
    z.object({
      id: z.string(),
      custom_id: z.string(),
      response: z
        .object({ status_code: z.int(), request_id: z.string(), body: z.object({}).loose() })
        .nullable(),
      error: z.object({ code: z.string(), message: z.string() }).nullable(),
      qarr_tier: z.string().nullable(),
    }),
  ),
});

export function registerBatchRoutes(app: Api, deps: ApiDeps & { gate: UploadGate }): void {
  const { store, files, config } = deps;

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
      const asked = {
        caller,
        webhookUrl,
        idempotency,
        traceparent: request.span.traceparent,
        requestId: request.id,
        // A library that sends it again by itself might double a night's work.
        onUnknownOutcome: () => void reply.header('x-should-retry', 'false'),
      };
      const { batch, isKnown } = await createBatch(body, asked, deps);
      if (isKnown) reply.header('idempotent-replayed', 'true');
      else request.log.info({ batch_id: batch.id }, 'batch created');
      return batchObject(batch);
    },
  );

  app.get(
    '/v1/batches',
    {
      config: { access: 'batch' },
      schema: {
        summary: 'List batches, newest first',
        querystring: z.strictObject({
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
      request.log.info({ batch_id: id }, 'batch cancelled');
      return batchObject(batch);
    },
  );

  app.get(
    '/v1/batches/:id/results',
    {
      config: { access: 'batch' },
      schema: {
        summary: 'Outcomes of lines, in the order in which they became durable',
        params,
        querystring: z.strictObject({
          limit: z
            .string('must be given once')
            .regex(/^([1-9]\d{0,2}|1000)$/, `must be a whole number from 1 to ${RESULTS_MAX}`)
            .optional(),
          after: once(),
        }),
        response: { 200: resultsSchema },
      },
    },
    async (request, reply) => {
      const { limit = RESULTS_DEFAULT, after = '0' } = request.query;
      const cursor = wholeNumberFrom(after, { name: 'after', max: Number.MAX_SAFE_INTEGER });
      const { id, state } = await findBatch(request.params.id, request.caller, deps);
      const segments = await store.batches.segments(id);
      const client = watchClient(reply);
      const { lines, next, hasMore } = await readResults(
        { batchId: id, segments },
        {
          after: cursor,
          limit: Number(limit),
          bytesMax: RESULTS_BYTES_MAX,
          signal: client.gone,
        },
        { store: files },
      )
        .catch((error: unknown) => {
          throw asClientProblem(error);
        })
        .finally(client.stop);
      const page = { object: 'list', status: state, has_more: hasMore, next_cursor: String(next) };
      // A line is JSON already: to read it only to write it again would cost more than all else.
      const json = `${JSON.stringify(page).slice(0, -1)},"data":[${lines.join(',')}]}`;
      return reply
        .type('application/json; charset=utf-8')
        .serializer(String)
        .send(json as never);
    },
  );
}
