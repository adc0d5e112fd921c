/** `/v1/files` as OpenAI's clients use it: upload, list, look up, download, delete. */
import { QarrError, contentOf, filePurposeSchema } from '@qarr/router-core';
import { z } from 'zod';
import type { Api, ApiDeps } from '../app.ts';
import type { Connections } from '../connections.ts';
import { isBeingRead } from '../files/batch-use.ts';
import { fileObject, fileObjectSchema } from '../files/file-object.ts';
import { findFile } from '../files/find-file.ts';
import { sendContent } from '../files/send-content.ts';
import { asClientProblem } from '../files/store-problem.ts';
import { uploadFile } from '../files/upload-file.ts';
import type { UploadGate } from '../files/upload-gate.ts';

/** As many as OpenAI lets clients ask for. */
const LIMIT_MAX = 10_000;
/** And as many as one answer has: some 300 KB. Clients go on while `has_more` is true. */
const PAGE_MAX = 1_000;

const listQuery = z.strictObject({
  purpose: filePurposeSchema.optional(),
  limit: z
    .string('must be given once')
    .regex(/^([1-9]\d{0,3}|10000)$/, `must be a whole number from 1 to ${LIMIT_MAX}`)
    .optional(),
  order: z.enum(['asc', 'desc'], 'must be asc or desc').optional(),
  after: z.string('must be given once').optional(),
});

const listSchema = z.object({
  object: z.literal('list'),
  data: z.array(fileObjectSchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});

/** For the document of the API: the form is read by hand, as it arrives. */
const uploadForm = z.object({
  file: z.string().meta({ format: 'binary' }),
  purpose: filePurposeSchema.exclude(['batch_output']),
  'expires_after[anchor]': z.literal('created_at').optional(),
  'expires_after[seconds]': z.int().min(3_600).max(2_592_000).optional(),
});

const deletedSchema = z.object({
  id: z.string(),
  object: z.literal('file'),
  deleted: z.literal(true),
});

const params = z.object({ id: z.string() });

export async function registerFileRoutes(
  app: Api,
  {
    connections,
    gate,
    ...deps
  }: ApiDeps & {
    connections: Pick<Connections, 'allow'>;
    gate: UploadGate;
  },
): Promise<void> {
  const { store, files, limits, metrics } = deps;
  const config = deps.config.files;
  const access = { access: 'batch' } as const;

  // In a scope of its own: nowhere else is a form taken.
  await app.register(async (forms: Api) => {
    forms.removeAllContentTypeParsers();
    forms.addContentTypeParser('multipart/form-data', (_request, _payload, done) => done(null));
    forms.post(
      '/v1/files',
      {
        config: access,
        schema: {
          summary: 'Upload a file',
          consumes: ['multipart/form-data'],
          body: uploadForm,
          response: { 200: fileObjectSchema },
        },
        validatorCompiler: () => (value) => ({ value }),
        async onRequest(request) {
          if (/^multipart\/form-data(;|$)/i.test(request.headers['content-type'] ?? '')) return;
          throw new QarrError('unsupported_media_type', {
            message: 'Send the file as content-type: multipart/form-data.',
          });
        },
      },
      async (request) => {
        connections.allow(request.raw, {
          idleMs: config.uploadIdleMs,
          totalMs: config.uploadMsMax,
        });
        const { owner } = request.caller;
        const { drain } = deps;
        const file = await metrics.upload(
          uploadFile(request.raw, { owner, config, files, store, gate, drain }),
        );
        request.log.info({ file: file.id, bytes: file.bytes }, 'file stored');
        return fileObject(file);
      },
    );
  });

  app.get(
    '/v1/files',
    {
      config: access,
      schema: {
        summary: 'List files, newest first',
        querystring: listQuery,
        response: { 200: listSchema },
      },
    },
    async (request) => {
      const { purpose, limit, order, after } = request.query;
      const page = await store.files.list({
        owner: request.caller.owner,
        purpose: purpose ?? null,
        order: order ?? 'desc',
        limit: Math.min(PAGE_MAX, Number(limit ?? LIMIT_MAX)),
        after: after ?? null,
      });
      if (page === null) {
        throw new QarrError('invalid_cursor', {
          param: 'after',
          message: 'after must be the id of a file in an earlier answer.',
        });
      }
      return {
        object: 'list' as const,
        data: page.files.map(fileObject),
        first_id: page.files[0]?.id ?? null,
        last_id: page.files.at(-1)?.id ?? null,
        has_more: page.hasMore,
      };
    },
  );

  app.get(
    '/v1/files/:id',
    {
      config: access,
      schema: { summary: 'Look up a file', params, response: { 200: fileObjectSchema } },
    },
    async (request) => fileObject(await findFile(request.params.id, request.caller, { store })),
  );

  app.get(
    '/v1/files/:id/content',
    {
      config: access,
      schema: { summary: "A file's content; a part of it where Range says so", params },
    },
    async (request, reply) => {
      const file = await findFile(request.params.id, request.caller, { store });
      return sendContent(file, { request, reply, files, limits });
    },
  );

  app.delete(
    '/v1/files/:id',
    {
      config: access,
      schema: {
        summary: 'Delete a file, unless a batch reads it',
        params,
        response: { 200: deletedSchema },
      },
    },
    async (request) => {
      const file = await findFile(request.params.id, request.caller, { store });
      if (await isBeingRead(file, { store })) throw new QarrError('file_in_use');
      if (!(await store.files.expire(file.id))) throw new QarrError('file_not_found');
      // From here on it is gone for everybody; what does not succeed now is done when it is due.
      await removeContent(file.id).catch((error: unknown) => {
        request.log.warn({ file: file.id, problem: nameOf(error) }, 'content is still there');
      });
      request.log.info({ file: file.id }, 'file deleted');
      return { id: file.id, object: 'file' as const, deleted: true as const };
    },
  );

  async function removeContent(id: string): Promise<void> {
    await files.remove(contentOf(id));
    await store.files.remove(id);
  }
}

function nameOf(error: unknown): string {
  const problem = asClientProblem(error);
  return problem instanceof QarrError ? problem.code : 'unknown';
}
