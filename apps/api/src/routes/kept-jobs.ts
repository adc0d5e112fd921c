/** `/v1/jobs` as a store of what was asked and answered: list it, delete from it. */
import { QarrError, jobStateSchema } from '@qarr/router-core';
import type { ListCursor } from '@qarr/job-store';
import { z } from 'zod';
import type { Api, ApiDeps } from '../app.ts';
import { findJob } from '../find-job.ts';
import { jobSummary, jobSummarySchema } from '../job-object.ts';

const PAGE_DEFAULT = 20;
/** A page of these is some 100 KB at most. */
const PAGE_MAX = 100;

/** Ours are shorter. Nothing longer is looked for. */
const ID_CHARS_MAX = 64;

const listQuery = z.strictObject({
  status: jobStateSchema.optional(),
  batch: z.string('must be given once').optional(),
  limit: z
    .string('must be given once')
    .regex(/^([1-9]\d?|100)$/, `must be a whole number from 1 to ${PAGE_MAX}`)
    .optional(),
  after: z.string('must be given once').optional(),
});

const listSchema = z.object({
  object: z.literal('list'),
  data: z.array(jobSummarySchema),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
});

const deletedSchema = z.object({
  id: z.string(),
  object: z.literal('job.deleted'),
  deleted: z.literal(true),
});

export function registerKeptJobRoutes(app: Api, { store }: ApiDeps): void {
  /** One of somebody else is as unknown as one that never was. */
  async function findBatch(id: string, owner: string): Promise<void> {
    const batch = id.length > ID_CHARS_MAX ? null : await store.batches.get(id);
    if (batch?.owner !== owner) throw new QarrError('batch_not_found', { param: 'batch' });
  }

  app.get(
    '/v1/jobs',
    {
      config: { access: 'read' },
      schema: {
        summary: 'List jobs, newest first, without their results: all, or those of a batch',
        querystring: listQuery,
        response: { 200: listSchema },
      },
    },
    async (request) => {
      const { status, batch, limit, after } = request.query;
      const { owner } = request.caller;
      if (batch !== undefined) await findBatch(batch, owner);
      const { jobs, next } = await store.list({
        owner,
        batchId: batch,
        state: status ?? null,
        limit: limit === undefined ? PAGE_DEFAULT : Number(limit),
        after: after === undefined ? null : cursorFrom(after),
      });
      return {
        object: 'list' as const,
        data: jobs.map((job) => jobSummary(job, request)),
        has_more: next !== null,
        next_cursor: next === null ? null : `${next.createdAt}-${next.jobId}`,
      };
    },
  );

  app.delete(
    '/v1/jobs/:id',
    {
      config: { access: 'cancel' },
      schema: {
        summary: 'Delete a job and all that is known of it; one that runs is cancelled',
        params: z.object({ id: z.string() }),
        response: { 200: deletedSchema },
      },
    },
    async (request) => {
      const { id } = await findJob(request.params.id, request.caller, { store });
      if (!(await store.delete(id))) throw new QarrError('job_not_found');
      return { id, object: 'job.deleted' as const, deleted: true as const };
    },
  );
}

/** A place in the order of all jobs; the job that it names may be gone by now. */
function cursorFrom(text: string): ListCursor {
  const match = /^(\d{1,15})-(\w{1,64})$/.exec(text);
  if (match === null) {
    throw new QarrError('invalid_cursor', {
      param: 'after',
      message: 'after must be the next_cursor of an earlier answer.',
    });
  }
  return { createdAt: Number(match[1]), jobId: match[2] ?? '' };
}
