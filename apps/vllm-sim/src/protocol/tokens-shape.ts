import type { TokenLogprobs } from '../text/token-logprobs.ts';
import { type AnswerShape, DONE } from './answer-shape.ts';

/**
 * The answers of /inference/v1/generate: token ids and no text. Read in one version of vLLM's
 * `entrypoints/serve/disagg/{protocol,serving}.py`, where the type of a whole answer has no usage;
 * whether that of 0.28 has one, and which id it carries, is not verified.
 */
export function createTokensShape(options: {
  requestId: string;
  topLogprobs: number | undefined;
  includeUsage: boolean;
  continuousUsage: boolean;
}): AnswerShape {
  const { requestId, topLogprobs } = options;

  function logprobsField(tokens: readonly TokenLogprobs[]): object | null {
    return topLogprobs === undefined ? null : { content: tokens.map(entryOf) };
  }

  function entryOf(entries: TokenLogprobs): object {
    const top = entries.slice(0, Math.max(1, topLogprobs ?? 0));
    return { ...named(entries[0]), top_logprobs: top.map(named) };
  }

  return {
    opening: () => [],
    chunks({ index, output, usage }) {
      // So an answer that is aborted between two tokens has no finish reason at all.
      if (output.tokenIds.length === 0) return [];
      const choice = {
        index,
        logprobs: logprobsField(output.logprobs ?? []),
        finish_reason: output.finish?.reason ?? null,
        token_ids: output.tokenIds,
      };
      const chunk = {
        request_id: requestId,
        choices: [choice],
        usage: options.continuousUsage ? usage : null,
      };
      return [JSON.stringify(chunk)];
    },
    closing(usage) {
      const usageChunk = JSON.stringify({ request_id: requestId, choices: [], usage });
      return options.includeUsage ? [usageChunk, DONE] : [DONE];
    },
    body(choices) {
      return {
        request_id: requestId,
        choices: choices.map(({ index, logprobs, finish, tokenIds }) => ({
          index,
          logprobs: logprobsField(logprobs),
          finish_reason: finish.reason,
          token_ids: tokenIds,
        })),
        prompt_logprobs: null,
        kv_transfer_params: null,
      };
    },
  };
}

/** A token by its id; its bytes stay at their default. */
function named({ id, logprob }: TokenLogprobs[number]): object {
  return { token: `token_id:${id}`, logprob, bytes: null };
}
