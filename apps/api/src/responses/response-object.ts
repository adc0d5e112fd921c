/** A response as OpenAI's clients know it. Times are seconds since the epoch. */
import type { ChatEngineRequest, JobRecord, StoredResponse, Usage } from '@qarr/router-core';
import { responseIdOf } from './response-ids.ts';

/** The job of a response: always a conversation. */
export type ResponseRecord = JobRecord & { request: ChatEngineRequest; response: StoredResponse };

/** What changes while it is answered. */
export interface ResponseStanding {
  readonly status: 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled';
  /** The tier that has it. */
  readonly tier: string;
  readonly output?: readonly object[];
  readonly usage?: Usage | null;
  readonly error?: object | null;
  readonly incompleteReason?: 'max_output_tokens' | 'content_filter' | undefined;
  /** Milliseconds since the epoch. */
  readonly completedAt?: number;
  /** While it waits; beside OpenAI's fields, which its clients let be. */
  readonly queue?: QueueStanding | undefined;
}

interface QueueStanding {
  /** 1 is next; null where nobody knows, as for the wait. */
  readonly position: number | null;
  readonly tier: string;
  readonly estimated_wait_ms: number | null;
}

/**
 * What stays as it is. Without the conversation: whoever follows a response keeps this as long as it
 * goes on.
 */
export function responseHead({ id, createdAt, metadata, request, response }: ResponseRecord) {
  return {
    id: responseIdOf(id),
    object: 'response' as const,
    created_at: Math.floor(createdAt / 1_000),
    background: response.background,
    instructions: response.isInstructed ? (request.messages[0]?.content ?? null) : null,
    max_output_tokens: request.max_tokens,
    max_tool_calls: null,
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: response.previousResponseId,
    reasoning: { effort: null, summary: null },
    service_tier: response.serviceTier,
    store: response.store,
    temperature: request.temperature,
    text: { format: formatOf(request) },
    tool_choice: toolChoiceOf(request),
    tools: (request.tools ?? []).map(({ type, function: called }) => ({
      type,
      parameters: null,
      strict: null,
      ...called,
    })),
    top_logprobs: request.top_logprobs ?? 0,
    top_p: request.top_p ?? 1,
    truncation: response.truncation,
    user: response.user,
    metadata,
  };
}
export type ResponseHead = ReturnType<typeof responseHead>;

export function responseObject(head: ResponseHead, standing: ResponseStanding) {
  const { status, tier, usage = null, error = null, output = [] } = standing;
  const { incompleteReason, completedAt, queue } = standing;
  return {
    ...head,
    status,
    completed_at: completedAt === undefined ? null : Math.floor(completedAt / 1_000),
    error,
    incomplete_details: incompleteReason === undefined ? null : { reason: incompleteReason },
    model: tier,
    output,
    usage: usage === null ? null : usageOf(usage),
    ...(queue === undefined ? {} : { queue }),
  };
}
export type ResponseObject = ReturnType<typeof responseObject>;

function usageOf({ prompt_tokens, completion_tokens, total_tokens }: Usage) {
  return {
    input_tokens: prompt_tokens,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: completion_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens,
  };
}

function formatOf({ response_format: format }: ChatEngineRequest): object {
  if (format === undefined) return { type: 'text' };
  if (format.type === 'json_object') return format;
  const { type, json_schema: schema } = format;
  return { type, description: null, strict: null, ...schema };
}

function toolChoiceOf({ tool_choice: choice = 'auto' }: ChatEngineRequest) {
  return typeof choice === 'string' ? choice : { type: choice.type, name: choice.function.name };
}
