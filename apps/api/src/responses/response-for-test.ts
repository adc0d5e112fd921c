/** A response's job for tests, as it is before it has been started. */
import type { JobEvent, LoggedEvent } from '@qarr/router-core';
import type { ResponseRecord } from './response-object.ts';

export function responseRecord(fields: Partial<ResponseRecord> = {}): ResponseRecord {
  return {
    id: 'job_0a1b',
    state: 'queued',
    owner: 'anonymous',
    class: 'interactive',
    tier: 'fast',
    requestedTier: null,
    reasons: ['default'],
    epoch: 1,
    attempt: 0,
    seq: 1,
    fallback: 'up',
    rerouted: null,
    cost: 16,
    onInterrupt: 'continue',
    request: { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 16, temperature: 0.7 },
    droppedMessages: 0,
    metadata: {},
    createdAt: 1_790_000_000_500,
    startedAt: null,
    finishedAt: null,
    queueDeadline: 1_790_000_030_500,
    runTimeoutMs: 60_000,
    cancelRequested: false,
    result: null,
    response: {
      background: false,
      stream: true,
      store: true,
      isInstructed: false,
      inputMessages: 1,
      previousResponseId: null,
      serviceTier: 'default',
      truncation: 'disabled',
      user: null,
    },
    usage: null,
    timings: null,
    error: null,
    tokens: null,
    ...fields,
  };
}

export function logged(events: readonly JobEvent[]): LoggedEvent[] {
  return events.map((event, index) => ({
    seq: index + 1,
    type: event.type,
    json: JSON.stringify(event),
  }));
}

export interface SentEvent {
  readonly type: string;
  readonly sequence_number: number;
  readonly [field: string]: unknown;
}

/** Reads frames as strictly as the strictest client. */
export function eventsIn(frames: string): SentEvent[] {
  return frames
    .split('\n\n')
    .filter((text) => text !== '')
    .map((text) => {
      const [, type, data] = /^event: (\S+)\ndata: (.+)$/.exec(text) ?? [];
      const event = JSON.parse(data ?? '') as SentEvent;
      if (event.type !== type) throw new Error(`${type} is called ${event.type}`);
      return event;
    });
}
