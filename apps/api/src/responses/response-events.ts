/**
 * A job's events as those of a response.
 *
 * They are a function of the log alone: whoever reads it, on whichever replica, numbers them alike, so
 * that a reader that has seen N of them is given the rest by leaving N out. `sequence_number` counts
 * from 0 without a gap. No `id:` and no `retry:` lines: official clients fail on them.
 *
 * - *new*: nothing was sent. The first event is `response.created`, without which they fail.
 * - *waiting*: created, and queued.
 * - *running*: in progress. From here on nothing shows the whole response before its end: clients would
 *   take it for all there is.
 * - *over*: completed, incomplete or failed. Cancelled is failed with another status, because clients
 *   know no event for it.
 *
 * Where the answer begins anew (`reset`), the events of the void text keep their numbers, and those of
 * the new one go on after them. Two texts must never look like one: a reader that has any of the void
 * text is given an error, one that has nothing of it is not sent it.
 */
import { QarrError, errorBody, jobEventSchema } from '@qarr/router-core';
import type { FinishReason, JobError, JobEvent, JobResult, ToolCallPiece } from '@qarr/router-core';
import type { StreamShape } from '../foreground.ts';
import { callIdOf, itemIdOf } from './response-ids.ts';
import { createCallItem, createTextItem } from './response-items.ts';
import type { CallItem, ResponseItem, TextItem } from './response-items.ts';
import { responseHead, responseObject } from './response-object.ts';
import type { ResponseObject, ResponseRecord, ResponseStanding } from './response-object.ts';

export interface ResponseEvents extends StreamShape {
  /** As its last lifecycle event has shown it. */
  readonly response: ResponseObject | null;
}

type Delta = Extract<JobEvent, { type: 'delta' }>;

/** A call may grow before its name is known, without which it cannot be shown. */
interface Call {
  id: string;
  name: string;
  unsent: string;
  item: CallItem | null;
}

/** Who reads them. */
interface Reader {
  /** The last event that it has; `ALL` for one that is sent nothing. */
  readonly after?: number;
  /** In the log, the last `reset` that was known before anything was sent; 0 for none. */
  readonly voidUntil?: number;
}

/** For whoever asks for `response` only. */
export const ALL = Number.POSITIVE_INFINITY;

