/** What every request for text may say, whatever form its prompt has. */
import { z } from 'zod';
import { flag, name, numberBetween, wholeNumber } from './request-fields.ts';

/** Far above any context window today; a larger number is a mistake or an attack. */
export const MAX_TOKENS_MAX = 1_000_000;
/** OpenAI's own limit is 4 stop strings. */
const STOP_STRINGS_MAX = 4;
const STOP_STRING_CHARS_MAX = 256;
const STOP_ERROR = `must be a string or a list of at most ${STOP_STRINGS_MAX} strings`;
/** Every choice takes a slot of the engine's batch; CVE-2026-34756 is a request for too many. */
const CHOICES_MAX = 4;
/** Each token's entry is some 100 bytes per alternative, in the log and in every stream. */
export const TOP_LOGPROBS_MAX = 5;
/** A day: the longest that a job may wait, or run. */
export const TIMEOUT_MS_MAX = 86_400_000;

export const samplingFields = {
  model: name().optional(),
  tier: name().optional(),
  max_tokens: wholeNumber(1, MAX_TOKENS_MAX).optional(),
  temperature: numberBetween(0, 2).optional(),
  top_p: numberBetween(0, 1).optional(),
  top_k: wholeNumber(-1, 1_000_000).optional(),
  min_p: numberBetween(0, 1).optional(),
  presence_penalty: numberBetween(-2, 2).optional(),
  frequency_penalty: numberBetween(-2, 2).optional(),
  repetition_penalty: numberBetween(0.01, 2).optional(),
  seed: wholeNumber(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER).optional(),
  stop: z.union([stopString(), stopList()], STOP_ERROR).optional(),
  min_tokens: wholeNumber(0, MAX_TOKENS_MAX).optional(),
  ignore_eos: flag().optional(),
  n: wholeNumber(1, CHOICES_MAX).optional(),
  stream: flag().optional(),
  stream_options: z.object({ include_usage: flag().nullish() }, 'must be an object').optional(),
};

interface Budget {
  min_tokens?: number | undefined;
  max_tokens?: number | undefined;
  max_completion_tokens?: number | undefined;
}

export function checkBudget(request: Budget, context: z.RefinementCtx): void {
  const { min_tokens = 0, max_tokens, max_completion_tokens } = request;
  if (min_tokens <= (max_completion_tokens ?? max_tokens ?? MAX_TOKENS_MAX)) return;
  context.addIssue({ code: 'custom', path: ['min_tokens'], message: 'must not exceed max_tokens' });
}

function stopList() {
  return z.array(stopString()).max(STOP_STRINGS_MAX, STOP_ERROR);
}

function stopString() {
  const error = `must be a string of 1 to ${STOP_STRING_CHARS_MAX} characters`;
  return z.string(error).min(1, error).max(STOP_STRING_CHARS_MAX, error);
}
