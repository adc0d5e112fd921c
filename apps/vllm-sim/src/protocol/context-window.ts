import type { Persona } from '../personas.ts';
import { encode, TOKEN_CHARS_MAX } from '../tokenizer.ts';
import { badValue, type RequestError } from './request-error.ts';

/** A prompt as it came: text, or token ids that the caller made. */
export type Prompt =
  | { readonly text: string; readonly ids?: never }
  | { readonly ids: readonly number[]; readonly text?: never };

/** How a request fits the context window of the model. */
export type Fit = { readonly promptIds: readonly number[]; readonly tokensMax: number };

type FitOptions = {
  readonly prompt: Prompt;
  /** Tokens asked for; undefined means the rest of the window. */
  readonly tokensMax: number | undefined;
  /** Only so many of the prompt's last tokens count; -1 means as many as fit. */
  readonly promptTokensMax?: number | undefined;
  readonly modelLenMax: number;
  readonly wording: Persona['contextOverflow'];
};

/** Tokenizes a prompt and fits it and its answer into the window; throws the server's refusal otherwise. */
export function fitContext(options: FitOptions): Fit {
  const { prompt, promptTokensMax, modelLenMax, tokensMax } = options;
  if (promptTokensMax !== undefined) {
    const roomTokens = modelLenMax - (tokensMax ?? 1);
    const kept = keptTokens(promptTokensMax, { roomTokens, modelLenMax });
    const ids = prompt.ids ?? encode(prompt.text);
    return fitContext({
      ...options,
      prompt: { ids: ids.slice(-kept) },
      promptTokensMax: undefined,
    });
  }
  return options.wording === 'requested' ? fitByRequest(options) : fitByTotal(options);
}

function keptTokens(
  promptTokensMax: number,
  window: { roomTokens: number; modelLenMax: number },
): number {
  if (promptTokensMax === -1) return Math.max(1, window.roomTokens);
  if (promptTokensMax < 1) {
    throw badValue({
      message: `truncate_prompt_tokens must be at least 1 or -1, got ${promptTokensMax}.`,
      param: 'truncate_prompt_tokens',
      value: promptTokensMax,
    });
  }
  if (promptTokensMax <= window.modelLenMax) return promptTokensMax;
  throw badValue({
    message: `truncate_prompt_tokens value (${promptTokensMax}) is greater than max_model_len (${window.modelLenMax}). Please, select a smaller truncation size.`,
  });
}

/**
 * The wording since vLLM 0.17. It tokenizes at most one token more than fits, and counts characters
 * before that, so its message about a text names a lower bound, not the prompt's size.
 */
function fitByTotal({ prompt, tokensMax, modelLenMax }: FitOptions): Fit {
  const outputTokens = tokensMax ?? 0;
  if (outputTokens > modelLenMax) {
    throw badValue({
      message: `max_tokens=${outputTokens} cannot be greater than max_model_len=max_total_tokens=${modelLenMax}. Please request fewer output tokens.`,
      param: 'max_tokens',
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

/** The wording up to vLLM 0.10.0, which calls every prompt "the messages". */
function fitByRequest({ prompt, tokensMax, modelLenMax }: FitOptions): Fit {
  const promptIds = prompt.ids ?? encode(prompt.text);
  const window = `This model's maximum context length is ${modelLenMax} tokens. However, you requested`;
  const tokens = promptIds.length;
  if (tokensMax === undefined) {
    if (tokens < modelLenMax) return { promptIds, tokensMax: modelLenMax - tokens };
    throw badValue({
      message: `${window} ${tokens} tokens in the messages, Please reduce the length of the messages.`,
    });
  }
  if (tokens + tokensMax <= modelLenMax) return { promptIds, tokensMax };
  throw badValue({
    message: `${window} ${tokens + tokensMax} tokens (${tokens} in the messages, ${tokensMax} in the completion). Please reduce the length of the messages or completion.`,
  });
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
