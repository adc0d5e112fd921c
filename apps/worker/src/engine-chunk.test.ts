import { describe, expect, it } from 'vitest';
import { parseChunk } from './engine-chunk.ts';

/** The log probabilities that are read of the first choice. */
function logprobsOf(logprobs: unknown): unknown {
  const chunk = parseChunk(JSON.stringify({ choices: [{ index: 0, text: 'ab', logprobs }] }));
  return chunk.kind === 'chunk' ? chunk.choices[0]?.delta.logprobs : chunk.kind;
}

describe('log probabilities of a completion', () => {
  const lists = {
    text_offset: [0, 1],
    tokens: ['a', 'b'],
    token_logprobs: [-1, -2],
    top_logprobs: [{ a: -1, x: -3 }, { b: -2 }],
  };

  it('become an entry for each token', () => {
    expect(logprobsOf(lists)).toEqual({
      content: [
        {
          token: 'a',
          logprob: -1,
          top_logprobs: [
            { token: 'a', logprob: -1 },
            { token: 'x', logprob: -3 },
          ],
        },
        { token: 'b', logprob: -2, top_logprobs: [{ token: 'b', logprob: -2 }] },
      ],
    });
  });

  it.each([undefined, null, [null, null]])('may have none beside: %j', (top_logprobs) => {
    expect(logprobsOf({ ...lists, top_logprobs })).toMatchObject({
      content: [
        { token: 'a', top_logprobs: [] },
        { token: 'b', top_logprobs: [] },
      ],
    });
  });

  it.each([
    { tokens: ['a'] },
    { token_logprobs: [null, -1] },
    { tokens: 'ab' },
    { top_logprobs: [{ a: 'x' }] },
    // More than readers of the log take.
    {
      top_logprobs: [Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`t${at}`, -1])), {}],
    },
  ])('count for nothing where they cannot be read: %j', (fields) => {
    expect(logprobsOf({ ...lists, ...fields })).toBeUndefined();
  });
});
