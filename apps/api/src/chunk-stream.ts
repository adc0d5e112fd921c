/**
 * A job's events as one of OpenAI's streams of chunks, whatever a choice looks like in it.
 *
 * No `id:`, no `event:` and no `retry:` lines: official clients fail on them.
 */
import { QarrError, errorBody, jobEventSchema } from '@qarr/router-core';
import type { FinishReason, JobEvent } from '@qarr/router-core';
import type { DeltaEvent } from './chat-choice.ts';
import type { StreamShape } from './foreground.ts';

/** What it is a stream of. */
export interface StreamIdentity {
  readonly jobId: string;
  /** Name of the tier that answers, unless the job is moved to another one. */
  readonly tier: string;
  /** Seconds since the epoch. */
  readonly created: number;
}

/** What every chunk says. */
interface ChunkHead {
  readonly id: string;
  readonly object: string;
  readonly created: number;
  readonly model: string;
  readonly service_tier?: 'default' | 'flex';
}

/** How choices are shown. Each object becomes a chunk of its own. */
export interface ChoiceShape {
  piece(index: number, event: DeltaEvent): object[];
  end(index: number, finishReason: FinishReason): object[];
}

export function createChunkStream({
  head: opening,
  includeUsage,
  shape,
}: {
  head: ChunkHead;
  includeUsage: boolean;
  shape: ChoiceShape;
}): StreamShape {
  let head = opening;
  let isOver = false;

  /** @param extra beside OpenAI's fields; clients carry what they do not know */
  function chunks(choices: readonly object[], extra: object = {}): string {
    const noUsage = includeUsage ? { usage: null } : {};
    return choices
      .map((choice) => frame({ ...head, choices: [choice], ...extra, ...noUsage }))
      .join('');
  }

  function end(event: Extract<JobEvent, { type: 'completed' }>): string {
    isOver = true;
    const { finish_reason, finish_reasons = [finish_reason], continued = 0, usage } = event;
    const ends = finish_reasons.flatMap((reason, index) => shape.end(index, reason));
    const extra = continued > 0 ? { qarr: { continued } } : {};
    const total = includeUsage && usage !== null ? frame({ ...head, choices: [], usage }) : '';
    return `${chunks(ends.slice(0, -1))}${chunks(ends.slice(-1), extra)}${total}data: [DONE]\n\n`;
  }

  function framesOf(event: JobEvent): string {
    switch (event.type) {
      case 'queued':
      case 'started':
        return '';
      case 'delta':
        return chunks(shape.piece(event.index ?? 0, event));
      case 'rerouted':
        // Before its first text: no chunk has said another.
        head = { ...head, model: event.to };
        return '';
      case 'reset':
        // What was sent cannot be taken back: two samples must never look like one answer.
        return errorFrame(new QarrError('upstream_interrupted'));
      case 'completed':
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
      const pieces = (result.choices ?? [result]).flatMap((answer, index) => {
        const { text, reasoning, logprobs } = answer;
        const calls = answer.tool_calls?.map((call, position) => ({ index: position, ...call }));
        return shape.piece(index, { type: 'delta', text, reasoning, logprobs, tool_calls: calls });
      });
      return chunks(pieces);
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
