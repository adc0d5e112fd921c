/** `/v1/responses/{id}`: look up, follow again from any event on, cancel, delete. */
import { QarrError, isTerminalState } from '@qarr/router-core';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Api, ApiDeps } from '../app.ts';
import { cancelJob } from '../cancel-job.ts';
import { wholeNumberFrom } from '../error-replies.ts';
import { createForeground } from '../foreground.ts';
import { findResponse, unknownResponse } from '../responses/find-response.ts';
import { inputItems } from '../responses/input-items.ts';
import { lastReset } from '../responses/last-reset.ts';
import { createResponseEvents } from '../responses/response-events.ts';
import { wholeResponse } from '../responses/whole-response.ts';

const PAGE_DEFAULT = 20;
const PAGE_MAX = 100;

const params = z.object({ id: z.string() });
const once = () => z.string('must be given once').optional();

const deletedSchema = z.object({
  id: z.string(),
  object: z.literal('response'),
  deleted: z.literal(true),
});

export function registerKeptResponseRoutes(app: Api, deps: ApiDeps): void {
  const { store, streams, positions } = deps;
  const foreground = createForeground(deps);

  app.get(
    '/v1/responses/:id',
    {
      // A stream without its body would keep the connection busy until the job ends.
      exposeHeadRoute: false,
      config: { access: 'read' },
      schema: {
        summary: 'Look up a response, or follow one in the background from any event on',
        params,
        querystring: z.looseObject({
          stream: z.enum(['true', 'false'], 'must be true or false').optional(),
          starting_after: once().describe('Of a stream: the last sequence_number that is known'),
        }),
        produces: ['application/json', 'text/event-stream'],
      },
    },
    async (request, reply) => {
      const record = await findResponse(request.params.id, request.caller, deps);
      if (request.query.stream !== 'true') {
        const place = record.state === 'queued' ? await positions.placeOf(record) : null;
        return wholeResponse(record, { place }, deps);
      }
      if (!record.response.background) {
        throw refused(
          'This response cannot be streamed because it was not created with background=true.',
          'stream',
        );
      }
      const { id, tier, state: status, class: jobClass } = record;
      const after = cursorOf(request);
      const voidUntil = await lastReset(record, deps);
      const shape = createResponseEvents(record, { after, voidUntil });
      const job = { id, tier, status, class: jobClass, isBound: false };
      // Not awaited: that would keep the request and the reply as long as the job goes on.
      void foreground.stream(job, { stream: streams.open(reply), shape, log: app.log });
      return reply;
    },
  );

  app.post(
    '/v1/responses/:id/cancel',
    {
      config: { access: 'cancel' },
      schema: { summary: 'Cancel a response in the background', params },
    },
    async (request) => {
      const { id } = request.params;
      const record = await findResponse(id, request.caller, deps);
      if (!record.response.background) throw refused('Cannot cancel a synchronous response.');
      if (!isTerminalState(record.state)) await cancelJob(record.id, deps);
      const ended = await findResponse(id, request.caller, deps);
      if (ended.state === 'completed') throw refused('Cannot cancel a completed response.');
      if (ended.error !== null) throw refused('Cannot cancel a failed response.');
      return wholeResponse(ended, { place: null }, deps);
    },
  );

  app.delete(
    '/v1/responses/:id',
    {
      config: { access: 'cancel' },
      schema: {
        summary: 'Delete a response and all that is known of it; one in progress is cancelled',
        params,
        response: { 200: deletedSchema },
      },
    },
    async (request) => {
      const { id } = request.params;
      const record = await findResponse(id, request.caller, deps);
      if (!(await store.delete(record.id))) throw unknownResponse(id);
      return { id, object: 'response' as const, deleted: true as const };
    },
  );

  app.get(
    '/v1/responses/:id/input_items',
    {
      config: { access: 'read' },
      schema: {
        summary: 'What a response was asked',
        params,
        querystring: z.looseObject({
          limit: z
            .string('must be given once')
            .regex(/^([1-9]\d?|100)$/, `must be a whole number from 1 to ${PAGE_MAX}`)
            .optional(),
          order: z.enum(['asc', 'desc'], 'must be asc or desc').optional(),
          after: once(),
        }),
      },
    },
    async (request) => {
      const record = await findResponse(request.params.id, request.caller, deps);
      const { limit = PAGE_DEFAULT, order = 'desc', after } = request.query;
      const items = inputItems(record);
      if (order === 'desc') items.reverse();
      const from = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1;
      if (after !== undefined && from === 0) {
        throw new QarrError('invalid_cursor', {
          param: 'after',
          message: 'after must be the id of an item of this list.',
        });
      }
      const data = items.slice(from, from + Number(limit));
      return {
        object: 'list' as const,
        data,
        first_id: data[0]?.id ?? null,
        last_id: data.at(-1)?.id ?? null,
        has_more: from + data.length < items.length,
      };
    },
  );
}

/** The last event that the reader has; -1 for none. */
function cursorOf(request: FastifyRequest): number {
  const header = request.headers['last-event-id'];
  const { starting_after: after } = request.query as { starting_after?: string };
  const [name, text] =
    typeof header === 'string' && header !== ''
      ? ['Last-Event-ID', header]
      : ['starting_after', after];
  if (text === undefined) return -1;
  return wholeNumberFrom(text, { name, max: Number.MAX_SAFE_INTEGER - 1 });
}

function refused(message: string, param?: string): QarrError {
  return new QarrError('invalid_request', { message, param });
}