export function createResponseEvents(
  record: ResponseRecord,
  { after = -1, voidUntil = 0 }: Reader = {},
): ResponseEvents {
  const { id: jobId, createdAt } = record;
  const head = responseHead(record);
  const items: ResponseItem[] = [];
  const calls = new Map<number, Call>();
  let counts = { msg: 0, rs: 0, fc: 0 };
  /** The message or the reasoning that grows. */
  let open: { kind: 'message' | 'reasoning'; item: TextItem } | null = null;
  let phase: 'new' | 'waiting' | 'running' | 'over' = 'new';
  let { tier } = record;
  let sequence = 0;
  /** What is read now will be taken back. */
  let isVoid = false;
  /** Of the text so far the reader has something. */
  let hasText = false;
  /** The log is gone, and with it the numbers that the reader knows: it is sent no more than the end. */
  let isRenumbered = false;
  let text = '';
  let response: ResponseObject | null = null;

  function emit(type: string, fields: object): void {
    const number = sequence;
    sequence += 1;
    if (number <= after || (isRenumbered && phase !== 'over')) return;
    text += frame(type, { type, ...fields, sequence_number: number });
  }

  function emitText(type: string, fields: object): void {
    if (isVoid && sequence > after) {
      sequence += 1;
      return;
    }
    hasText = true;
    emit(type, fields);
  }

  function show(type: string, standing: Omit<ResponseStanding, 'tier'>): void {
    response = responseObject(head, { ...standing, tier });
    emit(`response.${type}`, { response });
  }

  function create(queue?: ResponseStanding['queue']): void {
    phase = 'waiting';
    // The log begins with `queued`: a reader that finds something else finds no log.
    isRenumbered = queue === undefined && after >= 0;
    show('created', { status: 'queued', queue });
  }

  function run(): void {
    if (phase === 'new') create();
    if (phase !== 'waiting') return;
    phase = 'running';
    show('in_progress', { status: 'in_progress' });
  }

  function place(kind: 'msg' | 'rs' | 'fc') {
    const id = itemIdOf(jobId, kind, counts[kind]);
    counts[kind] += 1;
    return { id, index: items.length, emit: emitText };
  }

  function grow(kind: 'message' | 'reasoning'): TextItem {
    if (open?.kind === kind) return open.item;
    open?.item.close('completed');
    const item = createTextItem(kind, place(kind === 'message' ? 'msg' : 'rs'));
    items.push(item);
    open = { kind, item };
    return item;
  }

  function addCall({ index, id = '', function: piece = {} }: ToolCallPiece): void {
    const call = calls.get(index) ?? { id: '', name: '', unsent: '', item: null };
    calls.set(index, call);
    call.id ||= id;
    call.name ||= piece.name ?? '';
    call.unsent += piece.arguments ?? '';
    if (call.name !== '') sendCall(call, index);
  }

  function sendCall(call: Call, index: number): void {
    if (call.item === null) {
      open?.item.close('completed');
      open = null;
      const callId = call.id === '' ? callIdOf(jobId, index) : call.id;
      call.item = createCallItem({ callId, name: call.name }, place('fc'));
      items.push(call.item);
    }
    call.item.add(call.unsent);
    call.unsent = '';
  }

  function add({ text: said, reasoning = '', tool_calls: pieces = [], logprobs }: Delta): void {
    run();
    if (reasoning !== '') grow('reasoning').add(reasoning);
    if (said !== '' || logprobs !== undefined) grow('message').add(said, logprobs);
    for (const piece of pieces) addCall(piece);
  }

  function beginAnew(): void {
    // What was sent cannot be taken back. Who has events of after this was not sent what is void.
    if (hasText && after < sequence) {
      text += errorFrame(new QarrError('upstream_interrupted', { message: BEGUN_ANEW }));
      return;
    }
    items.length = 0;
    calls.clear();
    counts = { msg: 0, rs: 0, fc: 0 };
    open = null;
    hasText = false;
  }

  function end(standing: Omit<ResponseStanding, 'tier' | 'output'>): void {
    if (phase === 'new') create();
    const { status } = standing;
    if (status === 'completed' || status === 'incomplete') {
      for (const [index, call] of calls) if (call.item === null) sendCall(call, index);
      if (counts.msg === 0 && calls.size === 0) grow('message');
      for (const item of items) item.close(status);
    }
    phase = 'over';
    if (isRenumbered) sequence = after + 1;
    const type = status === 'cancelled' ? 'failed' : status;
    show(type, { ...standing, output: items.map((item) => item.shown()) });
  }

  function complete(event: Extract<JobEvent, { type: 'completed' }>): void {
    run();
    const { finish_reason: reason, usage, timings } = event;
    const incompleteReason = INCOMPLETE[reason];
    if (incompleteReason !== undefined)
      return end({ status: 'incomplete', usage, incompleteReason });
    const completedAt = createdAt + timings.queue_wait_ms + timings.run_ms;
    end({ status: 'completed', usage, completedAt });
  }

  function take(event: JobEvent): void {
    switch (event.type) {
      case 'queued': {
        ({ tier } = event);
        const { position, estimated_wait_ms } = event;
        create({ position, tier, estimated_wait_ms });
        return show('queued', { status: 'queued', queue: { position, tier, estimated_wait_ms } });
      }
      case 'rerouted': {
        tier = event.to;
        if (phase !== 'waiting') return;
        const queue = { position: null, tier, estimated_wait_ms: null };
        return show('queued', { status: 'queued', queue });
      }
      case 'started':
        ({ tier } = event);
        return run();
      case 'delta':
        return add(event);
      case 'reset':
        return beginAnew();
      case 'completed':
        return complete(event);
      case 'failed':
      case 'expired':
        return end({ status: 'failed', usage: event.usage, error: responseError(event.error) });
      case 'cancelled':
        return end({ status: 'cancelled', usage: event.usage });
      default:
        return event satisfies never;
    }
  }

  /** Not numbered: it is not of the response, and whoever comes again shall get what follows. */
  function errorFrame(error: QarrError): string {
    phase = 'over';
    return frame('error', { type: 'error', ...errorBody(error) });
  }

  function taken(): string {
    const sent = text;
    text = '';
    return sent;
  }

  return {
    frames(events) {
      for (const { seq, json } of events) {
        isVoid = seq < voidUntil;
        if (phase !== 'over') take(jobEventSchema.parse(JSON.parse(json)));
      }
      return taken();
    },
    stored(result) {
      add(deltaOf(result));
      return taken();
    },
    errorFrame,
    get isOver() {
      return phase === 'over';
    },
    get response() {
      return response;
    },
  };
}

const BEGUN_ANEW =
  'The answer has begun anew after a part of it was sent: read it again from its beginning.';

const INCOMPLETE: Readonly<Partial<Record<FinishReason, 'max_output_tokens' | 'content_filter'>>> =
  {
    length: 'max_output_tokens',
    content_filter: 'content_filter',
  };

/** The whole answer as if it had come at once. */
function deltaOf({ text, reasoning, logprobs, tool_calls: calls }: JobResult): Delta {
  const pieces = calls?.map((call, index) => ({ index, ...call }));
  return { type: 'delta', text, reasoning, logprobs, tool_calls: pieces };
}

/** OpenAI's codes are few: ours stands beside it. */
function responseError({ code, message }: JobError): object {
  const isAsked = code === 'upstream_rejected' || code === 'context_length_exceeded';
  return { code: isAsked ? 'invalid_prompt' : 'server_error', message, qarr: { code } };
}

function frame(type: string, data: object): string {
  return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}
