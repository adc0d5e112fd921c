/** `POST /v1/responses`: OpenAI's surface, on top of a job that may outlive its connection. */
import { QarrError, responseRequestSchema } from '@qarr/router-core';
import type { Api, ApiDeps } from '../app.ts';
import { cancelJob } from '../cancel-job.ts';
import { createForeground } from '../foreground.ts';
import { idempotencyKeyOf } from '../idempotency-key.ts';
import { answerOf } from '../job-answer.ts';
import { createResponseEvents } from '../responses/response-events.ts';
import { isResponse } from '../responses/find-response.ts';
import { submitResponse } from '../responses/submit-response.ts';
import { wholeResponse } from '../responses/whole-response.ts';
import { setJobHeaders, setProcessingTime, setTierHeaders } from '../route-headers.ts';
import { chatHeaders } from '../submit-headers.ts';

export function registerResponseRoutes(app: Api, deps: ApiDeps): void {
  const foreground = createForeground(deps);

  /** Of a response that is not to be kept, once its answer has been given. */
  async function forget(jobId: string): Promise<void> {
    try {
      // Of one whose client has left, a worker may still say what it has cost.
      await cancelJob(jobId, deps);
      await deps.store.delete(jobId);
    } catch {
      // It goes by its own time.
      app.log.warn({ job_id: jobId }, 'response not deleted');
    }
  }

  app.post(
    '/v1/responses',
    {
      config: { access: 'submit' },
      schema: {
        summary: "A response, as OpenAI's clients ask for it: at once, as a stream, or later",
        headers: chatHeaders,
        body: responseRequestSchema,
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const idempotency = idempotencyKeyOf(request);
      const { job, record } = await submitResponse(
        body,
        { caller, idempotency, traceparent: request.span.traceparent, requestId: request.id },
        deps,
      );
      setJobHeaders(reply, { job, log: request.log });
      // With a key, whoever sends it again shall have the same answer.
      const isForgotten = job.isBound && !record.response.store;
      if (body.stream === true) {
        setProcessingTime(reply);
        const shape = createResponseEvents(record);
        const stream = deps.streams.open(reply);
        // Not awaited: that would keep the request and the reply as long as the job goes on.
        void foreground
          .stream(job, { stream, shape, log: app.log })
          .then(() => (isForgotten ? forget(job.id) : null));
        return reply;
      }
      if (body.background === true) return wholeResponse(record, { place: job.place }, deps);

      try {
        const ended = await foreground.whole(job, reply);
        if (ended === null) return reply.hijack();
        if (!isResponse(ended)) throw new QarrError('internal_error');
        setTierHeaders(reply, ended);
        const { continued = 0 } = answerOf(ended);
        if (continued > 0) reply.header('x-qarr-continued', continued);
        setProcessingTime(reply);
        return await wholeResponse(ended, { place: null }, deps);
      } finally {
        if (isForgotten) void forget(job.id);
      }
    },
  );
}
