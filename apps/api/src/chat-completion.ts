/** The whole answer of a job in the shape of OpenAI's chat completion. */
import { QarrError } from '@qarr/router-core';
import type { JobRecord, JobResult, Usage } from '@qarr/router-core';

/** Throws the error of a job that did not complete. */
export function chatCompletion(
  record: JobRecord,
  { serviceTier }: { serviceTier: 'default' | 'flex' },
) {
  const { result, state, error } = record;
  if (state === 'cancelled') throw new QarrError('job_cancelled');
  if (error !== null) throw new QarrError(error.code, { message: error.message });
  if (result === null) throw new QarrError('internal_error');
  return {
    id: `chatcmpl-${record.id}`,
    object: 'chat.completion',
    created: Math.floor(record.createdAt / 1_000),
    model: record.tier,
    choices: (result.choices ?? [result]).map(choice),
    usage: record.usage satisfies Usage | null,
    service_tier: serviceTier,
    system_fingerprint: null,
  };
}

function choice(answer: NonNullable<JobResult['choices']>[number], index: number) {
  const { text, reasoning, tool_calls: calls = [], logprobs, finish_reason } = answer;
  return {
    index,
    message: {
      role: 'assistant',
      content: text === '' && calls.length > 0 ? null : text,
      refusal: null,
      ...(reasoning === undefined ? {} : { reasoning }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    },
    logprobs: logprobs === undefined ? null : { ...logprobs, refusal: null },
    finish_reason,
  };
}
