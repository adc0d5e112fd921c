import type { FastifyInstance } from 'fastify';
import type { Persona } from '../personas.ts';
import { checkContinuation, readMessages, renderChat } from '../protocol/chat-template.ts';
import { createFieldReader, type JsonObject } from '../protocol/fields.ts';
import { badValue } from '../protocol/request-error.ts';
import { decode, encode, VOCABULARY_SIZE } from '../tokenizer.ts';
import { requireJson } from './json-body.ts';
import { checkModel, requireObject, type ServedModel } from './model.ts';

/** POST /tokenize, for a prompt or a conversation, and /detokenize. */
export function addTokenizeRoutes(
  app: FastifyInstance,
  deps: { model: ServedModel; persona: Persona },
): void {
  if (!deps.persona.routes.tokenize) return;
  const options = { onRequest: requireJson(deps.persona) };
  app.post('/tokenize', options, (request) => {
    const body = requireObject(request.body);
    const { model, text, wantsStrings } = parseTokenizeRequest(body);
    checkModel(model, deps);
    const tokens = encode(text);
    return {
      count: tokens.length,
      max_model_len: deps.model.modelLenMax,
      tokens,
      ...(deps.persona.tokenIds
        ? { token_strs: wantsStrings ? tokens.map((id) => decode([id])) : null }
        : {}),
    };
  });

  app.post('/detokenize', options, (request) => {
    const reader = createFieldReader(requireObject(request.body));
    const model = reader.string('model');
    const tokens = reader.integers('tokens');
    if (reader.raw('tokens') === undefined) {
      reader.reject('tokens', { type: 'missing', message: 'Field required' });
    }
    reader.finish();
    checkModel(model, deps);
    const unknown = tokens?.find((id) => id < 0 || id >= VOCABULARY_SIZE);
    if (unknown !== undefined) {
      throw badValue({ message: `Token id ${unknown} is out of vocabulary` });
    }
    return { prompt: decode(tokens ?? []) };
  });
}

function parseTokenizeRequest(body: JsonObject): {
  model: string | undefined;
  text: string;
  wantsStrings: boolean;
} {
  const reader = createFieldReader(body);
  const model = reader.string('model');
  const wantsStrings = reader.boolean('return_token_strs') ?? false;
  const prompt = reader.string('prompt');
  const addGenerationPrompt = reader.boolean('add_generation_prompt');
  const continueFinal = reader.boolean('continue_final_message') ?? false;
  if (prompt !== undefined) {
    reader.finish();
    return { model, text: prompt, wantsStrings };
  }
  const read = readMessages(reader.raw('messages'));
  if ('reason' in read) {
    reader.reject('messages', { type: 'list_type', message: read.reason });
  }
  reader.finish();
  const messages = 'messages' in read ? read.messages : [];
  checkContinuation({ messages, addGenerationPrompt, continueFinal });
  const text = renderChat({
    messages,
    tools: reader.raw('tools'),
    addGenerationPrompt: addGenerationPrompt ?? true,
    continueFinal,
  });
  return { model, text, wantsStrings };
}
