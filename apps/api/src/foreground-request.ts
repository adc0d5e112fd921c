/** From a request that is answered on its connection to that answer, streamed or whole. */
import type { JobRecord } from '@qarr/router-core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiDeps } from './app.ts';
import type { StreamIdentity } from './chunk-stream.ts';
import type { Foreground, StreamShape } from './foreground.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { setJobHeaders, setProcessingTime, setTierHeaders } from './route-headers.ts';
import type { RoutedBody } from './route-request.ts';
import { acceptJob } from './submit-job.ts';
import type { JobOptions } from './submit-job.ts';

type ToldByRequest = 'caller' | 'traceparent' | 'requestId' | 'idempotency' | 'isBound';

interface ForegroundRequest {
  readonly body: RoutedBody;
  /** What the request asks of its job; who asks, and how the job is bound, is told by its headers. */
  readonly asked: Omit<JobOptions, ToldByRequest | 'onInterrupt'> & {
    readonly onInterrupt?: JobOptions['onInterrupt'] | undefined;
  };
  readonly isStream: boolean;
  shapeOf(identity: StreamIdentity): StreamShape;
  /** Throws the error of a job that did not complete. */
  answerOf(record: JobRecord): object;
}

export async function answerOnConnection(
  { body, asked, isStream, shapeOf, answerOf }: ForegroundRequest,
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  { foreground, deps }: { foreground: Foreground; deps: ApiDeps },
): Promise<FastifyReply> {
  const { caller, server } = request;
  const idempotency = idempotencyKeyOf(request);
  const isBound = idempotency === undefined;
  const options = {
    ...asked,
    // An OpenAI stream cannot take back what it has sent; an answer in one piece can begin anew.
    onInterrupt: asked.onInterrupt ?? (isStream ? 'continue' : 'restart'),
    caller,
    traceparent: request.span.traceparent,
    requestId: request.id,
    idempotency,
    isBound,
  };
  const job = { ...(await acceptJob(body, options, deps)), isBound };
  setJobHeaders(reply, { job, log: request.log });
  if (isStream) {
    setProcessingTime(reply);
    const { id: jobId, tier, createdAt } = job;
    const shape = shapeOf({ jobId, tier, created: Math.floor(createdAt / 1_000) });
    // Not awaited: that would keep the request and the reply as long as the job goes on.
    void foreground.stream(job, { stream: deps.streams.open(reply), shape, log: server.log });
    return reply;
  }
  const record = await foreground.whole(job, reply);
  if (record === null) return reply.hijack();
  setTierHeaders(reply, record);
  const answer = answerOf(record);
  const continued = record.result?.continued ?? 0;
  if (continued > 0) reply.header('x-qarr-continued', continued);
  setProcessingTime(reply);
  return reply.send(answer);
}
