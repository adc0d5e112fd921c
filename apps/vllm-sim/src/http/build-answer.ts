import type { Sampling } from '../engine/generation.ts';
import type { Persona } from '../personas.ts';
import type { AnswerHead } from '../protocol/answer-shape.ts';
import { parseChatRequest } from '../protocol/chat-request.ts';
import { createChatShape } from '../protocol/chat-shape.ts';
import { parseCompletionRequest } from '../protocol/completion-request.ts';
import { createCompletionShape } from '../protocol/completion-shape.ts';
import { type Fit, fitContext } from '../protocol/context-window.ts';
import type { JsonObject } from '../protocol/fields.ts';
import { rivalsOf } from '../protocol/logprobs.ts';
import { checkTokenLimits, type SamplingFields } from '../protocol/sampling-fields.ts';
import {
  headerPriority,
  priorityRefusal,
  type SchedulingFields,
} from '../protocol/scheduling-fields.ts';
import { parseTokensRequest } from '../protocol/tokens-request.ts';
import { createTokensShape } from '../protocol/tokens-shape.ts';
import { createTransformersShape } from '../protocol/transformers-shape.ts';
import type { Script } from '../text/script.ts';
import type { Answer, AnswerSequence } from './answer.ts';
import { checkModel, type ServedModel } from './model.ts';

export type AnswerDeps = {
  readonly model: ServedModel;
  readonly persona: Persona;
  /** The server's seed: the same seed and prompt give the same text. */
  readonly seed: number;
  readonly schedulingPolicy: 'fcfs' | 'priority';
};

/** One request to a generating route. */
export type GenerateRequest = {
  readonly body: JsonObject;
  readonly priorityHeader: unknown;
  /** The request's own name for itself, or one for it. */
  readonly requestIdOf: (field: string | undefined) => string;
};

/** The default of `transformers serve` on both routes. */
const TRANSFORMERS_TOKENS_MAX = 1024;

/** What the generating routes make of a request. All throw RequestError for one that is refused. */
export function createAnswerBuilder(deps: AnswerDeps): {
  chat(request: GenerateRequest): Answer;
  completion(request: GenerateRequest): Answer;
  tokens(request: GenerateRequest): Answer;
} {
  const { model, persona } = deps;

  return {
    chat({ body, priorityHeader, requestIdOf }) {
      const chat = parseChatRequest(body, persona);
      checkModel(chat.model, { model, persona });
      const { promptIds, tokensMax } = fit({
        prompt: { text: chat.promptText },
        tokensMax: chat.tokensMax,
        promptTokensMax: chat.promptTokensMax,
      });
      const head = answerHead('chatcmpl-', requestIdOf(chat.requestId), chat.model);
      return {
        stream: chat.streaming.stream,
        sequences: sequencesOf(promptIds, { ...chat, tokensMax, priorityHeader }),
        promptTokens: promptIds.length,
        shape:
          persona.family === 'transformers'
            ? createTransformersShape({ head, route: 'chat' })
            : createChatShape({
                ...chat,
                ...chat.streaming,
                head,
                promptIds,
                choices: chat.sampling.choices,
              }),
        refusal: priorityRefusal(chat.scheduling.priority, deps),
      };
    },

    completion({ body, priorityHeader, requestIdOf }) {
      const completion = parseCompletionRequest(body, persona);
      checkModel(completion.model, { model, persona });
      const echoOnly = completion.echo && completion.tokensMax === 0;
      const fits = completion.prompts.map((prompt) =>
        fit({
          prompt,
          // vLLM generates one token even where only the prompt is asked for.
          tokensMax: echoOnly ? 1 : completion.tokensMax,
          promptTokensMax: completion.promptTokensMax,
        }),
      );
      const sequences = fits.flatMap(({ promptIds, tokensMax }) =>
        sequencesOf(promptIds, { ...completion, tokensMax, priorityHeader }),
      );
      const head = answerHead('cmpl-', requestIdOf(completion.requestId), completion.model);
      return {
        stream: completion.streaming.stream,
        sequences,
        promptTokens: fits.reduce((sum, each) => sum + each.promptIds.length, 0),
        shape:
          persona.family === 'transformers'
            ? createTransformersShape({ head, route: 'completion' })
            : createCompletionShape({
                ...completion,
                ...completion.streaming,
                head,
                echo: echoOf(completion.echo, echoOnly),
                sequenceOf: (index) => ({
                  promptIds: sequences[index]?.promptIds ?? [],
                  seeds: sequences[index]?.sampling.seeds ?? [],
                }),
              }),
        refusal: priorityRefusal(completion.scheduling.priority, deps),
      };
    },

    tokens({ body, priorityHeader, requestIdOf }) {
      const tokens = parseTokensRequest(body, persona);
      checkModel(tokens.model, { model, persona });
      const { promptIds, tokensMax } = fit({
        prompt: { ids: tokens.promptIds },
        tokensMax: tokens.tokensMax,
      });
      return {
        stream: tokens.streaming.stream,
        sequences: sequencesOf(promptIds, { ...tokens, tokensMax, priorityHeader }),
        promptTokens: promptIds.length,
        shape: createTokensShape({
          ...tokens,
          ...tokens.streaming,
          requestId: `generate-tokens-${requestIdOf(tokens.requestId)}`,
        }),
      };
    },
  };

  function fit(
    asked: Pick<Parameters<typeof fitContext>[0], 'prompt' | 'tokensMax' | 'promptTokensMax'>,
  ): Fit {
    const window = { modelLenMax: model.modelLenMax, wording: persona.contextOverflow };
    const { promptIds, tokensMax } = fitContext({ ...asked, ...window });
    const limited = asked.tokensMax === undefined && persona.family === 'transformers';
    return {
      promptIds,
      tokensMax: limited ? Math.min(tokensMax, TRANSFORMERS_TOKENS_MAX) : tokensMax,
    };
  }

  /** Choices differ by their index; the first is what a request for one choice gets. */
  function sequencesOf(
    promptIds: readonly number[],
    request: {
      sampling: SamplingFields;
      scheduling: SchedulingFields;
      script: Script | undefined;
      topLogprobs: number | undefined;
      tokensMax: number;
      priorityHeader: unknown;
    },
  ): readonly AnswerSequence[] {
    const { sampling, scheduling, script, tokensMax } = request;
    checkTokenLimits({ tokensMax, tokensMin: sampling.tokensMin });
    const priority = headerPriority(request.priorityHeader, persona) ?? scheduling.priority;
    const choices = { choices: sampling.choices };
    return Array.from({ length: sampling.choices }, (_, choice): AnswerSequence => {
      const own: Sampling = {
        ...sampling,
        tokensMax,
        script,
        logprobs: rivalsOf(request.topLogprobs),
        seeds: [deps.seed, sampling.seed ?? 0, choice],
      };
      return { ...scheduling, promptIds, sampling: own, priority, request: choices };
    });
  }

  function answerHead(prefix: string, requestId: string, asked: string | undefined): AnswerHead {
    const created = Math.floor(Date.now() / 1000);
    return persona.family === 'transformers'
      ? { id: requestId, created, model: `${asked ?? model.names[0]}@main`, persona }
      : { id: prefix + requestId, created, model: model.names[0], persona };
  }
}

function echoOf(echo: boolean, echoOnly: boolean) {
  if (echoOnly) return 'instead_of_text';
  return echo ? 'before_text' : 'no';
}
