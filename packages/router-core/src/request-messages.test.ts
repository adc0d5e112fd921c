import { describe, expect, it } from 'vitest';
import { messagesSchema, textOf } from './request-messages.ts';

const call = (name: string, json = '{}') => ({
  id: 'call_1',
  type: 'function',
  function: { name, arguments: json },
});
const asked = { role: 'assistant', content: null, tool_calls: [call('f', '{"a":1}')] };
const answered = { role: 'tool', content: '42', tool_call_id: 'call_1' };

/** The path and the words of the first problem of a message; undefined when there is none. */
function problem(message: unknown): string | undefined {
  const issue = messagesSchema.safeParse([message]).error?.issues[0];
  return issue && `${issue.path.slice(1).map(String).join('.')}: ${issue.message}`;
}

describe('a message', () => {
  it.each<[string, object]>([
    ['of a user', { role: 'user', content: 'Hi' }],
    ['in parts', { role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
    ['of an assistant that only calls', asked],
    ['of an assistant that speaks and calls', { ...asked, content: 'Let me see.' }],
    ['of an assistant that calls, without content', { role: 'assistant', tool_calls: [call('f')] }],
    ['of an assistant that calls nothing', { role: 'assistant', content: 'x', tool_calls: [] }],
    ['of a tool', answered],
    ['of a tool with nothing to say', { ...answered, content: '' }],
    ['of a tool in parts', { ...answered, content: [{ type: 'text', text: '42' }] }],
    [
      'about a tool that does not exist',
      { ...asked, tool_calls: [call('no.such tool', 'not JSON')] },
    ],
  ])('%s is taken', (_name, message) => {
    expect(problem(message)).toBeUndefined();
  });

  it('of an earlier answer is taken as official clients send it back', () => {
    const answer = { role: 'assistant', content: 'Hello', refusal: null, annotations: [] };
    const nulls = { audio: null, function_call: null, tool_calls: null, tool_call_id: null };
    const [message] = messagesSchema.parse([{ ...answer, ...nulls }]);
    expect(message).not.toHaveProperty('annotations');
  });

  it.each<[string, unknown, string]>([
    ['a role of another kind', { role: 'function', content: 'x' }, 'role: must be "system"'],
    ['no content', { role: 'user' }, 'content: must be a string'],
    ['no content and no call', { role: 'assistant', tool_calls: [] }, 'content: must be a string'],
    [
      'an image',
      { role: 'user', content: [{ type: 'image_url' }] },
      'content: must be a string or',
    ],
    [
      'a part without text',
      { role: 'user', content: [{ type: 'text' }] },
      'content: must be a string or',
    ],
    [
      'too many parts',
      { role: 'user', content: Array.from({ length: 1025 }, () => ({ type: 'text', text: 'x' })) },
      'content: must be',
    ],
    [
      'a long name',
      { role: 'user', content: 'x', name: 'n'.repeat(257) },
      'name: must have at most',
    ],
    ['a text', 'Hi', ': must be an object'],
    ['an audio', { role: 'assistant', content: '', audio: { id: 'x' } }, 'audio: is not supported'],
    [
      'a call of old',
      { role: 'assistant', content: '', function_call: {} },
      'function_call: is not supported',
    ],
    [
      'calls of a user',
      { ...asked, role: 'user' },
      'tool_calls: may only be in an assistant message',
    ],
    ['a result of no call', { role: 'tool', content: 'x' }, 'tool_call_id: must name the call'],
    [
      'a call without id',
      { ...asked, tool_calls: [{ ...call('f'), id: '' }] },
      'tool_calls.0.id: must not be empty',
    ],
    [
      'a call of another kind',
      { ...asked, tool_calls: [{ ...call('f'), type: 'custom' }] },
      'tool_calls.0.type: must be "function"',
    ],
    [
      'a call of nothing',
      { ...asked, tool_calls: [{ id: '1', type: 'function' }] },
      'tool_calls.0.function: is required',
    ],
    [
      'arguments that are no text',
      { ...asked, tool_calls: [{ ...call('f'), function: { name: 'f', arguments: {} } }] },
      'tool_calls.0.function.arguments: must be a string',
    ],
    [
      'too many calls',
      { ...asked, tool_calls: Array(129).fill(call('f')) },
      'tool_calls: must hold at most 128',
    ],
    [
      'a placeholder',
      { role: 'user', content: 'a <|image_pad|>' },
      'content: must not hold the placeholder',
    ],
    [
      'a placeholder in a part',
      { role: 'tool', tool_call_id: '1', content: [{ type: 'text', text: '<|video_pad|>' }] },
      'content: must not hold',
    ],
    [
      'a placeholder as a name',
      { role: 'user', content: 'x', name: '<|vision_start|>' },
      'name: must not hold',
    ],
    [
      'a placeholder as the name of a call',
      { ...answered, tool_call_id: '<|image_pad|>' },
      'tool_call_id: must not hold the placeholder',
    ],
    [
      'a placeholder that a call hides',
      { ...asked, tool_calls: [call('f', '{"a":"\\u003c\\u007Cimage_p\\u0061d|\\u003e"}')] },
      'tool_calls: must not hold',
    ],
  ])('is refused with %s', (_name, message, expected) => {
    expect(problem(message)).toContain(expected);
  });
});

it('has a text whatever the form of its content', () => {
  const parts = [
    { type: 'text' as const, text: 'a' },
    { type: 'text' as const, text: 'b' },
  ];
  expect([undefined, null, '', 'a', parts].map(textOf)).toEqual(['', '', '', 'a', 'a\nb']);
});
