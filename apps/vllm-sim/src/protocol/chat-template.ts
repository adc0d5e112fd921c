import { isObject, isString } from './fields.ts';
import { badValue, bodyError } from './request-error.ts';

export type ChatMessage = { readonly role: string; readonly text: string };

/**
 * The text of a conversation in ChatML. With `continueFinal` the last message stays open, so that
 * the model goes on in it; with `addGenerationPrompt` the assistant's turn is opened.
 */
export function renderChat(options: {
  messages: readonly ChatMessage[];
  /** The functions that the request offers, as they came. */
  tools: unknown;
  addGenerationPrompt: boolean;
  continueFinal: boolean;
}): string {
  const { addGenerationPrompt, continueFinal } = options;
  const messages = [...toolMessages(options.tools), ...options.messages];
  const turns = messages.map((message, index) => {
    const open = continueFinal && index === messages.length - 1;
    return `<|im_start|>${message.role}\n${message.text}${open ? '' : '<|im_end|>\n'}`;
  });
  return turns.join('') + (addGenerationPrompt ? '<|im_start|>assistant\n' : '');
}

function toolMessages(tools: unknown): readonly ChatMessage[] {
  if (!Array.isArray(tools) || tools.length === 0) return [];
  const signatures = tools.map((tool) => JSON.stringify(tool));
  return [{ role: 'system', text: `# Tools\n\n${signatures.join('\n')}` }];
}

/**
 * What `add_generation_prompt` and `continue_final_message` ask for. Both true in the request is a
 * schema error; left out, the first defaults to true, and then the template itself refuses.
 */
export function checkContinuation(options: {
  messages: readonly ChatMessage[];
  addGenerationPrompt: boolean | undefined;
  continueFinal: boolean;
}): void {
  const { messages, addGenerationPrompt, continueFinal } = options;
  if (!continueFinal) return;
  if (addGenerationPrompt === true) {
    throw bodyError({
      message: 'Cannot set both `continue_final_message` and `add_generation_prompt` to True.',
    });
  }
  if (addGenerationPrompt === undefined) {
    throw badValue({
      message:
        'continue_final_message and add_generation_prompt are not compatible. Use continue_final_message when you want the model to continue the final message, and add_generation_prompt when you want to add a header that will prompt it to start a new assistant message instead.',
    });
  }
  if (messages.at(-1)?.role !== 'assistant') {
    throw badValue({
      message: 'continue_final_message needs a final message of role `assistant`.',
    });
  }
}

/** Reads `messages`; returns a reason instead where one is malformed. */
export function readMessages(
  value: unknown,
): { messages: readonly ChatMessage[] } | { reason: string } {
  if (!Array.isArray(value)) return { reason: 'Input should be a valid list' };
  if (value.length === 0) {
    return { reason: 'List should have at least 1 item after validation, not 0' };
  }
  const messages: ChatMessage[] = [];
  for (const [index, message] of value.entries()) {
    if (!isObject(message) || !isString(message['role'])) {
      return { reason: `Message ${index} should be a dictionary with a role` };
    }
    const text = contentText(message['content']);
    if (text === undefined) {
      return { reason: `Content of message ${index} should be a string or a list of text parts` };
    }
    const calls = message['tool_calls'];
    messages.push({
      role: message['role'],
      text: Array.isArray(calls) && calls.length > 0 ? text + JSON.stringify(calls) : text,
    });
  }
  return { messages };
}

function contentText(content: unknown): string | undefined {
  if (content === undefined || content === null) return '';
  if (isString(content)) return content;
  if (!Array.isArray(content)) return undefined;
  const texts: string[] = [];
  for (const part of content) {
    const text = isObject(part) && part['type'] === 'text' ? part['text'] : part;
    if (!isString(text)) return undefined;
    texts.push(text);
  }
  return texts.join('\n');
}
