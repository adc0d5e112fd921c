/** From the body of a response to its job. */
import type { JobClass, IdempotencyKey, ResponseRequest, StoredResponse } from '@qarr/router-core';
import { classOfServiceTier, chatOfResponse, messagesOfItems, servedAs } from '@qarr/router-core';
import type { Caller } from '../caller.ts';
import type { RouteDeps } from '../route-request.ts';
import { acceptNew, findByKey, withAdvice } from '../submit-job.ts';
import type { AcceptedJob, SubmitDeps } from '../submit-job.ts';
import { goneBefore, resolveInput } from './conversation.ts';
import { isResponse, unknownResponse } from './find-response.ts';
import { responseIdOf } from './response-ids.ts';
import type { ResponseRecord } from './response-object.ts';

export interface AcceptedResponse {
  readonly job: AcceptedJob & { readonly isBound: boolean };
  readonly record: ResponseRecord;
}

interface From {
  readonly caller: Caller;
  readonly idempotency: IdempotencyKey | undefined;
  readonly traceparent: string;
  readonly requestId: string;
}

type Deps = SubmitDeps & RouteDeps & { store: Parameters<typeof goneBefore>[2]['store'] };

export async function submitResponse(
  body: ResponseRequest,
  from: From,
  deps: Deps,
): Promise<AcceptedResponse> {
  const isBound = body.background !== true && from.idempotency === undefined;
  // What a known one goes on from may be gone by now.
  const known = await findByKey({ ...from, isBound }, deps);
  const accepted = known ?? (await submitNew(body, { ...from, isBound }, deps));
  const record = await recordOf(accepted.id, { ...from, isBound }, deps);
  return { job: { ...accepted, isBound }, record };
}

async function submitNew(
  body: ResponseRequest,
  from: From & { isBound: boolean },
  deps: Deps,
): Promise<AcceptedJob> {
  const [before, input] = await Promise.all([
    goneBefore(body, from.caller, deps),
    resolveInput(body, from.caller, deps),
  ]);
  return acceptNew(
    chatOfResponse(body, { goneBefore: before, input }),
    {
      ...from,
      class: classOf(body),
      // A stream cannot take back what it has sent; what is looked up in the end can begin anew.
      onInterrupt: body.stream === true ? 'continue' : 'restart',
      fallback: body.fallback,
      queueTimeoutMs: body.queue_timeout_ms,
      runTimeoutMs: body.run_timeout_ms,
      metadata: body.metadata,
      response: storedResponse(body, messagesOfItems(input).length),
    },
    deps,
  );
}

async function recordOf(
  jobId: string,
  from: From & { isBound: boolean },
  { store, cancels }: Deps,
): Promise<ResponseRecord> {
  const record = await store.get(jobId).catch((error: unknown) => {
    // Its client is told that it failed: it must not run.
    if (from.isBound) void cancels.owe(jobId);
    throw withAdvice(error, from);
  });
  if (record === null || !isResponse(record)) throw unknownResponse(responseIdOf(jobId));
  return record;
}

/** Behind those who wait on their connections come those who do not, or have said that they can. */
function classOf({ background = false, service_tier: tier }: ResponseRequest): JobClass {
  return background ? 'standard' : (classOfServiceTier(tier) ?? 'interactive');
}

export function storedResponse(body: ResponseRequest, inputMessages: number): StoredResponse {
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
