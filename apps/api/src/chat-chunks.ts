/** A job's events in the shape of OpenAI's streamed chat completions. */
import type { FinishReason, Logprobs } from '@qarr/router-core';
import { createChatChoice } from './chat-choice.ts';
import type { ChatChoice } from './chat-choice.ts';
import { createChunkStream } from './chunk-stream.ts';
import type { ChoiceShape, StreamIdentity } from './chunk-stream.ts';
import type { StreamShape } from './foreground.ts';

type ChatIdentity = StreamIdentity & {
  /** As which it is served, in OpenAI's words. */
  readonly serviceTier: 'default' | 'flex';
};

interface ChoiceParts {
  readonly index: number;
  readonly delta: object;
  readonly logprobs?: Logprobs | undefined;
  readonly finishReason?: FinishReason;
}

export function createChatChunks(
  { jobId, tier, created, serviceTier }: ChatIdentity,
  { includeUsage }: { includeUsage: boolean },
): StreamShape {
  return createChunkStream({
    head: {
      id: `chatcmpl-${jobId}`,
      object: 'chat.completion.chunk',
      created,
      model: tier,
      service_tier: serviceTier,
    },
    includeUsage,
    shape: chatChoices(),
  });
}

function chatChoices(): ChoiceShape {
  const choices = new Map<number, ChatChoice>();

  function choiceAt(index: number): ChatChoice {
    const choice = choices.get(index) ?? createChatChoice();
    choices.set(index, choice);
    return choice;
  }

  return {
    piece(index, event) {
      const choice = choiceAt(index);
      const begin = opening(index, choice.opening(event));
      const { logprobs } = event;
      return [...begin, chunkChoice({ index, delta: choice.delta(event), logprobs })];
    },
    end(index, finishReason) {
      const begin = opening(index, choiceAt(index).opening());
      return [...begin, chunkChoice({ index, delta: {}, finishReason })];
    },
  };
}

function opening(index: number, delta: object | null): object[] {
  return delta === null ? [] : [chunkChoice({ index, delta })];
}

function chunkChoice({ index, delta, logprobs, finishReason }: ChoiceParts): object {
  return {
    index,
    delta,
    logprobs: logprobs === undefined ? null : { ...logprobs, refusal: null },
    finish_reason: finishReason ?? null,
  };
}
