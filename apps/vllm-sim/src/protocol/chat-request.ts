import type { Persona } from '../personas.ts';
import type { Script } from '../text/script.ts';
import { checkContinuation, readMessages, renderChat } from './chat-template.ts';
import { createFieldReader, type JsonObject } from './fields.ts';
import { heededBody, rejectUnknownFields } from './known-fields.ts';
import { readChatLogprobs } from './logprob-fields.ts';
import { checkSamplingFields, readSamplingFields, type SamplingFields } from './sampling-fields.ts';
import { readSchedulingFields, type SchedulingFields } from './scheduling-fields.ts';
import { checkStreamFields, readStreamFields, type StreamFields } from './stream-fields.ts';
import { readStructuredOutput } from './structured-output.ts';
import { decideToolCall, readTools, type ToolCall } from './tools.ts';
import { refuseUnsupported } from './unsupported-fields.ts';

/** A validated body of POST /v1/chat/completions. */
export type ChatRequest = {
  readonly model: string | undefined;
  /** The conversation, rendered by the chat template. */
  readonly promptText: string;
  /** The role of the answer: that of the message it continues, else `assistant`. */
  readonly role: string;
  /** What the answer repeats of the conversation before it goes on. */
  readonly echoText: string;
  readonly tokensMax: number | undefined;
  /** Only so many of the prompt's last tokens count. */
  readonly promptTokensMax: number | undefined;
  readonly sampling: SamplingFields;
  readonly streaming: StreamFields;
  readonly scheduling: SchedulingFields;
  /** What the text has to be, a tool call among it; undefined for free text. */
  readonly script: Script | undefined;
  readonly toolCall: ToolCall | undefined;
  readonly topLogprobs: number | undefined;
  readonly returnTokenIds: boolean;
  readonly requestId: string | undefined;
};

/** @throws RequestError as the server would refuse the body, or for what is not simulated */
export function parseChatRequest(given: JsonObject, persona: Persona): ChatRequest {
  const body = heededBody(given, { persona, kind: 'chat' });
  const reader = createFieldReader(body);
  const read = readMessages(reader.raw('messages'));
  if ('reason' in read) {
    const missing = body['messages'] === undefined;
    reader.reject(
      'messages',
      missing
        ? { type: 'missing', message: 'Field required' }
        : { type: 'list_type', message: read.reason },
    );
  }
  const fields = {
    model: reader.string('model'),
    sampling: readSamplingFields(reader, persona),
    streaming: readStreamFields(reader, persona),
    scheduling: readSchedulingFields(reader),
    promptTokensMax: reader.integer('truncate_prompt_tokens'),
    returnTokenIds: persona.tokenIds && (reader.boolean('return_token_ids') ?? false),
    requestId: reader.string('request_id'),
  };
  const completionTokensMax = reader.integer('max_completion_tokens');
  const tokensMax = reader.integer('max_tokens');
  const echo = reader.boolean('echo') ?? false;
  const addGenerationPrompt = reader.boolean('add_generation_prompt');
  const continueFinal = reader.boolean('continue_final_message') ?? false;
  rejectUnknownFields(reader, { body, persona, kind: 'chat' });
  reader.finish();
  const messages = 'messages' in read ? read.messages : [];

  checkStreamFields(reader);
  refuseUnsupported(body);
  const topLogprobs = readChatLogprobs(reader);
  const tools = readTools(reader, persona);
  const structured = readStructuredOutput(reader, persona);
  checkSamplingFields(fields.sampling, reader);
  checkContinuation({ messages, addGenerationPrompt, continueFinal });

  const role = addGenerationPrompt === false ? (messages.at(-1)?.role ?? 'assistant') : 'assistant';
  const repeats = echo || (continueFinal && persona.echoesContinuation);
  const last = messages.at(-1);
  const toolCall = decideToolCall(tools, messages);
  const structuredFirst = structured !== undefined && toolCall?.asked === 'auto';
  const called = structuredFirst ? undefined : toolCall;
  return {
    ...fields,
    promptText: renderChat({
      messages,
      tools: reader.raw('tools'),
      addGenerationPrompt: addGenerationPrompt ?? true,
      continueFinal,
    }),
    role,
    echoText: repeats && last?.role === role ? last.text : '',
    tokensMax:
      persona.zeroCompletionTokens === 'counts'
        ? (completionTokensMax ?? tokensMax)
        : completionTokensMax || tokensMax,
    script: called?.script ?? structured,
    toolCall: called,
    topLogprobs,
  };
}
