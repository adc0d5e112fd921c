import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { estimateWaitMs, workerStatusSchema } from './tier-status.ts';
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
  service_ms: 1000,
});
const busy = { ...worker, running: 4 };

describe('the estimated wait', () => {
  it.each<[string, number, WorkerStatus[], number | null]>([
    ['is 0 while a slot is free', 0, [{ ...worker, running: 3 }], 0],
    ['is 0 while the slots suffice for those before', 2, [{ ...worker, running: 1 }], 0],
    ['is 0 with a free slot, even before any job is done', 0, [{ ...worker, service_ms: null }], 0],
    ['is the time until one slot of them all is free', 0, [busy], 250],
    ['grows with what is before', 3, [busy], 1000],
    ['shrinks with more workers', 2, [busy, busy], 375],
    ['takes the mean of what is known', 3, [busy, { ...busy, service_ms: 3000 }], 1000],
    ['leaves out what is not known', 3, [busy, { ...busy, service_ms: null }], 500],
    ['counts no worker whose breaker is open', 3, [busy, { ...busy, breaker: 'open' }], 1000],
    ['is null without a worker', 3, [], null],
    ['is null where no worker pulls', 0, [{ ...worker, breaker: 'open' }], null],
    ['is null where workers have no slots', 0, [{ ...worker, slots: 0 }], null],
    ['is null before any job is done', 0, [{ ...busy, service_ms: null }], null],
  ])('%s', (_name, depth, workers, expected) => {
    expect(estimateWaitMs({ depth, workers })).toBe(expected);
  });

  it('never shrinks as the queue grows', () => {
    const any = fc.record({
      slots: fc.nat(8),
      running: fc.nat(8),
      service_ms: fc.option(fc.nat(60_000)),
      breaker: fc.constantFrom('closed' as const, 'open' as const),
    });
    const workers = fc
      .array(any, { maxLength: 4 })
      .map((list) => list.map((changes) => ({ ...worker, ...changes })));
    fc.assert(
      fc.property(workers, fc.nat(100), fc.nat(100), (all, depth, more) => {
        const before = estimateWaitMs({ depth, workers: all });
        const after = estimateWaitMs({ depth: depth + more, workers: all });
        expect(after ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(before ?? 0);
        if (before === null) expect(after).toBeNull();
      }),
    );
  });
});
