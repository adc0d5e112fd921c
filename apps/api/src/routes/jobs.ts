/** `/v1/jobs`: submit, look up, follow, cancel. */
import { QarrError, isTerminalState, jobRequestSchema } from '@qarr/router-core';
import type { JobRecord } from '@qarr/router-core';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Api } from '../app.ts';
import type { ApiDeps } from '../app.ts';
import { requireClass } from '../caller.ts';
import { cancelJob } from '../cancel-job.ts';
import { wholeNumberFrom } from '../error-replies.ts';
import { findJob } from '../find-job.ts';
import { holdAnswer } from '../hold.ts';
import { idempotencyKeyOf } from '../idempotency-key.ts';
import { streamJobEvents } from '../job-events.ts';
import { jobObject, jobObjectSchema, jobUrls } from '../job-object.ts';
import { waitPreferred } from '../prefer.ts';
import { setJobHeaders, setTierHeaders } from '../route-headers.ts';
import { jobHeaders } from '../submit-headers.ts';
import { acceptJob } from '../submit-job.ts';
import { acceptWebhook } from '../webhooks/accept-webhook.ts';

const jobParams = z.object({ id: z.string() });

export const acceptedSchema = z.object({
  id: z.string(),
  object: z.literal('job'),
  status: jobObjectSchema.shape.status,
  tier: z.string(),
  route: z.array(z.string()),
  rerouted: jobObjectSchema.shape.rerouted,
  /** Null for a job that was there already, or waits no more. */
  position: z.int().nullable(),
  estimated_wait_ms: z.number().nullable(),
  dropped_messages: z.int(),
  urls: jobObjectSchema.shape.urls,
});

export const receiptSchema = z.object({
  id: z.string(),
  object: z.literal('job.cancellation'),
  /** `running` means that the worker has been told but has not answered yet. */
  status: jobObjectSchema.shape.status,
  ran: z.boolean(),
  tokens: z.int().nullable(),
});

export const tokenSchema = z.object({
  object: z.literal('job.token'),
  /** Null where no keys are configured, and none is needed. */
  token: z.string().nullable(),
  /** Seconds since the epoch. */
  expires_at: z.int().nullable(),
  /** Where the events are, with the token. */
  url: z.string(),
});

