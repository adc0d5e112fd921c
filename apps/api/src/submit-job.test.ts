import { parseTraceparent } from '@qarr/router-core';
import type { NewJob } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { createApiMetrics } from './metrics.ts';
import { submitJob } from './submit-job.ts';
import type { JobOptions } from './submit-job.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';

/** The job that is written for a request with this header. */
async function jobOf(traceparent: JobOptions['traceparent']): Promise<NewJob> {
  const place = { position: 1, estimatedWaitMs: null };
  let written: NewJob | undefined;
  await submitJob(
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
    { class: 'standard', onInterrupt: 'continue', traceparent },
    {
      store: {
        async submit(job) {
          written = job;
          return place;
        },
      },
      watch: { placeAt: () => place },
      metrics: createApiMetrics({ statuses: () => [], webhookBacklog: async () => 0 }),
      config: {
        queueTimeoutMs: { interactive: 1, standard: 1, batch: 1 },
        runTimeoutMs: 1,
      },
    },
  );
  if (written === undefined) throw new Error('No job was written');
  return written;
}

const traceOf = async (header: JobOptions['traceparent']) =>
  parseTraceparent((await jobOf(header)).traceparent ?? '');

describe('a job', () => {
  it("is a span of its own in its client's trace", async () => {
    const trace = await traceOf(`00-${TRACE_ID}-${SPAN_ID}-01`);
    expect(trace).toMatchObject({ traceId: TRACE_ID, isSampled: true });
    expect(trace?.spanId).not.toBe(SPAN_ID);
  });

  it.each([
    ['nothing', undefined],
    ['what is not valid', `ff-${TRACE_ID}-${SPAN_ID}-01`],
    ['two headers', [`00-${TRACE_ID}-${SPAN_ID}-01`, `00-${TRACE_ID}-${SPAN_ID}-01`]],
  ])('begins a trace of its own, not sampled, where its client sent %s', async (_name, header) => {
    const [one, other] = [await traceOf(header), await traceOf(header)];
    expect(one?.isSampled).toBe(false);
    expect(one?.traceId).not.toBe(TRACE_ID);
    expect(one?.traceId).not.toBe(other?.traceId);
  });
});
