/**
 * `/v1/chat/completions`: OpenAI's surface, on top of a job that is bound to its connection. A
 * client that leaves takes its job with it, because clients retry without saying that they do, and
 * a retry must not double the work.
 */
import { QarrError, chatRequestSchema, isTerminalType } from '@qarr/router-core';
import type { FastifyReply } from 'fastify';
import type { Api, ApiDeps } from '../app.ts';
import { createChatChunks } from '../chat-chunks.ts';
import type { ChatChunks } from '../chat-chunks.ts';
import { chatCompletion } from '../chat-completion.ts';
import { setRouteHeaders } from '../route-headers.ts';
import { routeRequest } from '../route-request.ts';
import type { EventStream } from '../sse.ts';
import { submitJob } from '../submit-job.ts';

export function registerChatRoutes(app: Api, deps: ApiDeps): void {
  const { store, drain, streams } = deps;

  app.post(
    '/v1/chat/completions',
    {
      schema: {
        summary: "Chat, as OpenAI's clients do it, or with prompt and system_prompt",
        body: chatRequestSchema,
      },
    },
    async (request, reply) => {
      const { body } = request;
      const route = await routeRequest(body, deps);
      // An OpenAI stream cannot take back what it has sent; an answer in one piece can begin anew.
      const onInterrupt = body.stream === true ? 'continue' : 'restart';
      const { traceparent } = request.headers;
      const options = { class: 'interactive', onInterrupt, traceparent } as const;
      const { id } = await submitJob(route, options, deps);
      request.log.info({ job: id, tier: route.tier, route: route.reasons }, 'job accepted');
      setRouteHeaders(reply, { route, jobId: id });
      if (body.stream !== true) return sendAnswer(id, reply);
      const chunks = createChatChunks(
        { jobId: id, tier: route.tier, created: Math.floor(Date.now() / 1_000) },
        { includeUsage: body.stream_options?.include_usage === true },
      );
      return streamAnswer(id, { stream: streams.open(reply), chunks });
    },
  );

  async function streamAnswer(
    id: string,
    { stream, chunks }: { stream: EventStream; chunks: ChatChunks },
  ): Promise<void> {
    const { signal } = stream;
    let hasEnded = false;
    try {
      for await (const events of store.follow(id, { after: 0, signal })) {
        hasEnded = isTerminalType(events.at(-1)?.type ?? '');
        await stream.write(chunks.frames(events));
        if (chunks.isOver) break;
      }
      // The reader has left, this server stops, or what comes is another sample: nobody reads on.
      const goodbye = chunks.isOver ? '' : chunks.errorFrame(new QarrError('shutting_down'));
      await Promise.all([stream.write(goodbye), hasEnded ? null : store.cancel(id)]);
    } catch (error) {
      const problem = error instanceof QarrError ? error : new QarrError('internal_error');
      app.log.warn({ job: id, cause: problem.code }, 'stream ended');
      if (!chunks.isOver) await stream.write(chunks.errorFrame(problem));
    }
    stream.close();
  }

  async function sendAnswer(id: string, reply: FastifyReply) {
    const gone = new AbortController();
    const onClose = () => gone.abort();
    if (reply.raw.destroyed) onClose();
    reply.raw.once('close', onClose);
    const signal = AbortSignal.any([gone.signal, drain.over]);
    try {
      for await (const _events of store.follow(id, { after: 0, signal })) {
        // Following ends by itself after the terminal event.
      }
      if (signal.aborted) await store.cancel(id);
      if (gone.signal.aborted) return reply.hijack();
      if (signal.aborted) throw new QarrError('shutting_down');
      const record = await store.get(id);
      if (record === null) throw new QarrError('job_not_found');
      const answer = chatCompletion(record);
      const continued = record.result?.continued ?? 0;
      if (continued > 0) reply.header('x-qarr-continued', continued);
      return await reply.send(answer);
    } finally {
      reply.raw.off('close', onClose);
    }
  }
}
