/**
 * The outcome of a line of a batch, as a line of its output file or of its error file.
 *
 * What ended like a request by HTTP has a `response` with a status, good or bad; what was never
 * answered has an `error`. `qarr_tier` is beside OpenAI's fields, which its clients let be.
 */
import { QarrError, errorBody, errorRow, lineJobId } from '@qarr/router-core';
import type { BatchRecord, BatchUsage, JobRecord, Usage } from '@qarr/router-core';
import { chatCompletion } from '../chat-completion.ts';
import { completionAnswer } from '../completion-answer.ts';
import { isResponse } from '../responses/find-response.ts';
import { responseOfResult } from '../responses/whole-response.ts';

export interface LineOutcome {
  readonly line: number;
  /** It belongs into the output file, otherwise into the error file. */
  readonly isCompleted: boolean;
  /** JSON without a line break. */
  readonly text: string;
  readonly usage: BatchUsage;
}

/** Whose outcome it is. */
export interface OutcomeOf {
  readonly batch: Pick<BatchRecord, 'id' | 'endpoint' | 'expiresAt'>;
  readonly line: number;
  readonly customId: string;
}

/** Why a line has no outcome of its own. */
export type Unanswered = 'batch_expired' | 'batch_cancelled' | 'job_deleted';

const UNANSWERED: Readonly<Record<Unanswered, string>> = {
  batch_expired: 'This request could not be executed before the completion window expired.',
  batch_cancelled: 'This request was not executed before the batch was cancelled.',
  job_deleted: 'The job of this request was deleted before its outcome was stored.',
};

export const NO_USAGE: BatchUsage = {
  promptTokens: 0,
  cachedTokens: 0,
  completionTokens: 0,
  reasoningTokens: 0,
};

/**
 * Of a job that has ended. `ending`: what the batch itself does with its jobs at this time, which is
 * then the reason of those that were cancelled.
 */
export function outcomeOfJob(
  of: OutcomeOf,
  job: JobRecord,
  { ending }: { ending: 'batch_expired' | 'batch_cancelled' | null },
): LineOutcome {
  const { tier, state } = job;
  if (state === 'cancelled' && ending !== null) return unanswered(of, ending, tier);
  if (hasRunOutOfTime(of.batch, job)) return unanswered(of, 'batch_expired', tier);
  try {
    const body = bodyOf(of.batch.endpoint, job);
    return outcome(of, { status: 200, body, tier, usage: usageOf(job.usage) });
  } catch (thrown) {
    return refused(of, thrown, tier);
  }
}

/** It has waited until the batch's time was up, as its line has not asked for less. */
export function hasRunOutOfTime(
  { expiresAt }: Pick<BatchRecord, 'expiresAt'>,
  { state, error, queueDeadline }: JobRecord,
): boolean {
  const hasWaited = state === 'expired' && error?.code === 'queue_timeout';
  return hasWaited && queueDeadline >= expiresAt - CLOCK_MS;
}

/** What is left of the window is counted by one clock, and written by another a little later. */
const CLOCK_MS = 1_000;

/** Of a line that became no job, because its request is wrong or nothing may run it. */
export function outcomeOfRefusal(of: OutcomeOf, error: QarrError): LineOutcome {
  return refused(of, error, null);
}

/** `tier`: where its job was, if it had one. */
export function unanswered(of: OutcomeOf, code: Unanswered, tier: string | null): LineOutcome {
  const error = { code, message: UNANSWERED[code] };
  return { ...shared(of, { response: null, error, tier }), isCompleted: false, usage: NO_USAGE };
}

/** Throws the error of a job that did not complete. */
function bodyOf(endpoint: BatchRecord['endpoint'], job: JobRecord): object {
  switch (endpoint) {
    case '/v1/chat/completions':
      return chatCompletion(job, { serviceTier: 'default' });
    case '/v1/completions':
      return completionAnswer(job);
    case '/v1/responses':
      if (!isResponse(job)) throw new QarrError('internal_error');
      return responseOfResult(job);
    default:
      return endpoint satisfies never;
  }
}

function refused(of: OutcomeOf, thrown: unknown, tier: string | null): LineOutcome {
  const error = thrown instanceof QarrError ? thrown : new QarrError('internal_error');
  const { httpStatus: status } = errorRow(error.code);
  return outcome(of, { status, body: errorBody(error), tier, usage: NO_USAGE });
}

function outcome(
  of: OutcomeOf,
  {
    status,
    body,
    tier,
    usage,
  }: { status: number; body: object; tier: string | null; usage: BatchUsage },
): LineOutcome {
  const response = {
    status_code: status,
    request_id: lineJobId(of.batch.id, of.line),
    body,
  };
  const isCompleted = status === 200;
  return { ...shared(of, { response, error: null, tier }), isCompleted, usage };
}

function shared(
  { batch, line, customId }: OutcomeOf,
  { response, error, tier }: { response: object | null; error: object | null; tier: string | null },
): Pick<LineOutcome, 'line' | 'text'> {
  const id = `batch_req_${batch.id.replace(/^batch_/, '')}_${line}`;
  const fields = { id, custom_id: customId, response, error, qarr_tier: tier };
  return { line, text: JSON.stringify(fields) };
}

function usageOf(usage: Usage | null): BatchUsage {
  if (usage === null) return NO_USAGE;
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = usage;
  return { ...NO_USAGE, promptTokens, completionTokens };
}
