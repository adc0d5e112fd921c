import type { AnswerDelta, SoFar } from '@qarr/job-store';
import { describe, expect, it } from 'vitest';
import { createAnswer } from './answer.ts';

function answerOf(deltas: readonly AnswerDelta[], soFar: SoFar | null = null) {
  const appended: AnswerDelta[] = [];
  const metrics = { firstToken() {}, nextToken() {} };
  const log = { append: (delta: AnswerDelta) => void appended.push(delta) };
  const answer = createAnswer({ soFar }, log, metrics);
  for (const delta of deltas) answer.add(delta);
  return { answer, appended };
}

const logprobOf = (token: string) => ({ token, logprob: -1, bytes: null, top_logprobs: [] });

describe('an answer', () => {
  it('is published as it comes, and collected', () => {
    const deltas = [
      { text: 'Hel', tokenIds: [1] },
      { text: 'lo', reasoning: 'so' },
    ];
    const { answer, appended } = answerOf(deltas);
    expect(appended).toEqual(deltas);
    expect(answer.result(['stop'])).toEqual({
      text: 'Hello',
      reasoning: 'so',
      finish_reason: 'stop',
      continued: 0,
    });
  });

  it('begins with what was published before it', () => {
    const soFar = { text: 'Hel', tokenIds: null, hasMore: false, continued: 2 };
    const { answer } = answerOf([{ text: 'lo' }], soFar);
    expect(answer.hasBegun).toBe(true);
    expect(answer.result(['length'])).toMatchObject({ text: 'Hello', continued: 2 });
  });

  it('has not begun before a word of it was seen', () => {
    expect(answerOf([{ text: '', tokenIds: [1] }]).answer.hasBegun).toBe(false);
    expect(answerOf([{ text: 'a' }]).answer.hasBegun).toBe(true);
  });

  it('joins the pieces of tool calls', () => {
    const { answer } = answerOf([
      {
        text: '',
        toolCalls: [
          { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } },
        ],
      },
      { text: '', toolCalls: [{ index: 0, function: { arguments: '{"x"' } }] },
      { text: '', toolCalls: [{ index: 1, id: 'b', function: { name: 'g', arguments: '{}' } }] },
      { text: '', toolCalls: [{ index: 0, function: { arguments: ':1}' } }] },
    ]);
    expect(answer.result(['tool_calls']).tool_calls).toEqual([
      { id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } },
      { id: 'b', type: 'function', function: { name: 'g', arguments: '{}' } },
    ]);
  });

  it('has no holes where an engine leaves a number out', () => {
    const { answer } = answerOf([
      { text: '', toolCalls: [{ index: 7, id: 'b', function: { name: 'g' } }] },
      { text: '', toolCalls: [{ index: 2, id: 'a', function: { name: 'f' } }] },
    ]);
    expect(answer.result(['tool_calls']).tool_calls?.map(({ id }) => id)).toEqual(['a', 'b']);
  });

  it('of several choices holds each, and the first one at the top', () => {
    const { answer } = answerOf([
      { text: 'a', logprobs: { content: [logprobOf('a')] } },
      { text: 'x', index: 1 },
      { text: 'b', logprobs: { content: [logprobOf('b')] } },
    ]);
    const first = {
      text: 'ab',
      logprobs: { content: [logprobOf('a'), logprobOf('b')] },
      finish_reason: 'stop',
    };
    expect(answer.result(['stop', 'length'])).toEqual({
      ...first,
      choices: [first, { text: 'x', finish_reason: 'length' }],
      continued: 0,
    });
  });
});
