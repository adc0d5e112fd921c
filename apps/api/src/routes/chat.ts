/**
 * `/v1/chat/completions`: OpenAI's surface, on top of a job that is bound to its connection. A
 * client that leaves takes its job with it, because clients retry without saying that they do, and
 * a retry must not double the work. One that sends an `Idempotency-Key` does say so: its job goes
 * on, and the retry gets the same answer from its beginning.
 */
import { QarrError, chatRequestSchema, isTerminalState, isTerminalType } from '@qarr/router-core';
import type { FastifyReply } from 'fastify';
import type { Api, ApiDeps } from '../app.ts';
import { createChatChunks } from '../chat-chunks.ts';
import type { ChatChunks } from '../chat-chunks.ts';
import { chatCompletion } from '../chat-completion.ts';
import { watchClient } from '../client-gone.ts';
import { idempotencyKeyOf } from '../idempotency-key.ts';
import { setJobHeaders, setTierHeaders } from '../route-headers.ts';
import type { EventStream } from '../sse.ts';
import { chatHeaders } from '../submit-headers.ts';
import { acceptJob } from '../submit-job.ts';
import type { AcceptedJob } from '../submit-job.ts';

/** Bound: nobody else will ever wait for the answer. */
type Foreground = AcceptedJob & { readonly isBound: boolean };

export function registerChatRoutes(app: Api, deps: ApiDeps): void {
  const { store, drain, cancels, streams } = deps;

  app.post(
    '/v1/chat/completions',
    {
      schema: {
        summary: "Chat, as OpenAI's clients do it, or with prompt and system_prompt",
        headers: chatHeaders,
        body: chatRequestSchema,
      },
    },
    async (request, reply) => {
      const { body } = request;
      const idempotency = idempotencyKeyOf(request);
      const isBound = idempotency === undefined;
      // An OpenAI stream cannot take back what it has sent; an answer in one piece can begin anew.
      const onInterrupt = body.stream === true ? 'continue' : 'restart';
      const { traceparent } = request.headers;
      const options = {
        class: 'interactive',
        onInterrupt,
        traceparent,
        idempotency,
        isBound,
      } as const;
      const job = { ...(await acceptJob(body, options, deps)), isBound };
      setJobHeaders(reply, { job, log: request.log });
      if (body.stream !== true) return sendAnswer(job, reply);
      const chunks = createChatChunks(
        { jobId: job.id, tier: job.tier, created: Math.floor(job.createdAt / 1_000) },
        { includeUsage: body.stream_options?.include_usage === true },
      );
      // Not awaited: that would keep the request and the reply as long as the job goes on.
      void streamAnswer(job, { stream: streams.open(reply), chunks });
      return reply;
    },
  );

  async function streamAnswer(
    { id, isBound }: Foreground,
    { stream, chunks }: { stream: EventStream; chunks: ChatChunks },
  ): Promise<void> {
    const { signal } = stream;
    let last = 0;
    let hasEnded = false;
    try {
      for await (const events of store.follow(id, { after: 0, signal })) {
        if (events[0]?.seq !== last + 1) await stream.write(await storedText(id, { last, chunks }));
        last = events.at(-1)?.seq ?? last;
        hasEnded = isTerminalType(events.at(-1)?.type ?? '');
        await stream.write(chunks.frames(events));
        if (chunks.isOver) break;
      }
      // The reader has left, this server stops, or what comes is another sample: nobody reads on.
      const goodbye = chunks.isOver ? '' : chunks.errorFrame(new QarrError('shutting_down'));
      await stream.write(goodbye);
    } catch (error) {
      const problem = error instanceof QarrError ? error : new QarrError('internal_error');
      app.log.warn({ job: id, cause: problem.code }, 'stream ended');
      if (!chunks.isOver) await stream.write(chunks.errorFrame(problem));
    }
    if (isBound && !hasEnded) await cancels.owe(id);
    stream.close();
  }

  /** For a reader that comes when the log has been removed, but the result is still there. */
  async function storedText(
    id: string,
    { last, chunks }: { last: number; chunks: ChatChunks },
  ): Promise<string> {
    if (last > 0) {
      throw new QarrError('internal_error', {
        message:
          'The events of this job have been removed meanwhile; its result may still be there.',
      });
    }
    const record = await store.get(id);
    return record?.result ? chunks.stored(record.result) : '';
  }

  async function sendAnswer({ id, status, isBound }: Foreground, reply: FastifyReply) {
    const client = watchClient(reply);
    const signal = AbortSignal.any([client.gone, drain.over]);
    try {
      if (!isTerminalState(status)) {
        for await (const _events of store.follow(id, { after: 0, signal })) {
          // Following ends by itself after the terminal event.
        }
      }
      if (signal.aborted && isBound) await cancels.owe(id);
      if (client.gone.aborted) return reply.hijack();
      if (signal.aborted) throw new QarrError('shutting_down');
      const record = await store.get(id);
      if (record === null) throw new QarrError('job_not_found');
      setTierHeaders(reply, record);
      // With the same key it would be the same failure.
      if (!isBound && record.state !== 'completed') reply.header('x-should-retry', 'false');
      const answer = chatCompletion(record);
      const continued = record.result?.continued ?? 0;
      if (continued > 0) reply.header('x-qarr-continued', continued);
      return await reply.send(answer);
    } finally {
      client.stop();
    }
  }
}
