import { checkContinuation, readMessages, renderChat } from './chat-template.ts';
import { createFieldReader, type JsonObject } from './fields.ts';
import { checkSamplingFields, readSamplingFields, type SamplingFields } from './sampling-fields.ts';
import { checkStreamFields, readStreamFields, type StreamFields } from './stream-fields.ts';
import { refuseUnsupported } from './unsupported-fields.ts';

/** A validated body of POST /v1/chat/completions. */
export type ChatRequest = {
  readonly model: string | undefined;
  /** The conversation, rendered by the chat template. */
  readonly promptText: string;
  /** The role of the answer: that of the message it continues, else `assistant`. */
  readonly role: string;
  readonly tokensMax: number | undefined;
  readonly sampling: SamplingFields;
  readonly streaming: StreamFields;
  readonly returnTokenIds: boolean;
  readonly requestId: string | undefined;
};

/** @throws RequestError as vLLM would refuse the body, or for what is not simulated */
export function parseChatRequest(body: JsonObject): ChatRequest {
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
  const model = reader.string('model');
  const sampling = readSamplingFields(reader);
  const streaming = readStreamFields(reader);
  const tokensMax = reader.integer('max_completion_tokens') ?? reader.integer('max_tokens');
  const returnTokenIds = reader.boolean('return_token_ids') ?? false;
  const requestId = reader.string('request_id');
  const addGenerationPrompt = reader.boolean('add_generation_prompt');
  const continueFinal = reader.boolean('continue_final_message') ?? false;
  reader.finish();
  const messages = 'messages' in read ? read.messages : [];

  checkStreamFields(reader);
  refuseUnsupported(body);
  checkSamplingFields(sampling, reader);
  checkContinuation({ messages, addGenerationPrompt, continueFinal });
  return {
    model,
    promptText: renderChat({
      messages,
      addGenerationPrompt: addGenerationPrompt ?? true,
      continueFinal,
    }),
    role: addGenerationPrompt === false ? (messages.at(-1)?.role ?? 'assistant') : 'assistant',
    tokensMax,
    sampling,
    streaming,
    returnTokenIds,
    requestId,
  };
}
