import type { TokenLogprobs } from '../text/token-logprobs.ts';
import { decode } from '../tokenizer.ts';

/** Log probabilities as the chat route prints them: the token taken, and the `top` likeliest ones. */
export function chatLogprobs(tokens: readonly TokenLogprobs[], top: number): object {
  const content = tokens.map((entries) => ({
    ...chatEntry(entries[0]),
    top_logprobs: entries.slice(0, top).map(chatEntry),
  }));
  return { content };
}

function chatEntry({ id, logprob }: TokenLogprobs[number]): object {
  const token = decode([id]);
  // The bytes of the text, as in vLLM: those of U+FFFD for a token that is part of a character.
  return { token, logprob, bytes: [...new TextEncoder().encode(token)] };
}

/**
 * Log probabilities as the completions route prints them. The first token of a prompt has none.
 *
 * @param textOffset where the first of these tokens stands in the answer's text
 */
export function completionLogprobs(
  tokens: readonly (TokenLogprobs | { readonly onlyId: number })[],
  textOffset: number,
): object {
  const texts = tokens.map((entry) => decode(['onlyId' in entry ? entry.onlyId : entry[0].id]));
  let offset = textOffset;
  const offsets = texts.map((text) => {
    const at = offset;
    offset += text.length;
    return at;
  });
  return {
    text_offset: offsets,
    token_logprobs: tokens.map((entry) => ('onlyId' in entry ? null : entry[0].logprob)),
    tokens: texts,
    top_logprobs: tokens.map((entry) => ('onlyId' in entry ? null : byText(entry))),
  };
}

function byText(entries: TokenLogprobs): object {
  return Object.fromEntries(entries.map(({ id, logprob }) => [decode([id]), logprob]));
}

/** How many tokens beside the one taken are to be listed. */
export function rivalsOf(top: number | undefined): number | undefined {
  return top === undefined ? undefined : Math.max(0, top - 1);
}
