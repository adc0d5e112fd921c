import type { FieldReader } from './fields.ts';
import { badValue, bodyError, notSimulated } from './request-error.ts';

/** vLLM's --max-logprobs. */
const TOP_LOGPROBS_MAX = 20;

/** How many likely tokens to list at each position of a chat answer; undefined for no log probabilities. */
export function readChatLogprobs(reader: FieldReader): number | undefined {
  const wanted = reader.boolean('logprobs') ?? false;
  const top = reader.integer('top_logprobs') ?? 0;
  if (top === -1) throw notSimulated('top_logprobs');
  if (top < 0) {
    throw bodyError({
      message: '`top_logprobs` must be a positive value or -1.',
      param: 'top_logprobs',
    });
  }
  if (top > 0 && !wanted) {
    throw bodyError({
      message: 'when using `top_logprobs`, `logprobs` must be set to true.',
      param: 'top_logprobs',
    });
  }
  return wanted ? withinLimit(top) : undefined;
}

/** The same for completions, where one number asks for both. */
export function readCompletionLogprobs(reader: FieldReader): number | undefined {
  const top = reader.integer('logprobs');
  if (top !== undefined && top < 0) {
    throw bodyError({ message: '`logprobs` must be a positive value.', param: 'logprobs' });
  }
  return top === undefined ? undefined : withinLimit(top);
}

function withinLimit(top: number): number {
  if (top <= TOP_LOGPROBS_MAX) return top;
  throw badValue({
    message: `Requested sample logprobs of ${top}, which is greater than max allowed: ${TOP_LOGPROBS_MAX}`,
    param: 'logprobs',
    value: top,
  });
}
