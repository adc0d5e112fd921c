/** From the body of a response to its job. */
import type { JobClass, IdempotencyKey, ResponseRequest, StoredResponse } from '@qarr/router-core';
import { classOfServiceTier, chatOfResponse, messagesOfItems, servedAs } from '@qarr/router-core';
import type { Caller } from '../caller.ts';
import type { RouteDeps } from '../route-request.ts';
import { acceptJob } from '../submit-job.ts';
import type { AcceptedJob, SubmitDeps } from '../submit-job.ts';
import { goneBefore, resolveInput } from './conversation.ts';
import { isResponse, unknownResponse } from './find-response.ts';
import { responseIdOf } from './response-ids.ts';
import type { ResponseRecord } from './response-object.ts';

export interface AcceptedResponse {
  readonly job: AcceptedJob & { readonly isBound: boolean };
  readonly record: ResponseRecord;
}

export async function submitResponse(
  body: ResponseRequest,
  {
    caller,
    idempotency,
    traceparent,
  }: {
    caller: Caller;
    idempotency: IdempotencyKey | undefined;
    traceparent: string | string[] | undefined;
  },
  deps: SubmitDeps & RouteDeps & { store: Parameters<typeof goneBefore>[2]['store'] },
): Promise<AcceptedResponse> {
  const { background = false, stream = false } = body;
  const [before, input] = await Promise.all([
    goneBefore(body, caller, deps),
    resolveInput(body, caller, deps),
  ]);
  const isBound = !background && idempotency === undefined;
  const accepted = await acceptJob(
    chatOfResponse(body, { goneBefore: before, input }),
    {
      caller,
      class: classOf(body),
      // A stream cannot take back what it has sent; what is looked up in the end can begin anew.
      onInterrupt: stream ? 'continue' : 'restart',
      fallback: body.fallback,
      queueTimeoutMs: body.queue_timeout_ms,
      runTimeoutMs: body.run_timeout_ms,
      metadata: body.metadata,
      traceparent,
      idempotency,
      isBound,
      response: storedResponse(body, messagesOfItems(input).length),
    },
    deps,
  );
  const record = await deps.store.get(accepted.id);
  if (record === null || !isResponse(record)) throw unknownResponse(responseIdOf(accepted.id));
  return { job: { ...accepted, isBound }, record };
}

/** Behind those who wait on their connections come those who do not, or have said that they can. */
function classOf({ background = false, service_tier: tier }: ResponseRequest): JobClass {
  return background ? 'standard' : (classOfServiceTier(tier) ?? 'interactive');
}

function storedResponse(body: ResponseRequest, inputMessages: number): StoredResponse {
  return {
    background: body.background ?? false,
    stream: body.stream ?? false,
    store: body.store ?? true,
    isInstructed: (body.instructions ?? '') !== '',
    inputMessages,
    previousResponseId: body.previous_response_id ?? null,
    serviceTier: servedAs(body.service_tier),
    truncation: body.truncation ?? 'disabled',
    user: body.user ?? null,
  };
}
