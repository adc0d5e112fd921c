/** How a response is in one piece, for those who do not follow it. */
import type { ProducerStore } from '@qarr/job-store';
import { QarrError, isTerminalState } from '@qarr/router-core';
import type { JobEvent, LoggedEvent, QueuePlace } from '@qarr/router-core';
import { answerOf } from '../job-answer.ts';
import { ALL, createResponseEvents } from './response-events.ts';
import type { ResponseEvents } from './response-events.ts';
import { responseHead, responseObject } from './response-object.ts';
import type { ResponseObject, ResponseRecord } from './response-object.ts';

/** For a log that is there: nothing is waited for. */
export const READ_MS = 5_000;

export async function wholeResponse(
  record: ResponseRecord,
  { place }: { place: QueuePlace | null },
  { store }: { store: Pick<ProducerStore, 'follow'> },
): Promise<ResponseObject> {
  const { state, tier, attempt } = record;
  if (isTerminalState(state)) return endedResponse(record, { store });
  // There is no way back: one that an attempt has given up is in progress.
  if (state === 'running' || attempt > 0) {
    return responseObject(responseHead(record), { status: 'in_progress', tier });
  }
  const { position = null, estimatedWaitMs = null } = place ?? {};
  const queue = { position, tier, estimated_wait_ms: estimatedWaitMs };
  return responseObject(responseHead(record), { status: 'queued', tier, queue });
}

/** As whoever follows it from its beginning to its end sees it. */
async function endedResponse(
  record: ResponseRecord,
  deps: { store: Pick<ProducerStore, 'follow'> },
): Promise<ResponseObject> {
  const { response } = (await replayed(record, deps)) ?? ofResult(record) ?? {};
  if (!response || !hasEnded(response)) throw new QarrError('queue_unavailable');
  return response;
}

/**
 * As it is without its log, in which all of one kind is one item. Throws the error of one that did not
 * complete.
 */
export function responseOfResult(record: ResponseRecord): ResponseObject {
  answerOf(record);
  const { response } = ofResult(record) ?? {};
  if (!response) throw new QarrError('internal_error');
  return response;
}

/** Null where there is more in the record than in the log: that is gone, or Redis does not answer. */
async function replayed(
  record: ResponseRecord,
  { store }: { store: Pick<ProducerStore, 'follow'> },
): Promise<ResponseEvents | null> {
  const events = createResponseEvents(record, { after: ALL });
  const signal = AbortSignal.timeout(READ_MS);
  let last = 0;
  for await (const page of store.follow(record.id, { after: 0, signal })) {
    if (page[0]?.seq !== last + 1 && record.result !== null) return null;
    last = page.at(-1)?.seq ?? last;
    events.frames(page);
  }
  return events.isOver || record.result === null ? events : null;
}

/** In the result all of one kind is one item. */
function ofResult(record: ResponseRecord): ResponseEvents | null {
  const { result, usage, timings } = record;
  if (result === null) return null;
  const events = createResponseEvents(record, { after: ALL });
  events.stored(result);
  const end: JobEvent = {
    type: 'completed',
    finish_reason: result.finish_reason,
    usage,
    timings: timings ?? { queue_wait_ms: 0, ttft_ms: null, run_ms: 0 },
  };
  events.frames([logged(end, record.seq)]);
  return events;
}

function hasEnded({ status }: ResponseObject): boolean {
  return status !== 'queued' && status !== 'in_progress';
}

function logged(event: JobEvent, seq: number): LoggedEvent {
  return { seq, type: event.type, json: JSON.stringify(event) };
}
