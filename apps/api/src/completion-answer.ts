/** The whole answer of a job in the shape of OpenAI's completion. */
import type { JobRecord, Usage } from '@qarr/router-core';
import { completionChoice } from './completion-choice.ts';
import { answerOf } from './job-answer.ts';

/** Throws the error of a job that did not complete. */
export function completionAnswer(record: JobRecord) {
  const result = answerOf(record);
  return {
    id: `cmpl-${record.id}`,
    object: 'text_completion',
    created: Math.floor(record.createdAt / 1_000),
    model: record.tier,
    choices: (result.choices ?? [result]).map(({ text, logprobs, finish_reason }, index) =>
      completionChoice({ index, text, logprobs, offset: 0, finishReason: finish_reason }),
    ),
    usage: record.usage satisfies Usage | null,
    system_fingerprint: null,
  };
}
