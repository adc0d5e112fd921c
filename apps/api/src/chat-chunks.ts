/**
 * A job's events in the shape of OpenAI's chat completions, streamed and whole.
 *
 * No `id:`, no `event:` and no `retry:` lines: official clients fail on them.
 */
import { QarrError, errorBody, jobEventSchema } from '@qarr/router-core';
import type { JobEvent, JobRecord, LoggedEvent, Usage } from '@qarr/router-core';

export interface ChatIdentity {
  readonly jobId: string;
  /** Name of the tier that answers. */
  readonly tier: string;
  /** Seconds since the epoch. */
  readonly created: number;
}

export interface ChatChunks {
  /** The frames for these events. */
  frames(events: readonly LoggedEvent[]): string;
  /** The frame that ends the stream with an error. */
  errorFrame(error: QarrError): string;
  readonly isOver: boolean;
}

export function createChatChunks(
  { jobId, tier, created }: ChatIdentity,
  { includeUsage }: { includeUsage: boolean },
): ChatChunks {
  const head = {
    id: `chatcmpl-${jobId}`,
    object: 'chat.completion.chunk',
    created,
    model: tier,
  };
  let hasText = false;
  let isOver = false;

  function chunk(delta: Record<string, unknown>, finishReason: string | null = null): string {
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: finishReason }];
    return frame({ ...head, choices, ...(includeUsage ? { usage: null } : {}) });
  }

  function role(): string {
    if (hasText) return '';
    hasText = true;
    return chunk({ role: 'assistant', content: '' });
  }

  function framesOf(event: JobEvent): string {
    switch (event.type) {
      case 'queued':
      case 'started':
        return '';
      case 'delta': {
        const { text, reasoning } = event;
        return (
          role() + chunk(reasoning === undefined ? { content: text } : { content: text, reasoning })
        );
      }
      case 'reset':
        // What was sent cannot be taken back: two samples must never look like one answer.
        return errorFrame(new QarrError('upstream_interrupted'));
      case 'completed': {
        isOver = true;
        const end = role() + chunk({}, event.finish_reason);
        const usage =
          includeUsage && event.usage !== null
            ? frame({ ...head, choices: [], usage: event.usage })
            : '';
        return `${end}${usage}data: [DONE]\n\n`;
      }
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
    errorFrame,
    get isOver() {
      return isOver;
    },
  };
}

/** The whole answer of a completed job. Throws the error of one that ended in another way. */
export function chatCompletion(record: JobRecord) {
  const { result, state, error } = record;
  if (state === 'cancelled') throw new QarrError('job_cancelled');
  if (error !== null) throw new QarrError(error.code, { message: error.message });
  if (result === null) throw new QarrError('internal_error');
  const { text, reasoning, finish_reason } = result;
  return {
    id: `chatcmpl-${record.id}`,
    object: 'chat.completion',
    created: Math.floor(record.createdAt / 1_000),
    model: record.tier,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text,
          refusal: null,
          ...(reasoning === undefined ? {} : { reasoning }),
        },
        logprobs: null,
        finish_reason,
      },
    ],
    usage: record.usage satisfies Usage | null,
    system_fingerprint: null,
  };
}

function frame(body: object): string {
  return `data: ${JSON.stringify(body)}\n\n`;
}
