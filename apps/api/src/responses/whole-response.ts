/** How a response is in one piece, for those who do not follow it. */
import type { ProducerStore, QueuePlace } from '@qarr/job-store';
import { QarrError, isTerminalState } from '@qarr/router-core';
import type { JobEvent, LoggedEvent } from '@qarr/router-core';
import { createResponseEvents } from './response-events.ts';
import { responseHead, responseObject } from './response-object.ts';
import type { ResponseObject, ResponseRecord } from './response-object.ts';

/** For the log of a job that has ended: nothing is waited for. */
const READ_MS = 5_000;

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

/** As whoever follows it sees it in the end; what there was before a failure is in the log only. */
async function endedResponse(
  record: ResponseRecord,
  { store }: { store: Pick<ProducerStore, 'follow'> },
): Promise<ResponseObject> {
  const events = createResponseEvents(record);
  const { result, usage, timings } = record;
  if (record.state === 'completed' && result !== null) {
    events.stored(result);
    const end: JobEvent = {
      type: 'completed',
      finish_reason: result.finish_reason,
      usage,
      timings: timings ?? { queue_wait_ms: 0, ttft_ms: null, run_ms: 0 },
    };
    events.frames([logged(end, record.seq)]);
  } else {
    const signal = AbortSignal.timeout(READ_MS);
    for await (const page of store.follow(record.id, { after: 0, signal })) events.frames(page);
  }
  if (!events.isOver || events.response === null) throw new QarrError('queue_unavailable');
  return events.response;
}

function logged(event: JobEvent, seq: number): LoggedEvent {
  return { seq, type: event.type, json: JSON.stringify(event) };
}
