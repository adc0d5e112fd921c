import { describe, expect, it } from 'vitest';
import { NO_LOAD } from './tier-load.ts';
import { tierSnapshot, typicalTokens } from './tier-snapshot.ts';
import { workerStatusSchema } from './tier-status.ts';
import type { WorkerStatus } from './tier-status.ts';

const worker: WorkerStatus = workerStatusSchema.parse({
  id: 'w1',
  host: 'gpu-1',
  pid: 1,
  slots: 4,
  running: 0,
  breaker: 'closed',
  upstream: 'http://127.0.0.1:8001',
  model: 'm',
  max_model_len: null,
  service_ms: null,
  tokens_per_s: 100,
});
const open: WorkerStatus = { ...worker, breaker: 'open', slots: 0, tokens_per_s: 60 };

const snapshotOf = (workers: WorkerStatus[]) =>
  tierSnapshot({ name: 'fast', depth: 0, load: NO_LOAD, workers });

describe('a snapshot of a tier', () => {
  it.each<[string, WorkerStatus[], object]>([
    ['knows nothing without a worker', [], { slots: 0, liveWorkers: 0, tokensPerS: null }],
    ['adds workers up', [worker, worker], { slots: 8, liveWorkers: 2, tokensPerS: 200 }],
    ['leaves out a worker that takes no jobs', [worker, open], { slots: 4, tokensPerS: 100 }],
    [
      'takes a worker that has done nothing yet to be as fast as the others, slot for slot',
      [worker, { ...worker, slots: 2, tokens_per_s: null }],
      { slots: 6, tokensPerS: 150 },
    ],
    ['knows no rate before a job is done', [{ ...worker, tokens_per_s: 0 }], { tokensPerS: null }],
    [
      'leaves out what one without a slot says while others have some',
      [worker, { ...worker, slots: 0 }],
      { slots: 4, tokensPerS: 100 },
    ],
    [
      'goes on with what it did while none has a slot',
      [{ ...worker, slots: 0 }],
      { slots: 0, tokensPerS: 100 },
    ],
    ['goes on with what it did when all are open', [open, open], { slots: 0, tokensPerS: 120 }],
  ])('%s', (_name, workers, expected) => {
    expect(snapshotOf(workers)).toMatchObject(expected);
  });

  it.each<[string, WorkerStatus[], object]>([
    ['closed without a worker', [], { breaker: 'closed', retryInMs: null }],
    ['closed by one that is', [open, worker], { breaker: 'closed', retryInMs: null }],
    [
      'half open by one that is',
      [open, { ...worker, breaker: 'half_open', retry_in_ms: 5 }],
      { breaker: 'half_open', retryInMs: null },
    ],
    [
      'open until the first of them tries again',
      [{ ...open, retry_in_ms: 9_000 }, open, { ...open, retry_in_ms: 4_000 }],
      { breaker: 'open', retryInMs: 4_000 },
    ],
    ['open for an unknown time', [open], { breaker: 'open', retryInMs: null }],
  ])('is %s', (_name, workers, expected) => {
    expect(snapshotOf(workers)).toMatchObject(expected);
  });
});

it('the typical answer is the mean of what the workers say', () => {
  expect(typicalTokens({ workers: [] })).toBeNull();
  const said = [100, 300, null].map((output_tokens) => ({ ...worker, output_tokens }));
  expect(typicalTokens({ workers: said })).toBe(200);
});
