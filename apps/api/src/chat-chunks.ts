/**
 * A job's events in the shape of OpenAI's streamed chat completions.
 *
 * No `id:`, no `event:` and no `retry:` lines: official clients fail on them.
 */
import { QarrError, errorBody, jobEventSchema } from '@qarr/router-core';
import type { FinishReason, JobEvent, Logprobs } from '@qarr/router-core';
import { createChatChoice } from './chat-choice.ts';
import type { ChatChoice, DeltaEvent } from './chat-choice.ts';
import type { StreamShape } from './foreground.ts';

export interface ChatIdentity {
  readonly jobId: string;
  /** Name of the tier that answers, unless the job is moved to another one. */
  readonly tier: string;
  /** Seconds since the epoch. */
  readonly created: number;
  /** As which it is served, in OpenAI's words. */
  readonly serviceTier: 'default' | 'flex';
}

interface ChunkParts {
  readonly index: number;
  readonly delta: object;
  readonly logprobs?: Logprobs | undefined;
  readonly finishReason?: FinishReason;
  /** Beside OpenAI's fields; clients carry what they do not know. */
  readonly extra?: object;
}

export function createChatChunks(
  { jobId, tier, created, serviceTier }: ChatIdentity,
  { includeUsage }: { includeUsage: boolean },
): StreamShape {
  const head = {
    id: `chatcmpl-${jobId}`,
    object: 'chat.completion.chunk',
    created,
    model: tier,
    service_tier: serviceTier,
  };
  const choices = new Map<number, ChatChoice>();
  let isOver = false;

  function chunk({ index, delta, logprobs, finishReason, extra }: ChunkParts): string {
    const choice = {
      index,
      delta,
      logprobs: logprobs === undefined ? null : { ...logprobs, refusal: null },
      finish_reason: finishReason ?? null,
    };
    return frame({
      ...head,
      choices: [choice],
      ...extra,
      ...(includeUsage ? { usage: null } : {}),
    });
  }

  function choiceAt(index: number): ChatChoice {
    const choice = choices.get(index) ?? createChatChoice();
    choices.set(index, choice);
    return choice;
  }

  function opening(index: number, event?: DeltaEvent): string {
    const delta = choiceAt(index).opening(event);
    return delta === null ? '' : chunk({ index, delta });
  }

  function piece(index: number, event: DeltaEvent): string {
    const delta = choiceAt(index).delta(event);
    return opening(index, event) + chunk({ index, delta, logprobs: event.logprobs });
  }

  function end(event: Extract<JobEvent, { type: 'completed' }>): string {
    const { finish_reason, finish_reasons = [finish_reason], continued = 0, usage } = event;
    const last = finish_reasons.length - 1;
    const ends = finish_reasons.map((finishReason, index) => {
      const extra = index === last && continued > 0 ? { qarr: { continued } } : {};
      return opening(index) + chunk({ index, delta: {}, finishReason, extra });
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
        return piece(event.index ?? 0, event);
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
      const pieces = (result.choices ?? [result]).map((answer, index) => {
        const { text, reasoning, logprobs } = answer;
        const calls = answer.tool_calls?.map((call, position) => ({ index: position, ...call }));
        return piece(index, { type: 'delta', text, reasoning, logprobs, tool_calls: calls });
      });
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