export function registerJobRoutes(app: Api, deps: ApiDeps): void {
  const { store, streams, config, positions } = deps;

  app.post(
    '/v1/jobs',
    {
      config: { access: 'submit' },
      schema: {
        summary: 'Submit a job',
        headers: jobHeaders,
        body: jobRequestSchema,
        response: { 200: jobObjectSchema, 202: acceptedSchema },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      requireClass(caller, body.class);
      const webhook = acceptWebhook(body, config.webhooks);
      const waitS = waitPreferred(request.raw, config.limits);
      const job = await acceptJob(
        body,
        {
          caller,
          class: body.class ?? 'standard',
          fallback: body.fallback,
          onInterrupt: body.on_interrupt ?? 'continue',
          queueTimeoutMs: body.queue_timeout_ms,
          runTimeoutMs: body.run_timeout_ms,
          metadata: body.metadata,
          webhook,
          traceparent: request.span.traceparent,
          requestId: request.id,
          idempotency: idempotencyKeyOf(request),
          isBound: false,
        },
        deps,
      );
      const urls = jobUrls(job.id, request);
      setJobHeaders(reply, { job, log: request.log });
      reply.header('location', urls.self);
      let { status, tier, rerouted } = job;
      if (waitS !== undefined) {
        reply.header('preference-applied', `wait=${waitS}`);
        const held = await holdAnswer(job.id, { waitMs: waitS * 1_000, reply }, deps);
        if (held.kind === 'client_gone') return reply.hijack();
        if (held.record !== null) {
          ({ state: status, tier, rerouted } = held.record);
          setTierHeaders(reply, held.record);
        }
        if (held.record !== null && isTerminalState(held.record.state)) {
          return reply.code(200).send(jobObject(held.record, { request, place: null }));
        }
      }
      // It has left its place while the answer was held.
      const place = status === 'queued' ? job.place : null;
      return reply.code(202).send({
        id: job.id,
        object: 'job',
        status,
        tier,
        route: job.reasons,
        rerouted,
        position: place?.position ?? null,
        estimated_wait_ms: place?.estimatedWaitMs ?? null,
        dropped_messages: job.droppedMessages,
        urls,
      });
    },
  );

  app.get(
    '/v1/jobs/:id',
    {
      config: { access: 'read' },
      schema: { summary: 'Look up a job', params: jobParams, response: { 200: jobObjectSchema } },
    },
    async (request) => {
      const record = await findJob(request.params.id, request.caller, deps);
      // Of a job that has just been started nobody knows a place.
      const place = record.state === 'queued' ? await positions.placeOf(record) : null;
      return jobObject(record, { request, place });
    },
  );

  app.post(
    '/v1/jobs/:id/token',
    {
      config: { access: 'read' },
      schema: {
        summary: 'A token by which this job can be followed without a key, as by an EventSource',
        params: jobParams,
        response: { 200: tokenSchema },
      },
    },
    async (request) => {
      const { id } = await findJob(request.params.id, request.caller, deps);
      const { events } = jobUrls(id, request);
      const { keyId } = request.caller;
      // The same program works where no keys are configured.
      if (deps.keys === null || keyId === null) {
        return { object: 'job.token' as const, token: null, expires_at: null, url: events };
      }
      const { token, expiresAt } = await deps.keys.tokens.issue({ keyId, jobId: id });
      return {
        object: 'job.token' as const,
        token,
        expires_at: Math.floor(expiresAt / 1_000),
        url: `${events}?token=${token}`,
      };
    },
  );

  app.get(
    '/v1/jobs/:id/events',
    {
      // A stream without its body would keep the connection busy until the job ends.
      exposeHeadRoute: false,
      config: { access: 'read' },
      schema: {
        summary: 'Follow a job as server-sent events, from any event on',
        params: jobParams,
        querystring: z.object({
          after: z.string('must be given once').optional(),
          token: z
            .string('must be given once')
            .optional()
            .describe('Of POST /v1/jobs/{id}/token, in place of a key'),
        }),
        produces: ['text/event-stream', 'application/json'],
      },
    },
    async (request, reply) => {
      const { after, param } = cursorOf(request);
      const {
        id,
        tier,
        class: jobClass,
        state,
        seq,
      } = await findJob(request.params.id, request.caller, deps);
      if (after > seq) {
        throw new QarrError('invalid_cursor', {
          param,
          message: `No event has the number ${after}: the newest is ${seq}.`,
        });
      }
      // Nothing will ever follow: this status tells an EventSource not to come back.
      if (isTerminalState(state) && after === seq) return reply.code(204).send();
      const stream = streams.open(reply);
      const events = store.follow(id, { after, signal: stream.signal });
      const job = { id, tier, class: jobClass, isWaiting: state === 'queued' && after > 0 };
      // Not awaited: that would keep the request and the reply as long as the job goes on.
      void streamJobEvents(job, events, { stream, positions, log: request.log });
      return reply;
    },
  );

  app.post(
    '/v1/jobs/:id/cancel',
    {
      config: { access: 'cancel' },
      schema: { summary: 'Cancel a job', params: jobParams, response: { 200: receiptSchema } },
    },
    async (request) => {
      const { params, caller } = request;
      await findJob(params.id, caller, deps);
      await cancelJob(params.id, deps);
      return receipt(await findJob(params.id, caller, deps));
    },
  );
}

function receipt(record: JobRecord): z.infer<typeof receiptSchema> {
  const { id, state, attempt } = record;
  const ran = attempt > 0;
  const tokens = ran ? record.tokens : 0;
  return { id, object: 'job.cancellation', status: state, ran, tokens };
}

/** The last event that the reader has: the header of a reconnecting EventSource wins. */
function cursorOf(request: FastifyRequest): { after: number; param: string } {
  const header = request.headers['last-event-id'];
  const { after = '0' } = request.query as { after?: string };
  const [param, text] =
    typeof header === 'string' && header !== '' ? ['Last-Event-ID', header] : ['after', after];
  return { param, after: wholeNumberFrom(text, { name: param, max: Number.MAX_SAFE_INTEGER }) };
}
