import * as fc from 'fast-check';
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

describe('a plain chunk', () => {
  const odd = fc.constantFrom(
    undefined,
    null,
    '',
    'a',
    0,
    -1,
    1.5,
    2 ** 60,
    [],
    {},
    [1],
    ['a'],
    true,
  );
  /** Mostly as engines send it, so that most chunks are plain, or nearly. */
  const like = <T>(usual: T) =>
    fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: odd });
  const usage = fc.record({
    prompt_tokens: like(20),
    completion_tokens: like(3),
    total_tokens: like(23),
  });
  const calls = fc.constantFrom([{ index: 0, id: 'call' }], 'none', []);
  const chunk = fc.record({
    error: like(null),
    usage: fc.oneof(usage, odd),
    choice: fc.record({
      index: like(0),
      delta: fc.record({
        content: like('text'),
        role: like('assistant'),
        reasoning: like(undefined),
        tool_calls: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, calls),
      }),
      text: like(undefined),
      logprobs: like(null),
      token_ids: fc.oneof(fc.array(fc.nat()), odd),
      finish_reason: like(null),
      stop_reason: like(null),
    }),
  });

  it('says what its schema says of it', () => {
    fc.assert(
      fc.property(chunk, ({ choice, ...rest }) => {
        const read = parseChunk(JSON.stringify({ ...rest, choices: [choice] }));
        const beside = parseChunk(JSON.stringify({ ...rest, choices: [choice, { index: 1 }] }));
        const alone = beside.kind === 'chunk' ? { choices: beside.choices.slice(0, 1) } : {};
        expect(read).toEqual({ ...beside, ...alone });
      }),
      { numRuns: 300 },
    );
  });
});
