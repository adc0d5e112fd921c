import { NO_TRACING } from '@qarr/process';
import { NO_LOAD, QarrError, parseTraceparent, tierSnapshot } from '@qarr/router-core';
import type { NewJob } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { ANYBODY } from './caller.ts';
import { createApiMetrics } from './metrics.ts';
import { submitJob } from './submit-job.ts';
import type { JobOptions, SubmitDeps } from './submit-job.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';

const PLACE = { position: 1, estimatedWaitMs: null };

/** Submits a job to a store that does as it is told. */
async function submit(
  options: Partial<JobOptions>,
  store: Pick<SubmitDeps['store'], 'submit'>,
): Promise<{ owed: string[]; failure: unknown; told: string[] }> {
  const owed: string[] = [];
  /** What the log says, the metrics count and the span names. */
  const told: string[] = [];
  const metrics = createApiMetrics({ snapshots: () => [], webhookBacklog: async () => 0 });
  const result = submitJob(
    {
      tier: 'fast',
      requestedTier: null,
      reasons: ['default'],
      features: { words: 1, code: false, maxTokens: 1, temperature: 0, promptTokens: 1 },
      fits: { fast: true },
      engineRequest: {
        messages: [{ role: 'user', content: 'Hi' }],
        max_tokens: 1,
        temperature: 0,
      },
      droppedMessages: 0,
    },
    {
      caller: ANYBODY,
      class: 'standard',
      onInterrupt: 'continue',
      isBound: false,
      traceparent: `00-${TRACE_ID}-${SPAN_ID}-01`,
      requestId: 'req_1',
      ...options,
    },
    {
      store: {
        ...store,
        findByKey: async () => null,
        findAnswer: async () => null,
        submitAnswered: () => Promise.reject(new Error('not used')),
      },
      watch: {
        statuses: () => [],
        snapshots: () => [tierSnapshot({ name: 'fast', depth: 0, load: NO_LOAD, workers: [] })],
        learn: () => {},
        freshen: async () => false,
      },
      tracing: {
        span(name, spanOptions) {
          const span = NO_TRACING.span(name, spanOptions);
          span.set = (attributes) =>
            void told.push(`${name} of ${String(attributes['qarr.job.id'])}`);
          return span;
        },
      },
      log: {
        info: (fields: object, message?: string) =>
          void told.push(`${message} ${(fields as { job_id?: string }).job_id}`),
        warn: () => {},
      },
      cancels: { owe: async (id) => void owed.push(id) },
      metrics: { ...metrics, routed: ({ tier }) => void told.push(`routed to ${tier}`) },
      config: {
        queueTimeoutMs: { interactive: 1, standard: 1, batch: 1 },
        runTimeoutMs: 1,
        cacheTtlMs: 0,
        admission: { depthMax: 10, waitShareMax: 1, fallbackShareMax: 1 },
      },
    },
  );
  const failure: unknown = await result.then(
    () => null,
    (error: unknown) => error,
  );
  return { owed, failure, told };
}

describe('a job', () => {
  it("is a span of its own in its request's trace, and keeps its id", async () => {
    const written: NewJob[] = [];
    await submit(
      {},
      {
        async submit(job) {
          written.push(job);
          return { kind: 'created', jobId: job.id, place: PLACE };
        },
      },
    );
    const [job] = written;
    const trace = parseTraceparent(job?.traceparent ?? '');
    expect(trace).toMatchObject({ traceId: TRACE_ID, isSampled: true });
    expect(trace?.spanId).not.toBe(SPAN_ID);
    expect(job?.requestId).toBe('req_1');
  });
});

describe('a submission that the store does not answer', () => {
  const silent = {
    async submit(): Promise<never> {
      throw new QarrError('queue_unavailable');
    },
  };
  const idempotency = { key: 'k', bodyHash: 'h' };

  it.each([
    [
      'without a key',
      {},
      'The job may or may not have been accepted: sending it again may make a second one, which an Idempotency-Key prevents.',
    ],
    [
      'with one',
      { idempotency },
      'The job may or may not have been accepted: send it again with the same Idempotency-Key, which makes no second one.',
    ],
    [
      'that is bound to its connection',
      { isBound: true },
      'What was accepted of this request is cancelled: send it again.',
    ],
  ])('says what is safe for a request %s', async (_name, options, advice) => {
    const { failure, owed } = await submit(options, silent);
    expect(failure).toMatchObject({
      code: 'queue_unavailable',
      message: `The queue does not answer. ${advice}`,
    });
    expect(owed).toHaveLength('isBound' in options ? 1 : 0);
  });

  it('is told of like any other where it has made a job all the same', async () => {
    const { failure, told } = await submit(
      {},
      {
        async submit(_job, { onCreated }) {
          onCreated?.('job_1');
          throw new QarrError('not_replicated');
        },
      },
    );
    expect(failure).toMatchObject({ code: 'not_replicated' });
    expect(told).toEqual(['enqueue of job_1', 'routed to fast', 'job queued job_1']);
  });

  it('leaves other errors as they are, and owes nothing for them', async () => {
    const error = new QarrError('invalid_request');
    const refusing = { submit: () => Promise.reject(error) };
    expect(await submit({ isBound: true }, refusing)).toEqual({
      failure: error,
      owed: [],
      told: [],
    });
  });
});
