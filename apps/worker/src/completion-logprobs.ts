/**
 * The log probabilities of OpenAI's older surface, in the form that logs have: one entry per token.
 *
 * They come as four lists side by side. The offsets are left out: they follow from the tokens. Of the
 * bytes of a token nothing is told there.
 */
import { logprobsSchema } from '@qarr/router-core';
import { z } from 'zod';

/** A token with the likeliest ones at its place, by their text; itself among them. */
const likeliestSchema = z.record(z.string(), z.number()).nullish();

type Unchecked = z.input<typeof logprobsSchema>;

export const completionLogprobsSchema = z
  .object({
    tokens: z.array(z.string()),
    token_logprobs: z.array(z.number()),
    top_logprobs: z.array(likeliestSchema).nullish(),
  })
  .refine(({ tokens, token_logprobs: own }) => tokens.length === own.length)
  .transform(({ tokens, token_logprobs: own, top_logprobs: likeliest }): Unchecked => ({
    content: tokens.map((token, index) => ({
      token,
      logprob: own[index] ?? 0,
      top_logprobs: Object.entries(likeliest?.[index] ?? {}).map(([text, logprob]) => ({
        token: text,
        logprob,
      })),
    })),
  }))
  // Within the limits of all others.
  .pipe(logprobsSchema);
