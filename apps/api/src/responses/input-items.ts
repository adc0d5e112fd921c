/** What a response was asked, made of what its engine was sent: no text is kept twice. */
import type { EngineMessage } from '@qarr/router-core';
import { inputIdOf } from './response-ids.ts';
import type { ResponseRecord } from './response-object.ts';

interface InputItem {
  readonly id: string;
  readonly type: string;
}

/** Without the conversation that it goes on from; in their order. */
export function inputItems({ id: jobId, request, response }: ResponseRecord): InputItem[] {
  const { messages } = request;
  const first = Math.max(response.isInstructed ? 1 : 0, messages.length - response.inputMessages);
  return messages
    .slice(first)
    .flatMap(itemsOfMessage)
    .map((item, index) => ({ id: inputIdOf(jobId, index), ...item }));
}

function itemsOfMessage(message: EngineMessage): { type: string; [field: string]: unknown }[] {
  const { role, content } = message;
  if (role === 'tool') {
    const { tool_call_id: callId } = message;
    return [{ type: 'function_call_output', call_id: callId, output: content, ...DONE }];
  }
  const calls = role === 'assistant' ? (message.tool_calls ?? []) : [];
  const part = role === 'assistant' ? { type: 'output_text', annotations: [] } : INPUT_TEXT;
  const said =
    content === '' && calls.length > 0
      ? []
      : [{ type: 'message', role, content: [{ ...part, text: content }], ...DONE }];
  return [
    ...said,
    ...calls.map((call) => {
      const { name, arguments: json } = call.function;
      return { type: 'function_call', call_id: call.id, name, arguments: json, ...DONE };
    }),
  ];
}

const INPUT_TEXT = { type: 'input_text' };
const DONE = { status: 'completed' };
