import { expect, test } from 'vitest';
import { findPersona } from '../personas.ts';
import { ANY_OBJECT } from '../text/json-shape.ts';
import { createChatShape } from './chat-shape.ts';
import { usageOf } from './usage.ts';

const persona = findPersona('current');
if (persona === undefined) throw new Error('no persona current');
const shape = createChatShape({
  head: { id: 'chatcmpl-r1', created: 0, model: 'qarr-sim', persona },
  role: 'assistant',
  echoText: '',
  promptIds: [600],
  choices: 1,
  toolCall: {
    asked: 'auto',
    script: { kind: 'tool_call', name: 'search', parameters: ANY_OBJECT, markup: true },
  },
  topLogprobs: undefined,
  returnTokenIds: true,
  includeUsage: false,
  continuousUsage: false,
});

test('an output of several tokens becomes several deltas, and its ids are told once', () => {
  const text = '<tool_call>\n{"name": "search", "arguments": {"title": "x"}}\n</tool_call>';
  const chunks = shape.chunks({
    index: 0,
    output: { tokenIds: [7, 8, 9], text, finish: { reason: 'stop', stopReason: null } },
    first: true,
    usage: usageOf({ promptTokens: 1, completionTokens: 3 }),
  });
  const choices = chunks.map((chunk) => JSON.parse(chunk).choices[0]);
  expect(choices).toMatchObject([
    {
      delta: { tool_calls: [{ function: { name: 'search', arguments: '' } }] },
      finish_reason: null,
      token_ids: [7, 8, 9],
    },
    {
      delta: { tool_calls: [{ index: 0, function: { arguments: '{"title": "x"}' } }] },
      finish_reason: 'tool_calls',
      token_ids: [],
    },
  ]);
});
