import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Engine } from '../engine/engine.ts';
import type { Sampling } from '../engine/generation.ts';
import type { Faults } from '../faults/faults.ts';
import type { Persona } from '../personas.ts';
import type { AnswerHead } from '../protocol/answer-shape.ts';
import { parseChatRequest } from '../protocol/chat-request.ts';
import { createChatShape } from '../protocol/chat-shape.ts';
import { parseCompletionRequest } from '../protocol/completion-request.ts';
import { createCompletionShape } from '../protocol/completion-shape.ts';
import { fitContext } from '../protocol/context-window.ts';
import { checkTokenLimits, type SamplingFields } from '../protocol/sampling-fields.ts';
import type { Answer } from './answer.ts';
import { collectAnswer } from './collect-answer.ts';
import { createEventStream } from './event-stream.ts';
import { requireJson } from './json-body.ts';
import { checkModel, requireObject, type ServedModel } from './model.ts';
import { requestIdOf } from './request-id.ts';
import { streamAnswer } from './stream-answer.ts';

type GenerateDeps = {
  engine: Engine;
  model: ServedModel;
  persona: Persona;
  /** The server's seed: the same seed and prompt give the same text. */
  seed: number;
  faults: Faults;
};

/** POST /v1/chat/completions and /v1/completions. */
export function addGenerateRoutes(app: FastifyInstance, deps: GenerateDeps): void {
  const { model } = deps;

  app.post('/v1/chat/completions', { onRequest: requireJson }, (request, reply) => {
    const chat = parseChatRequest(requireObject(request.body));
    checkModel(chat.model, model);
    const { promptIds, tokensMax } = fitContext({
      prompt: { text: chat.promptText },
      tokensMax: chat.tokensMax,
      tokensMaxParam: 'max_tokens',
      modelLenMax: model.modelLenMax,
    });
    const { sampling, streaming } = chat;
    return generate(reply, streaming.stream, {
      sequences: samplingPerChoice(sampling, tokensMax).map((each) => ({
        promptIds,
        sampling: each,
      })),
      promptTokens: promptIds.length,
      shape: createChatShape({
        ...chat,
        ...streaming,
        head: answerHead(`chatcmpl-${requestIdOf(request.headers, chat.requestId)}`),
        promptIds,
        choices: sampling.choices,
      }),
      ...streaming,
    });
  });

  app.post('/v1/completions', { onRequest: requireJson }, (request, reply) => {
    const completion = parseCompletionRequest(requireObject(request.body));
    checkModel(completion.model, model);
    const fits = completion.prompts.map((prompt) =>
      fitContext({
        prompt,
        tokensMax: completion.tokensMax,
        tokensMaxParam: 'max_tokens',
        modelLenMax: model.modelLenMax,
      }),
    );
    const sequences = fits.flatMap(({ promptIds, tokensMax }) =>
      samplingPerChoice(completion.sampling, tokensMax).map((sampling) => ({
        promptIds,
        sampling,
      })),
    );
    return generate(reply, completion.streaming.stream, {
      sequences,
      promptTokens: fits.reduce((sum, fit) => sum + fit.promptIds.length, 0),
      shape: createCompletionShape({
        ...completion,
        ...completion.streaming,
        head: answerHead(`cmpl-${requestIdOf(request.headers, completion.requestId)}`),
        promptIdsOf: (index) => sequences[index]?.promptIds ?? [],
      }),
      ...completion.streaming,
    });
  });

  async function generate(reply: FastifyReply, streams: boolean, answer: Answer): Promise<unknown> {
    const { engine, faults } = deps;
    const response = reply.raw;
    if (streams) {
      reply.hijack();
      const stream = faults.disturb(createEventStream(response), response);
      streamAnswer({ answer, engine, stream });
      return reply;
    }
    const collected = await collectAnswer({ answer, engine, response });
    return collected === 'gone' ? reply.hijack() : collected.body;
  }

  function answerHead(id: string): AnswerHead {
    return {
      id,
      created: Math.floor(Date.now() / 1000),
      model: model.names[0],
      systemFingerprint: deps.persona.systemFingerprint,
    };
  }

  /** Choices differ by their index; the first is what a request for one choice gets. */
  function samplingPerChoice(fields: SamplingFields, tokensMax: number): readonly Sampling[] {
    checkTokenLimits({ tokensMax, tokensMin: fields.tokensMin });
    return Array.from({ length: fields.choices }, (_, choice) => ({
      ...fields,
      tokensMax,
      seeds: [deps.seed, fields.seed ?? 0, choice],
    }));
  }
}
