/** The whole answer of a job in the shape of OpenAI's chat completion. */
import type { JobRecord, JobResult, Usage } from '@qarr/router-core';
import { answerOf } from './job-answer.ts';

/** Throws the error of a job that did not complete. */
export function chatCompletion(
  record: JobRecord,
  { serviceTier }: { serviceTier: 'default' | 'flex' },
) {
  const result = answerOf(record);
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
