/** `/v1/chat/completions`: OpenAI's surface, on top of a job that is bound to its connection. */
import { chatRequestSchema, classOfServiceTier, servedAs } from '@qarr/router-core';
import type { Api, ApiDeps } from '../app.ts';
import { requireClass } from '../caller.ts';
import { createChatChunks } from '../chat-chunks.ts';
import { chatCompletion } from '../chat-completion.ts';
import { createForeground } from '../foreground.ts';
import { idempotencyKeyOf } from '../idempotency-key.ts';
import { setJobHeaders, setProcessingTime, setTierHeaders } from '../route-headers.ts';
import { chatHeaders } from '../submit-headers.ts';
import { acceptJob } from '../submit-job.ts';

export function registerChatRoutes(app: Api, deps: ApiDeps): void {
  const foreground = createForeground(deps);

  app.post(
    '/v1/chat/completions',
    {
      config: { access: 'submit' },
      schema: {
        summary: "Chat, as OpenAI's clients do it, or with prompt and system_prompt",
        headers: chatHeaders,
        body: chatRequestSchema,
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      requireClass(caller, body.class);
      const isStream = body.stream === true;
      const idempotency = idempotencyKeyOf(request);
      const isBound = idempotency === undefined;
      const serviceTier = servedAs(body.service_tier);
      const options = {
        caller,
        class: body.class ?? classOfServiceTier(body.service_tier) ?? 'interactive',
        fallback: body.fallback,
        // An OpenAI stream cannot take back what it has sent; an answer in one piece can begin anew.
        onInterrupt: body.on_interrupt ?? (isStream ? 'continue' : 'restart'),
        queueTimeoutMs: body.queue_timeout_ms,
        runTimeoutMs: body.run_timeout_ms,
        metadata: body.metadata,
        traceparent: request.headers.traceparent,
        idempotency,
        isBound,
      };
      const job = { ...(await acceptJob(body, options, deps)), isBound };
      setJobHeaders(reply, { job, log: request.log });
      if (isStream) {
        setProcessingTime(reply);
        const shape = createChatChunks(
          {
            jobId: job.id,
            tier: job.tier,
            created: Math.floor(job.createdAt / 1_000),
            serviceTier,
          },
          { includeUsage: body.stream_options?.include_usage === true },
        );
        // Not awaited: that would keep the request and the reply as long as the job goes on.
        void foreground.stream(job, { stream: deps.streams.open(reply), shape, log: app.log });
        return reply;
      }
      const record = await foreground.whole(job, reply);
      if (record === null) return reply.hijack();
      setTierHeaders(reply, record);
      const answer = chatCompletion(record, { serviceTier });
      const continued = record.result?.continued ?? 0;
      if (continued > 0) reply.header('x-qarr-continued', continued);
      setProcessingTime(reply);
      return reply.send(answer);
    },
  );
}
