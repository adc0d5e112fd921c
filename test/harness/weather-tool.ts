/** A tool, and a call of it, as OpenAI's official client sends and gets them. */
import type { ToolCall } from '@qarr/router-core';

export const messages = [{ role: 'user' as const, content: 'What is the weather in Oslo?' }];
export const parameters = {
  type: 'object',
  properties: { city: { type: 'string' }, unit: { enum: ['C', 'F', null], default: null } },
  required: ['city'],
};
export const weather = {
  type: 'function' as const,
  function: { name: 'get_weather', description: 'The weather', parameters, strict: true },
};
export const call: ToolCall = {
  id: 'call_1',
  type: 'function',
  function: { name: 'get_weather', arguments: '{"city":"Oslo"}' },
};
/** What is known of one token of an answer. */
export const token = (text: string) => ({
  token: text,
  logprob: -0.5,
  bytes: null,
  top_logprobs: [],
});

/** A tool of the client that remembers what it was called with. */
export function runnableWeather(calls: unknown[]) {
  return {
    type: 'function' as const,
    function: {
      name: 'get_weather',
      description: 'The weather',
      parameters,
      parse: JSON.parse,
      function: (input: unknown) => {
        calls.push(input);
        return 'Rain';
      },
    },
  };
}
