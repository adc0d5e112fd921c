/**
 * A job's events in the shape of OpenAI's streamed completions: as `chat-chunks.ts`, but that nothing
 * opens a choice, and text is all that comes.
 */
import { QarrError, errorBody, jobEventSchema } from '@qarr/router-core';
import type { FinishReason, JobEvent, Logprobs } from '@qarr/router-core';
import { charactersOf, completionChoice } from './completion-choice.ts';
import type { StreamShape } from './foreground.ts';

export interface CompletionIdentity {
  readonly jobId: string;
  /** Name of the tier that answers, unless the job is moved to another one. */
  readonly tier: string;
  /** Seconds since the epoch. */
  readonly created: number;
}

interface ChunkParts {
  readonly index: number;
  readonly text: string;
  readonly logprobs?: Logprobs | undefined;
  readonly finishReason?: FinishReason | null;
  /** Beside OpenAI's fields; clients carry what they do not know. */
  readonly extra?: object;
}

export function createCompletionChunks(
  { jobId, tier, created }: CompletionIdentity,
  { includeUsage }: { includeUsage: boolean },
): StreamShape {
  const head = { id: `cmpl-${jobId}`, object: 'text_completion', created, model: tier };
  /** Characters that were sent of each choice. */
  const offsets = new Map<number, number>();
  let isOver = false;

  function chunk({ index, text, logprobs, finishReason = null, extra }: ChunkParts): string {
    const offset = offsets.get(index) ?? 0;
    offsets.set(index, offset + charactersOf(text));
    return frame({
      ...head,
      choices: [completionChoice({ index, text, logprobs, offset, finishReason })],
      ...extra,
      ...(includeUsage ? { usage: null } : {}),
    });
  }

  function end(event: Extract<JobEvent, { type: 'completed' }>): string {
    const { finish_reason, finish_reasons = [finish_reason], continued = 0, usage } = event;
    const last = finish_reasons.length - 1;
    const ends = finish_reasons.map((finishReason, index) => {
      const extra = index === last && continued > 0 ? { qarr: { continued } } : {};
      return chunk({ index, text: '', finishReason, extra });
    });
    const total = includeUsage && usage !== null ? frame({ ...head, choices: [], usage }) : '';
    return `${ends.join('')}${total}data: [DONE]\n\n`;
  }

  function framesOf(event: JobEvent): string {
    switch (event.type) {
      case 'queued':
      case 'started':
        return '';
      case 'delta':
        return chunk({ index: event.index ?? 0, text: event.text, logprobs: event.logprobs });
      case 'rerouted':
        // Before its first text: no chunk has said another.
        head.model = event.to;
        return '';
      case 'reset':
        // What was sent cannot be taken back: two samples must never look like one answer.
        return errorFrame(new QarrError('upstream_interrupted'));
      case 'completed':
        isOver = true;
        return end(event);
      case 'failed':
      case 'expired':
        return errorFrame(new QarrError(event.error.code, { message: event.error.message }));
      case 'cancelled':
        return errorFrame(new QarrError('job_cancelled'));
      default:
        return event satisfies never;
    }
  }

  function errorFrame(error: QarrError): string {
    isOver = true;
    return frame(errorBody(error));
  }

  return {
    frames(events) {
      let text = '';
      for (const { json } of events) {
        if (!isOver) text += framesOf(jobEventSchema.parse(JSON.parse(json)));
      }
      return text;
    },
    stored(result) {
      const pieces = (result.choices ?? [result]).map(({ text, logprobs }, index) =>
        chunk({ index, text, logprobs }),
      );
      return pieces.join('');
    },
    errorFrame,
    get isOver() {
      return isOver;
    },
  };
}

function frame(body: object): string {
  return `data: ${JSON.stringify(body)}\n\n`;
}
