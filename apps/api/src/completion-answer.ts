/** The whole answer of a job in the shape of OpenAI's completion. */
import { QarrError } from '@qarr/router-core';
import type { JobRecord, Usage } from '@qarr/router-core';
import { completionChoice } from './completion-choice.ts';

/** Throws the error of a job that did not complete. */
export function completionAnswer(record: JobRecord) {
  const { result, state, error } = record;
  if (state === 'cancelled') throw new QarrError('job_cancelled');
  if (error !== null) throw new QarrError(error.code, { message: error.message });
  if (result === null) throw new QarrError('internal_error');
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
