import type { Placement } from '@qarr/job-store';
import { NO_TRACING } from '@qarr/process';
import { DEFAULT_POLICY, QarrError } from '@qarr/router-core';
import type { BatchRecord, JobRecord, NewJob } from '@qarr/router-core';
import { expect, it } from 'vitest';
import { feedLine } from './feed-line.ts';
import type { FeedLineDeps } from './feed-line.ts';

const batch = {
  id: `batch_${'0'.repeat(32)}`,
  owner: 'anonymous',
  endpoint: '/v1/chat/completions',
  quota: null,
  expiresAt: 86_400_000,
} as BatchRecord;
const limits: Placement['limits'] = {
  depthMax: 10,
  tokensAheadMax: null,
  whileAlerting: true,
  fallbackJobsMax: null,
};

it('tells of a line whose job no replica confirms when it is there, and then no more', async () => {
  const told: string[] = [];
  const made: string[] = [];
  const deps: FeedLineDeps = {
    store: {
      async submit(job: NewJob, { onCreated }) {
        if (made.includes(job.id)) return { kind: 'attached', record: {} as JobRecord };
        made.push(job.id);
        onCreated?.(job.id);
        throw new QarrError('not_replicated');
      },
    },
    watch: {
      policy: () => DEFAULT_POLICY,
      statuses: () => [],
      snapshots: () => [],
      servedModels: () => [],
      learn: () => {},
    },
    tokenizer: { count: async () => null },
    config: { runTimeoutMs: 1_000 },
    tracing: {
      span(name, options) {
        const span = NO_TRACING.span(name, options);
        span.end = () => void told.push(name);
        return span;
      },
    },
    log: {
      info: (_fields: object, message?: string) => void told.push(message ?? ''),
      warn: () => {},
    },
  };
  const feed = () =>
    feedLine(
      { line: 1, customId: 'a', body: { messages: [{ role: 'user', content: 'Hi' }] } },
      { batch, now: 0, writeBefore: 1, limitsOf: () => limits },
      deps,
    );
  expect(await feed()).toEqual({ kind: 'unavailable' });
  const all = ['job queued', 'route_inference', 'enqueue', 'batch_line'];
  expect(told).toEqual(all);
  expect(await feed()).toMatchObject({ kind: 'in_system' });
  expect(made).toHaveLength(1);
  expect(told).toEqual(all);
});
