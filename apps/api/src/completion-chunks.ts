/** A job's events in the shape of OpenAI's streamed completions. */
import { createChunkStream } from './chunk-stream.ts';
import type { ChoiceShape, StreamIdentity } from './chunk-stream.ts';
import { charactersOf, completionChoice } from './completion-choice.ts';
import type { StreamShape } from './foreground.ts';

export function createCompletionChunks(
  { jobId, tier, created }: StreamIdentity,
  { includeUsage }: { includeUsage: boolean },
): StreamShape {
  return createChunkStream({
    head: { id: `cmpl-${jobId}`, object: 'text_completion', created, model: tier },
    includeUsage,
    shape: completionChoices(),
  });
}

/** Nothing opens one, and text is all that comes. */
function completionChoices(): ChoiceShape {
  /** Characters that were sent of each choice. */
  const offsets = new Map<number, number>();

  return {
    piece(index, { text, logprobs }) {
      const offset = offsets.get(index) ?? 0;
      offsets.set(index, offset + charactersOf(text));
      return [completionChoice({ index, text, logprobs, offset, finishReason: null })];
    },
    end(index, finishReason) {
      const offset = offsets.get(index) ?? 0;
      return [completionChoice({ index, text: '', offset, finishReason })];
    },
  };
}
