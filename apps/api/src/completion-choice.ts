/** One choice of a completion, in the shape of OpenAI's older surface. */
import type { FinishReason, Logprobs } from '@qarr/router-core';

export interface CompletionParts {
  readonly index: number;
  readonly text: string;
  readonly logprobs?: Logprobs | undefined;
  /** Where the text begins in the whole of the choice, in characters as Python counts them. */
  readonly offset: number;
  /** Null while it goes on. */
  readonly finishReason: FinishReason | null;
}

export function completionChoice({
  index,
  text,
  logprobs,
  offset,
  finishReason,
}: CompletionParts): object {
  return {
    text,
    index,
    logprobs: logprobs === undefined ? null : sideBySide(logprobs, offset),
    finish_reason: finishReason,
  };
}

/** Code points: that is what clients of this surface cut texts by. */
export function charactersOf(text: string): number {
  return Array.from(text).length;
}

/** Four lists, an entry per token in each; the likeliest tokens by their text. */
function sideBySide({ content }: Logprobs, begin: number): object {
  let offset = begin;
  const offsets = content.map(({ token }) => {
    const at = offset;
    offset += charactersOf(token);
    return at;
  });
  return {
    tokens: content.map(({ token }) => token),
    token_logprobs: content.map(({ logprob }) => logprob),
    top_logprobs: content.map(({ top_logprobs: likeliest }) =>
      Object.fromEntries(likeliest.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset: offsets,
  };
}
