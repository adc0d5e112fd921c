import { encode, TOKEN_CHARS_MAX } from '../tokenizer.ts';
import { badValue, type RequestError } from './request-error.ts';

/** A prompt as it came: text, or token ids that the caller made. */
export type Prompt =
  | { readonly text: string; readonly ids?: never }
  | { readonly ids: readonly number[]; readonly text?: never };

/** How a request fits the context window of the model. */
export type Fit = { readonly promptIds: readonly number[]; readonly tokensMax: number };

/**
 * Tokenizes a prompt and fits it and its answer into the window; throws vLLM's refusal otherwise.
 *
 * vLLM tokenizes at most one token more than fits, and counts characters before that, so its
 * message about a text names a lower bound, not the prompt's size.
 *
 * @param options.tokensMax tokens asked for; undefined means the rest of the window
 */
export function fitContext(options: {
  prompt: Prompt;
  tokensMax: number | undefined;
  /** The request's name for `tokensMax`. */
  tokensMaxParam: string;
  modelLenMax: number;
}): Fit {
  const { prompt, tokensMax, tokensMaxParam, modelLenMax } = options;
  const outputTokens = tokensMax ?? 0;
  if (outputTokens > modelLenMax) {
    throw badValue({
      message: `${tokensMaxParam}=${outputTokens} cannot be greater than max_model_len=max_total_tokens=${modelLenMax}. Please request fewer output tokens.`,
      param: tokensMaxParam,
      value: outputTokens,
    });
  }
  const roomTokens = modelLenMax - outputTokens;
  const promptIds = tokenize({ prompt, roomTokens, outputTokens, modelLenMax });
  if (promptIds.length > roomTokens) {
    const atLeast = prompt.text !== undefined;
    const tokens = atLeast ? roomTokens + 1 : promptIds.length;
    throw overflow({ tokens, atLeast, outputTokens, modelLenMax });
  }
  if (tokensMax === undefined && promptIds.length >= modelLenMax) {
    throw badValue({
      message: `Input length (${promptIds.length}) exceeds model's maximum context length (${modelLenMax}).`,
      param: 'input_tokens',
      value: promptIds.length,
    });
  }
  return { promptIds, tokensMax: tokensMax ?? modelLenMax - promptIds.length };
}

function tokenize(options: {
  prompt: Prompt;
  roomTokens: number;
  outputTokens: number;
  modelLenMax: number;
}): readonly number[] {
  const { prompt, roomTokens } = options;
  if (prompt.text === undefined) return prompt.ids;
  const charsMax = roomTokens * TOKEN_CHARS_MAX;
  if (prompt.text.length > charsMax) {
    const chars = prompt.text.length;
    throw badValue({
      message: `This model's maximum context length is ${options.modelLenMax} tokens. However, you requested ${options.outputTokens} output tokens and your prompt contains ${chars} characters (more than ${charsMax} characters, which is the upper bound for ${roomTokens} input tokens). Please reduce the length of the input prompt or the number of requested output tokens.`,
      param: 'input_text',
      value: chars,
    });
  }
  return encode(prompt.text);
}

/** The wording since vLLM 0.17. */
function overflow(counts: {
  tokens: number;
  atLeast: boolean;
  outputTokens: number;
  modelLenMax: number;
}): RequestError {
  const { tokens, outputTokens, modelLenMax } = counts;
  const bound = counts.atLeast ? 'at least ' : '';
  return badValue({
    message: `This model's maximum context length is ${modelLenMax} tokens. However, you requested ${outputTokens} output tokens and your prompt contains ${bound}${tokens} input tokens, for a total of ${bound}${tokens + outputTokens} tokens. Please reduce the length of the input prompt or the number of requested output tokens.`,
    param: 'input_tokens',
    value: tokens,
  });
}
