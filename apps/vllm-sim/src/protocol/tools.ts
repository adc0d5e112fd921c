import type { Persona } from '../personas.ts';
import { ANY_OBJECT, type JsonShape } from '../text/json-shape.ts';
import type { Script } from '../text/script.ts';
import type { ChatMessage } from './chat-template.ts';
import { type FieldReader, isObject, isString } from './fields.ts';
import { bodyError } from './request-error.ts';
import { shapeOf } from './structured-output.ts';

type Tool = { readonly name: string; readonly parameters: JsonShape };

/** Which tool is to be called: the model's own choice, any, none, or one by name. */
type ToolChoice = 'auto' | 'required' | 'none' | { readonly name: string };

export type ToolFields = { readonly tools: readonly Tool[]; readonly choice: ToolChoice };

/** The call that the answer will be, and how the request asked for it. */
export type ToolCall = {
  readonly script: Extract<Script, { kind: 'tool_call' }>;
  readonly asked: 'auto' | 'required' | 'named';
};

const USAGE = 'Correct usage: `{"type": "function", "function": {"name": "my_function"}}`';

/** @throws RequestError with vLLM's check_tool_usage's words */
export function readTools(reader: FieldReader, persona: Persona): ToolFields {
  const value = reader.raw('tools') ?? undefined;
  const choice = reader.raw('tool_choice') ?? undefined;
  if (Array.isArray(value) && value.length === 0) {
    throw bodyError({
      message:
        '`tools` must not be an empty array. Either provide at least one tool or omit the field entirely.',
      param: 'tools',
    });
  }
  const tools = value === undefined ? [] : toolsOf(value);
  return { tools, choice: choiceOf(choice, tools, persona) };
}

/**
 * Whether the answer is a tool call, which one, and with what arguments. A model would weigh the
 * conversation; here an open choice calls a tool when the last message is the user's and names one,
 * or has the word "tool" in it. After a tool's result it therefore answers with text.
 */
export function decideToolCall(
  { tools, choice }: ToolFields,
  messages: readonly ChatMessage[],
): ToolCall | undefined {
  if (choice === 'none') return undefined;
  const last = messages.at(-1);
  const asking = last?.role === 'user' ? last.text : '';
  const named = tools.find(({ name }) => asking.includes(name));
  const [first] = tools;
  if (choice === 'auto') {
    const called = named ?? (/\btools?\b/i.test(asking) ? first : undefined);
    return called && { asked: 'auto', script: scriptOf(called, { markup: true }) };
  }
  if (choice === 'required') {
    const called = named ?? first;
    return called && { asked: 'required', script: scriptOf(called, { markup: true }) };
  }
  const called = tools.find(({ name }) => name === choice.name);
  return called && { asked: 'named', script: scriptOf(called, { markup: false }) };
}

function scriptOf({ name, parameters }: Tool, { markup }: { markup: boolean }): ToolCall['script'] {
  return { kind: 'tool_call', name, parameters, markup };
}

function toolsOf(value: unknown): readonly Tool[] {
  if (!Array.isArray(value))
    throw bodyError({ message: '`tools` must be a list.', param: 'tools' });
  return value.map((tool) => {
    const declared: unknown = isObject(tool) ? tool['function'] : undefined;
    const name = isObject(declared) ? declared['name'] : undefined;
    if (!isObject(declared) || !isString(name) || name === '') {
      throw bodyError({ message: 'Each tool needs a `function` with a `name`.', param: 'tools' });
    }
    const parameters = declared['parameters'] ?? { type: 'object', properties: {} };
    const shape = shapeOf(parameters, 'tools');
    // The arguments of a call are an object, whatever the schema leaves open.
    return { name, parameters: shape.kind === 'text' ? ANY_OBJECT : shape };
  });
}

function choiceOf(choice: unknown, tools: readonly Tool[], persona: Persona): ToolChoice {
  if (choice === undefined) return tools.length === 0 ? 'none' : 'auto';
  if (choice === 'none') return 'none';
  if (tools.length === 0) throw refusal('When using `tool_choice`, `tools` must be set.');
  if (choice === 'auto') return choice;
  if (choice === 'required' && persona.requiredToolChoice) return choice;
  if (!isObject(choice)) {
    throw refusal(
      persona.requiredToolChoice
        ? `Invalid value for \`tool_choice\`: ${JSON.stringify(choice)}! Only named tools, "none", "auto" or "required" are supported.`
        : '`tool_choice` must either be a named tool, "auto", or "none".',
    );
  }
  const named = choice['function'];
  if (!isObject(named)) {
    throw refusal(
      `Invalid value for \`function\`: \`${JSON.stringify(named)}\` in \`tool_choice\`! ${USAGE}`,
    );
  }
  const name = named['name'];
  if (!isString(name) || name === '') {
    throw refusal(`Expected field \`name\` in \`function\` in \`tool_choice\`! ${USAGE}`);
  }
  if (tools.some((tool) => tool.name === name)) return { name };
  throw refusal('The tool specified in `tool_choice` does not match any of the specified `tools`');
}

function refusal(message: string) {
  return bodyError({ message, param: 'tool_choice' });
}
