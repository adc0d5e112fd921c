/** `/v1/completions`: OpenAI's older surface, on top of a job that is bound to its connection. */
import { completionRequestSchema } from '@qarr/router-core';
import type { Api, ApiDeps } from '../app.ts';
import { completionAnswer } from '../completion-answer.ts';
import { createCompletionChunks } from '../completion-chunks.ts';
import { createForeground } from '../foreground.ts';
import { idempotencyKeyOf } from '../idempotency-key.ts';
import { setJobHeaders, setProcessingTime, setTierHeaders } from '../route-headers.ts';
import { chatHeaders } from '../submit-headers.ts';
import { acceptJob } from '../submit-job.ts';

export function registerCompletionRoutes(app: Api, deps: ApiDeps): void {
  const foreground = createForeground(deps);

  app.post(
    '/v1/completions',
    {
      config: { access: 'submit' },
      schema: {
        summary: 'Go on with a text as it is, without a chat template',
        headers: chatHeaders,
        body: completionRequestSchema,
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const isStreamed = body.stream === true;
      const idempotency = idempotencyKeyOf(request);
      const isBound = idempotency === undefined;
      const options = {
        caller,
        class: 'interactive',
        // As for chats: see there.
        onInterrupt: isStreamed ? 'continue' : 'restart',
        fallback: body.fallback,
        queueTimeoutMs: body.queue_timeout_ms,
        traceparent: request.headers.traceparent,
        idempotency,
        isBound,
      } as const;
      const job = { ...(await acceptJob({ ...body, isRaw: true }, options, deps)), isBound };
      setJobHeaders(reply, { job, log: request.log });
      if (isStreamed) {
        setProcessingTime(reply);
        const shape = createCompletionChunks(
          { jobId: job.id, tier: job.tier, created: Math.floor(job.createdAt / 1_000) },
          { includeUsage: body.stream_options?.include_usage === true },
        );
        // Not awaited: that would keep the request and the reply as long as the job goes on.
        void foreground.stream(job, { stream: deps.streams.open(reply), shape, log: app.log });
        return reply;
      }
      const record = await foreground.whole(job, reply);
      if (record === null) return reply.hijack();
      setTierHeaders(reply, record);
      const answer = completionAnswer(record);
      const continued = record.result?.continued ?? 0;
      if (continued > 0) reply.header('x-qarr-continued', continued);
      setProcessingTime(reply);
      return reply.send(answer);
    },
  );
}
